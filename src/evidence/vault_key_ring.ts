/**
 * The keys of persons in the memory of a process, each for a while.
 *
 * @module
 */

import { BackendError } from "../errors.ts";
import { VaultError } from "../store/personal_errors.ts";
import type { ForgottenKey } from "../store/personal_vault.ts";
import { RecentMap } from "../store/recent_map.ts";
import { describe } from "../text.ts";
import { DataKey, type OpenMasterKey, type WrappedKey } from "./vault_keys.ts";
import { REMOVE, type VaultRecords } from "./vault_records.ts";

/** How many keys are kept in memory. */
const CACHED = 10_000;
/** How often the key of a person is asked for that is being forgotten again and again. */
const MAX_TRIES = 100;
/** An actor with data of more persons has no snapshots. */
const MAX_KEYS = 500;
const KEY_ID = /^[0-9a-f]{32}$/;

/** What is in memory for a while. */
interface Cached<T> {
  readonly value: T;
  /** On the clock of `performance.now()`. */
  readonly until: number;
}

/** How keys are made, opened and kept. */
export interface KeyRingOptions {
  /** The master key that new keys are encrypted with. */
  readonly master: OpenMasterKey;
  /** All master keys, by their ids. */
  readonly masters: ReadonlyMap<string, OpenMasterKey>;
  /** What the keys are for. */
  readonly namespace: string;
  /** How long a key is kept in memory, in milliseconds. */
  readonly cacheMs: number;
}

/** Makes keys, reads them, and keeps them for a while. */
export class KeyRing {
  readonly #records: VaultRecords;
  readonly #options: KeyRingOptions;
  readonly #keys = new RecentMap<Cached<DataKey | ForgottenKey>>(CACHED);
  #persons = new RecentMap<Cached<DataKey>>(CACHED);
  /** Reads that are under way, by what they read. */
  readonly #reading = new Map<string, Promise<DataKey | ForgottenKey>>();

  constructor(records: VaultRecords, options: KeyRingOptions) {
    this.#records = records;
    this.#options = options;
  }

  /** The key of a person for data of an actor; a promise if it is not in memory. */
  ofPerson(person: string, actorId: string): DataKey | Promise<DataKey> {
    const name = `${person.length} ${person} ${actorId}`;
    const cached = this.#persons.get(name);
    if (cached && cached.until > performance.now()) return cached.value;
    return this.#once(name, () => this.#loadOfPerson(person, actorId, name)) as Promise<DataKey>;
  }

  async #loadOfPerson(person: string, actorId: string, name: string): Promise<DataKey> {
    for (let attempt = 1; attempt <= MAX_TRIES; attempt++) {
      const key = await this.#present(person) ?? await this.#create(person);
      if (!key) continue;
      const [keyId] = key.keys;
      await this.#link(actorId, keyId!);
      if (this.#isForgotten(keyId!)) continue; // meanwhile: what comes next belongs to another key
      this.#persons.set(name, { value: key, until: performance.now() + this.#options.cacheMs });
      return key;
    }
    throw new BackendError("vault", "the person is forgotten again and again: try again");
  }

  /** The present key of a person; `undefined` if there is none, or it is being forgotten. */
  async #present(person: string): Promise<DataKey | undefined> {
    const { key: keyId } = await this.#records.read("person", person) ?? {};
    const key = keyId === undefined ? undefined : await this.#load(keyId);
    return key instanceof DataKey ? key : undefined;
  }

  /** Makes a key for a person; `undefined` if another process was faster. */
  async #create(person: string): Promise<DataKey | undefined> {
    const { master, namespace } = this.#options;
    const id = crypto.getRandomValues(new Uint8Array(16)).toHex();
    const key = DataKey.random(id, namespace);
    await this.#records.change("key", id, () => key.wrappedBy(master));
    const before = await this.#records.change(
      "person",
      person,
      (record) => record?.key === undefined ? { ...record, key: id } : undefined,
    );
    // A write whose answer was lost is made again, and then finds this key.
    if (before?.key === undefined || before.key === id) return key;
    await this.#records.change("key", id, (record) => record && REMOVE);
    return undefined;
  }

  /** Notes that an actor has data of a person, before they are stored. */
  async #link(actorId: string, keyId: string): Promise<void> {
    await this.#records.change("actor", actorId, (keys = []) => {
      return keys.includes(keyId) || keys.length > MAX_KEYS ? undefined : [...keys, keyId];
    });
  }

  /** The keys of all persons that an actor has data of; `undefined` if there are none, `"too-many"` if not all are known. */
  async ofActor(actorId: string): Promise<readonly string[] | "too-many" | undefined> {
    const keys = await this.#records.read("actor", actorId);
    return keys && keys.length > MAX_KEYS ? "too-many" : keys;
  }

  /** The key with an id; a promise if it is not in memory. */
  ofId(keyId: string): DataKey | ForgottenKey | Promise<DataKey | ForgottenKey> {
    const cached = this.#keys.get(keyId);
    if (cached && cached.until > performance.now()) return cached.value;
    return this.#once(keyId, () => this.#load(keyId));
  }

  async #load(keyId: string): Promise<DataKey | ForgottenKey> {
    const record = KEY_ID.test(keyId) ? await this.#records.read("key", keyId) : undefined;
    if (!record) throw new VaultError("unknown-key", `The vault has no key ${describe(keyId)}`);
    if ("forgotten" in record) return this.#noteForgotten(keyId, record.forgotten);
    if (this.#isForgotten(keyId)) return this.#keys.get(keyId)!.value; // since the record was read
    const key = this.unwrap(record, keyId);
    this.#keys.set(keyId, { value: key, until: performance.now() + this.#options.cacheMs });
    return key;
  }

  /**
   * Decrypts a key.
   *
   * @throws {VaultError} If it is encrypted with a master key that is not known.
   */
  unwrap({ master, wrapped }: WrappedKey, keyId: string): DataKey {
    const known = this.#options.masters.get(master);
    if (known) return known.unwrap(wrapped, keyId);
    throw new VaultError(
      "master-key",
      `A key is encrypted with the master key "${master}", which the vault does not have`,
    );
  }

  /** Notes that a key was destroyed here: it must not be used for anything new. */
  forget(keyId: string, forgottenAt: string): void {
    this.#noteForgotten(keyId, forgottenAt);
    this.#persons = new RecentMap(CACHED);
  }

  /** What was forgotten stays so. */
  #noteForgotten(keyId: string, forgottenAt: string): ForgottenKey {
    const value = Object.freeze({ forgottenAt });
    this.#keys.set(keyId, { value, until: Infinity });
    return value;
  }

  #isForgotten(keyId: string): boolean {
    const key = this.#keys.get(keyId)?.value;
    return key !== undefined && "forgottenAt" in key;
  }

  /** Reads each thing once at a time. */
  #once(name: string, read: () => Promise<DataKey | ForgottenKey>): Promise<DataKey | ForgottenKey> {
    let reading = this.#reading.get(name);
    if (!reading) {
      reading = read().finally(() => this.#reading.delete(name));
      this.#reading.set(name, reading);
    }
    return reading;
  }
}
