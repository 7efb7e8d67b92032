/**
 * The records of a vault.
 *
 * ```text
 * <namespace>.master.<hash>    shows that a master key is the right one
 * <namespace>.person.<hash>    the key of a person, and those that are being forgotten
 * <namespace>.key.<id>         the key, encrypted with a master key; or when its person was forgotten
 * <namespace>.actor.<hash>     the keys of the persons that an actor has data of
 * ```
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { BackendError, ClosedError } from "../errors.ts";
import { hashOf, type WrappedKey } from "./vault_keys.ts";
import type { VaultPlace, VaultRecord } from "./vault_place.ts";

/** How often a record is written against other writers. */
const MAX_TRIES = 100;

/** The keys of a person. */
export interface PersonRecord {
  /** The id of the present one; `undefined` if there is none. */
  readonly key?: string;
  /** The ids of those that are being forgotten. */
  readonly forgetting?: readonly string[];
}

/** A key, or when its person was forgotten. */
export type KeyRecord = WrappedKey | { readonly forgotten: string };

/** What is in a record, by its kind. */
interface Records {
  readonly master: string;
  readonly person: PersonRecord;
  readonly key: KeyRecord;
  readonly actor: readonly string[];
}

/** What a record is changed to so that it is removed. */
export const REMOVE: unique symbol = Symbol("remove");

/** Reads and changes records, each by compare-and-set. */
export class VaultRecords {
  readonly #place: VaultPlace;
  readonly #namespace: string;
  #isClosed = false;

  constructor(place: VaultPlace, namespace: string) {
    this.#place = place;
    this.#namespace = namespace;
  }

  /** What a record has; `undefined` if there is none. */
  async read<K extends keyof Records>(
    kind: K,
    name: string,
    signal?: AbortSignal,
  ): Promise<Records[K] | undefined> {
    return parse(kind, (await this.#get(this.#key(kind, name), signal)).value);
  }

  /**
   * Changes a record, however many others do so at the same time.
   *
   * @param replace Returns what it is to have: `undefined` to leave it as it is, `REMOVE` to remove it.
   * @param signal Ends it before the next write; a write runs to its answer.
   * @returns What it had before.
   */
  async change<K extends keyof Records>(
    kind: K,
    name: string,
    replace: (value: Records[K] | undefined) => Records[K] | typeof REMOVE | undefined,
    signal?: AbortSignal,
  ): Promise<Records[K] | undefined> {
    const key = this.#key(kind, name);
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const record = await this.#get(key, signal);
      const before = parse(kind, record.value);
      const after = replace(before);
      if (after === undefined || await this.#write(key, after, record)) return before;
    }
    throw new BackendError("vault", "other writers came first for too long: try again");
  }

  async #get(key: string, signal: AbortSignal | undefined): Promise<VaultRecord> {
    signal?.throwIfAborted();
    this.#assertOpen();
    return await abortable(this.#place.get(key, signal), signal);
  }

  #write(key: string, value: unknown, record: VaultRecord): Promise<boolean> {
    if (value === REMOVE) return this.#place.remove(key, record);
    return this.#place.put(key, JSON.stringify(value), record);
  }

  /** The ids of all keys. */
  async listKeys(signal: AbortSignal | undefined): Promise<readonly string[]> {
    this.#assertOpen();
    const places = await abortable(this.#place.list(`${this.#namespace}.key`, signal), signal);
    return places.map((place) => place.slice(place.lastIndexOf(".") + 1));
  }

  /** Closes what was opened for them. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#place.close();
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new ClosedError("vault");
  }

  /** Names of persons, actors and master keys are in no key of a record. The ids of keys are random. */
  #key(kind: keyof Records, name: string): string {
    return `${this.#namespace}.${kind}.${kind === "key" ? name : hashOf(name)}`;
  }
}

/** What a record has. One that was damaged must not be taken for another: a key that it names would never be destroyed. */
function parse<K extends keyof Records>(kind: K, text: string | undefined): Records[K] | undefined {
  if (text === undefined) return undefined;
  let cause: unknown;
  try {
    const value: unknown = JSON.parse(text);
    if (IS_RECORD[kind](value)) return value;
  } catch (error) {
    cause = error;
  }
  const message = `a record of the vault cannot be read (${kind}): restore the vault from a backup`;
  throw new BackendError("vault", message, { cause });
}

const IS_RECORD: { readonly [K in keyof Records]: (value: unknown) => value is Records[K] } = {
  master: isText,
  person: (value): value is PersonRecord => {
    const { key, forgetting } = Object(value) as Partial<Record<string, unknown>>;
    return isObject(value) && (key === undefined || isText(key)) &&
      (forgetting === undefined || isTexts(forgetting));
  },
  key: (value): value is KeyRecord => {
    const { master, wrapped, forgotten } = Object(value) as Partial<Record<string, unknown>>;
    return isText(forgotten) || isText(master) && isText(wrapped);
  },
  actor: isTexts,
};

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(isText);
}
