/**
 * Comparing a store with its seal.
 *
 * @module
 */

import type { Event, StoredEvent } from "../event/types.ts";
import { checkFlag, checkKnown, type OptionNames, readOptions } from "../options.ts";
import { DamagedHistoryError, type HistoryFault, HistoryTruncatedError } from "../store/errors.ts";
import { type RawLog, rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import { untyped } from "../store/untyped.ts";
import { align } from "./alignment.ts";
import { SealError } from "./errors.ts";
import { digestOf, Salts, type SealedEvent, storedText } from "./leaf.ts";
import type { SealPlace } from "./place.ts";
import {
  checkPlace,
  type Expectation,
  readExpectation,
  VERIFY_OPTIONS,
  type VerifySealOptions,
} from "./seal_options.ts";
import { readLeaf, readSecrets, readTrusted } from "./sealed_tree.ts";
import { checkedLeaves, Faults, reportOf, type SealFault, type SealVerification } from "./verify_seal.ts";

/**
 * How a store is compared with its seal.
 *
 * @category Evidence
 */
export interface VerifySealedLogOptions extends VerifySealOptions {
  /** Whether the store is a copy, made by `copyEvents` or an import: positions are not compared then. @default {false} */
  readonly copy?: boolean;
}

/**
 * What a comparison of a store with its seal found.
 *
 * @category Evidence
 */
export interface SealedLogVerification extends SealVerification {
  /** How many events of the store are as they were sealed. */
  readonly verified: number;
  /** How many events of the store are newer than the seal: nothing is known of them. */
  readonly unsealed: number;
  /** How many sealed events retention has removed from the beginning of the store. */
  readonly removed: number;
}

const OPTIONS: OptionNames<VerifySealedLogOptions> = { ...VERIFY_OPTIONS, copy: true };

/** Returns the options as they were read. */
function checkCompare({ ...options }: VerifySealedLogOptions): Expectation & { readonly copy: boolean } {
  checkKnown<VerifySealedLogOptions>(options, OPTIONS);
  return { ...readExpectation(options), copy: checkFlag("options.copy", options.copy) };
}

/**
 * Compares a store with its seal in both directions, and names each event that was changed, is missing, was added or reordered. The
 * seal is verified meanwhile, as `verifySeal` does.
 *
 * @param store The store that was sealed.
 * @param place Where the seal is, `private/seal.json` included.
 * @param options The public key.
 * @throws {SealError} If there is no seal, or it is of another log or key.
 * @throws {InvalidArgumentError} If a key cannot be read, or an option is out of range.
 *
 * @example Is the store as it was sealed?
 * ```ts
 * import { generateSealKey, SealFolder, sealOnce, verifySealedLog } from "@flowmade-one/aether/evidence";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * const { privateKey, publicKey } = generateSealKey("example.com/orders");
 * const folder = new SealFolder(await Deno.makeTempDir());
 * await sealOnce(store, folder, { signer: { key: privateKey } });
 *
 * const { ok, verified, faults } = await verifySealedLog(store, folder, { key: publicKey });
 * for (const { kind, message } of faults) console.error(kind, message);
 * assert.deepEqual([ok, verified], [true, 1]);
 * ```
 *
 * @category Evidence
 */
export async function verifySealedLog<E extends Event>(
  store: EventStore<E>,
  place: SealPlace,
  options: VerifySealedLogOptions,
): Promise<SealedLogVerification> {
  const expected = readOptions(options, checkCompare);
  checkPlace(place);
  const checkpoint = await readTrusted(place, expected);
  const { size } = checkpoint;
  const secrets = await readSecrets(place, expected.signal);
  if (!secrets) {
    throw new SealError(
      "not-sealed",
      "private/seal.json is missing: without its salts the store cannot be compared.",
    );
  }
  const last = size === 0
    ? undefined
    : await readLeaf(place, size, size - 1, expected.signal).catch(() => undefined);
  const faults = new Faults();
  const leaves = checkedLeaves(place, checkpoint, expected, faults);
  const comparison = new Comparison(new Salts(secrets.saltKey), last, expected.copy, faults);
  await comparison.run(untyped(store), leaves, expected.signal);
  const { verified, unsealed, removed } = comparison;
  return { ...reportOf(checkpoint, faults), verified, unsealed, removed };
}

/** A leaf, and its place in the tree. */
interface Leaf {
  readonly index: number;
  /** `undefined` if it cannot be read: the check of the tree has reported it. */
  readonly sealed: SealedEvent | undefined;
}

/** A leaf or an event without its counterpart, and how many pairs came before it. */
interface Loose<T> {
  readonly item: T;
  readonly after: number;
  /** Whether it is an event that may be newer than the seal. */
  readonly isNewer?: boolean;
}

class Comparison {
  readonly #salts: Salts;
  /** The last leaf; `undefined` if there is none. */
  readonly #last: SealedEvent | undefined;
  readonly #isCopy: boolean;
  readonly #faults: Faults;
  readonly #missing: Loose<Leaf>[] = [];
  readonly #added: Loose<StoredEvent>[] = [];
  #pairs = 0;
  #leaves = 0;
  #isTruncated = false;
  verified = 0;
  unsealed = 0;
  removed = 0;

  constructor(salts: Salts, last: SealedEvent | undefined, isCopy: boolean, faults: Faults) {
    this.#salts = salts;
    this.#last = last;
    this.#isCopy = isCopy;
    this.#faults = faults;
  }

  async run(
    store: EventStore,
    bundles: AsyncGenerator<readonly (SealedEvent | undefined)[]>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const leaves = this.#each(bundles);
    const events = this.#events(rawLogOf(store), signal);
    const pull = <T>(side: AsyncIterator<T>) => async (): Promise<T | undefined> => {
      const { done, value } = await side.next();
      return done ? undefined : value;
    };
    try {
      await align(pull(leaves), this.#checked(pull(events)), keyOfLeaf, keyOf, {
        pair: (leaf, event) => this.#pair(leaf, event),
        missing: (leaf) => this.#miss(leaf),
        added: (event, isBehind) => this.#add(event, isBehind),
      });
    } finally {
      await events.return(undefined);
      await leaves.return(undefined);
    }
    this.#explain();
  }

  /** The events of a log, from the first that is kept; damage is a fault. */
  async *#events(log: RawLog, signal: AbortSignal | undefined): AsyncGenerator<StoredEvent> {
    const onDamage = (fault: HistoryFault): void => {
      if (fault instanceof HistoryTruncatedError) this.#isTruncated = true;
      else this.#faults.add({ kind: "unreadable", message: fault.message, position: fault.position });
    };
    let hasBegun = false;
    try {
      for await (const event of log.read("start", signal, onDamage)) {
        hasBegun = true;
        yield event;
      }
    } catch (error) {
      // A beginning that is gone is thrown, since the read cannot begin.
      const isFault = error instanceof HistoryTruncatedError || error instanceof DamagedHistoryError;
      if (!isFault || hasBegun) throw error;
      onDamage(error);
      yield* log.read("first-kept", signal, onDamage);
    }
  }

  async *#each(bundles: AsyncGenerator<readonly (SealedEvent | undefined)[]>): AsyncGenerator<Leaf> {
    for await (const bundle of bundles) for (const sealed of bundle) yield { index: this.#leaves++, sealed };
  }

  /** Refuses the first event of another log. */
  #checked(pull: () => Promise<StoredEvent | undefined>): () => Promise<StoredEvent | undefined> {
    return async () => {
      const event = await pull();
      const { position: sealed } = this.#last ?? {};
      if (this.#isCopy || !event || sealed === undefined || logOf(event.position) === logOf(sealed)) {
        return event;
      }
      throw new SealError(
        "other-log",
        "The store is another log than the one that was sealed. If it is a copy, pass { copy: true }.",
      );
    };
  }

  #pair({ index, sealed }: Leaf, event: StoredEvent): void {
    this.#pairs++;
    if (!sealed) return;
    const fields = this.#differences(index, sealed, event);
    if (fields.length === 0) this.verified++;
    else this.#faults.add(changed(sealed, event, fields));
  }

  #miss(leaf: Leaf): void {
    const isRemoved = this.#isTruncated && this.#pairs === 0 && this.#added.length === 0;
    if (isRemoved) this.removed++;
    else if (leaf.sealed) this.#missing.push({ item: leaf, after: this.#pairs });
  }

  #add(event: StoredEvent, isBehind: boolean): void {
    const { position } = this.#last ?? {};
    const isNewer = isBehind &&
      (this.#isCopy || position === undefined || placeOf(event.position) > placeOf(position));
    // One that is missing may have been moved behind the others.
    if (isNewer && this.#missing.length === 0) this.unsealed++;
    else this.#added.push({ item: event, after: this.#pairs, isNewer });
  }

  /** Which parts of an event differ from what was sealed. */
  #differences(index: number, sealed: SealedEvent, event: StoredEvent): string[] {
    const fields: string[] = (["actorId", "version", "eventType", "timestamp"] as const)
      .filter((field) => event[field] !== sealed[field]);
    if (!this.#isCopy && placeOf(event.position) !== placeOf(sealed.position)) fields.push("position");
    const isKnown = fields.length === 0 || fields[0] === "position";
    if (isKnown && digestOf(this.#salts.of(index), storedText(event)) !== sealed.digest) fields.push("data");
    return fields;
  }

  /** Reports what has no counterpart: an event at another place was reordered, and one in the place of another was changed. */
  #explain(): void {
    const byKey = new Map(this.#added.map((loose) => [keyOf(loose.item), loose]));
    const byPlace = new Map(this.#added.map((loose) => [placeOf(loose.item.position), loose]));
    const explained = new Set<Loose<StoredEvent>>();
    for (const { item: { index, sealed }, after } of this.#missing) {
      if (!sealed) continue;
      const place = placeOf(sealed.position);
      const match = byKey.get(keyOf(sealed)) ?? byPlace.get(place);
      if (!match || explained.has(match)) {
        this.#faults.add({ kind: "missing", message: `${shown(sealed)} is missing.`, ...refer(sealed) });
        continue;
      }
      explained.add(match);
      const fields = this.#differences(index, sealed, match.item);
      const isSame = fields.every((field) => field === "position") &&
        (fields.length > 0 || match.after !== after);
      this.#faults.add(isSame ? reordered(sealed, match.item) : changed(sealed, match.item, fields));
    }
    for (const loose of this.#added) {
      if (explained.has(loose)) continue;
      const { item: event, isNewer } = loose;
      if (isNewer) {
        this.unsealed++;
        continue;
      }
      const message = `${shown(event)} is not sealed, and is stored between events that are.`;
      this.#faults.add({ kind: "added", message, ...refer(event), position: event.position });
    }
  }
}

interface Named {
  readonly actorId: string;
  readonly version: number;
}

function keyOf({ actorId, version }: Named): string {
  return `${version} ${actorId}`;
}

function keyOfLeaf({ sealed }: Leaf): string | undefined {
  return sealed && keyOf(sealed);
}

function refer({ actorId, version }: Named): Named {
  return { actorId, version };
}

function shown({ actorId, version }: Named): string {
  return `Event ${version} of actor ${JSON.stringify(actorId)}`;
}

function changed(sealed: SealedEvent, { position }: StoredEvent, fields: readonly string[]): SealFault {
  const message = `${shown(sealed)} was changed after it was sealed: ${fields.join(", ")}.`;
  return { kind: "changed", message, ...refer(sealed), position, fields };
}

function reordered(sealed: SealedEvent, { position }: StoredEvent): SealFault {
  const message = `${shown(sealed)} is stored at ${position}, and was sealed at ${sealed.position}.`;
  return { kind: "reordered", message, ...refer(sealed), position };
}

/** The id of a log in its positions, and the digits of the proof at their end. */
const POSITION = /^([0-9a-f]{12}-)([0-9a-f]+)[0-9a-f]{6}$/;

/** The log of a position; the positions of stores of other programs have none. */
function logOf(position: string): string {
  return POSITION.exec(position)?.[1] ?? "";
}

/** A position without its proof, which changes with every event of its commit. */
function placeOf(position: string): string {
  const [, log = "", body = position] = POSITION.exec(position) ?? [];
  return log + body;
}
