/**
 * The comparison of a log with the leaves of its seal, event by event.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { DamagedHistoryError, type HistoryFault, HistoryTruncatedError } from "../store/errors.ts";
import { type RawLog, rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import { align } from "./alignment.ts";
import { SealError } from "./errors.ts";
import { REPORT_EVERY } from "./export_types.ts";
import { digestOf, type Salts, type SealedEvent, storedText } from "./leaf.ts";
import type { Faults, SealFault } from "./verify_seal.ts";

/** How a log is compared. */
export interface ComparisonOptions {
  /** Whether the log is a copy: positions are not compared. */
  readonly copy: boolean;
  /** Ends the comparison. */
  readonly signal: AbortSignal | undefined;
  /** Called with how many events of the log were compared. */
  readonly onProgress: ((progress: { readonly events: number }) => void) | undefined;
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

/** Compares a log with the leaves of its seal. */
export class LogComparison {
  readonly #salts: Salts;
  /** The last leaf; `undefined` if there is none. */
  readonly #last: SealedEvent | undefined;
  readonly #isCopy: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ComparisonOptions["onProgress"];
  readonly #faults: Faults;
  readonly #missing: Loose<Leaf>[] = [];
  readonly #added: Loose<StoredEvent>[] = [];
  #pairs = 0;
  #leaves = 0;
  #isTruncated = false;
  /** How many events are as they were sealed. */
  verified = 0;
  /** How many events are newer than the seal. */
  unsealed = 0;
  /** How many sealed events retention has removed. */
  removed = 0;

  constructor(
    salts: Salts,
    last: SealedEvent | undefined,
    { copy, signal, onProgress }: ComparisonOptions,
    faults: Faults,
  ) {
    this.#salts = salts;
    this.#last = last;
    this.#isCopy = copy;
    this.#signal = signal;
    this.#onProgress = onProgress;
    this.#faults = faults;
  }

  /** Compares all of it. */
  async run(
    store: EventStore,
    bundles: AsyncGenerator<readonly (SealedEvent | undefined)[]>,
  ): Promise<void> {
    const leaves = this.#each(bundles);
    const events = this.#events(rawLogOf(store));
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
  async *#events(log: RawLog): AsyncGenerator<StoredEvent> {
    const signal = this.#signal;
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

  /** Refuses the first event of another log, and reports the progress. */
  #checked(pull: () => Promise<StoredEvent | undefined>): () => Promise<StoredEvent | undefined> {
    let events = 0;
    return async () => {
      const event = await pull();
      if (!event || ++events % REPORT_EVERY === 0) this.#onProgress?.({ events });
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
