/**
 * From one store to another, events and all.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { inBatches, isCopyOf } from "./batch.ts";
import { CarriedCheckpoints, type CheckpointCopy } from "./copy_checkpoints.ts";
import { CopyError } from "./copy_errors.ts";
import { OutcomeUnknownError, VersionConflictError } from "./errors.ts";
import { OrderedSaves } from "./ordered_saves.ts";
import { type RawLog, rawLogOf } from "./raw_log.ts";
import type { EventStore, StoreLimits } from "./types.ts";
import { describe } from "../text.ts";

/**
 * How far a copy has come.
 *
 * @category Stores
 */
export interface CopyProgress {
  /** What is being done: comparing what an earlier run left, copying the rest, verifying it. */
  readonly phase: "comparing" | "copying" | "verifying";
  /** How many events of the log have come through this phase; what an earlier phase did before counts. */
  readonly events: number;
}

/**
 * What can be asked of a copy.
 *
 * @category Stores
 */
export interface CopyOptions {
  /** Called at least every 1,000 events, at the end of a phase that took any, and when all is done. */
  readonly onProgress?: (progress: CopyProgress) => void;
  /**
   * Checkpoints of projections that are carried along: each projection goes on in the target behind the event where it was in the
   * source, and handles none again. Stop the projections first. A place may hold checkpoints of other stores, which are left alone.
   *
   * @default {none}
   */
  readonly checkpoints?: readonly CheckpointCopy[];
  /** Ends the copy with the signal's reason. Run it again to go on. */
  readonly signal?: AbortSignal;
}

/**
 * What a copy did.
 *
 * @category Stores
 */
export interface CopyReport {
  /** How many events are in both stores. */
  readonly events: number;
  /** How many of them this run copied; the rest was copied before. */
  readonly copied: number;
  /** The position of the last event in the source; nothing if it is empty. */
  readonly fromPosition: string | undefined;
  /** The position of the last event in the target: positions belong to their log, and are not carried over. */
  readonly toPosition: string | undefined;
  /** How many checkpoints this run carried along; only if the option was given. */
  readonly checkpoints?: number;
}

/**
 * Copies every event of a store into another one: from Deno KV to JetStream, say, when an application outgrows one
 * machine, or back. Ids, types, data, versions with their gaps, timestamps, metadata, schema versions and the order of
 * the global log stay as they are; neither store needs to know the schemas, and nothing is announced on a bus.
 *
 * It can be killed at any moment and run again. At every moment the target's log is the beginning of the source's, so
 * that the target itself shows how far the copy is: a run compares what is stored, event by event, and continues after
 * it. For that promise commits depend on one another, each as large as the target's limits and the order allow. In the end
 * everything is read again and compared, and the target verifies itself.
 *
 * Not carried over: which events came in one commit, snapshots, fencing tokens, and positions; checkpoints of projections are
 * if they are asked for.
 * On JetStream the retention of an event counts from when it was copied.
 *
 * @example From memory to Deno KV
 * ```ts
 * import { copyEvents, DenoKvEventStore, InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using from = new InMemoryEventStore();
 * await from.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 *
 * await using to = await DenoKvEventStore.open(":memory:");
 * assert.equal((await copyEvents(from, to)).copied, 1);
 * assert.equal((await copyEvents(from, to)).copied, 0); // again: all is copied
 * assert.equal((await to.getEvents("order-1"))[0]!.id, (await from.getEvents("order-1"))[0]!.id);
 * ```
 *
 * @example A projection goes on in the new store
 * ```ts
 * import { copyEvents, DenoKvEventStore, InMemoryCheckpoints, InMemoryEventStore, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * let mails = 0;
 * const checkpoints = new InMemoryCheckpoints();
 * const mailing = { name: "mailing", checkpoints, handle: () => void mails++ };
 * await using from = new InMemoryEventStore();
 * await from.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * await projectOnce(from, mailing);
 *
 * await using to = await DenoKvEventStore.open(":memory:");
 * await copyEvents(from, to, { checkpoints: [{ from: checkpoints, to: checkpoints }] });
 * await projectOnce(to, mailing);
 * assert.equal(mails, 1);
 * ```
 *
 * @param from Where the events are. Nothing should write to it any more.
 * @param to Where they go: empty, or with what an earlier copy left.
 * @param options Progress and abort.
 * @throws {CopyError} If the source grew meanwhile (run it again), or the target holds something else.
 * @throws {DamagedHistoryError} If either store is damaged.
 * @throws {HistoryTruncatedError} If retention has removed the beginning of the source.
 * @throws {EventTooLargeError} If an event is larger than the target takes.
 * @throws {OutcomeUnknownError | BackendError} If a store could not be reached. Run it again.
 * @throws {CheckpointConflictError} If a checkpoint was written during the copy. Stop its projection and run it again.
 * @throws {InvalidArgumentError} If both are the same store.
 *
 * @category Stores
 */
export async function copyEvents<E extends Event>(
  from: EventStore<E>,
  to: EventStore<E>,
  options?: CopyOptions,
): Promise<CopyReport> {
  const checked = readOptions(options, checkCopy);
  // What a copy does to events does not depend on their types.
  const [source, target]: [EventStore, EventStore] = [from, to];
  const logs = [rawLogOf(source), rawLogOf(target)] as const;
  const carried = checked.checkpoints &&
    await CarriedCheckpoints.read(checked.checkpoints, ...logs, checked.signal);
  const copy = new Copy(...logs, to.limits, checked, carried);
  await copy.compare("comparing");
  const before = copy.reached;
  await copy.fill();
  await copy.verify(before);
  const { events, from: fromPosition, to: toPosition } = copy.reached;
  const { signal } = checked;
  const { faults } = await to.verify({
    ...(toPosition !== undefined && { expectedPosition: toPosition }),
    ...(signal && { signal }),
  });
  if (faults[0]) throw faults[0];
  // All that took a while: what has come to either store meanwhile?
  await copy.verify(copy.reached);
  const checkpoints = await carried?.store();
  checked.onProgress?.({ phase: "verifying", events });
  return {
    events,
    copied: events - before.events,
    fromPosition,
    toPosition,
    ...(checkpoints !== undefined && { checkpoints }),
  };
}

const COPY_OPTIONS: OptionNames<CopyOptions> = { onProgress: true, checkpoints: true, signal: true };

/** Returns the options as they were read. */
function checkCopy({ ...options }: CopyOptions): CopyOptions {
  checkKnown<CopyOptions>(options, COPY_OPTIONS);
  checkFunction("options.onProgress", options.onProgress);
  checkSignal(options.signal);
  const { checkpoints } = options;
  if (checkpoints === undefined) return options;
  if (!Array.isArray(checkpoints)) {
    throw new InvalidArgumentError(
      "options.checkpoints",
      `must be an array of { from, to }, and is ${describe(checkpoints)}`,
    );
  }
  for (const { from, to } of checkpoints as readonly CheckpointCopy[]) {
    if (typeof from?.list === "function" && typeof to?.save === "function") continue;
    throw new InvalidArgumentError(
      "options.checkpoints",
      "must hold two places for checkpoints each, { from, to }, such as InMemoryCheckpoints",
    );
  }
  return options;
}

/** A place that both logs have come to. */
interface Reached {
  readonly events: number;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** Events between two reports of progress. */
const REPORT_EVERY = 1_000;

class Copy {
  readonly #from: RawLog;
  readonly #to: RawLog;
  readonly #limits: StoreLimits;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: CopyOptions["onProgress"];
  readonly #carried: CarriedCheckpoints | undefined;
  #reported = 0;
  /** Up to here the logs are known to be the same. */
  reached: Reached = { events: 0, from: undefined, to: undefined };

  constructor(
    from: RawLog,
    to: RawLog,
    limits: StoreLimits,
    options: CopyOptions,
    carried: CarriedCheckpoints | undefined,
  ) {
    this.#carried = carried;
    this.#from = from;
    this.#to = to;
    this.#limits = limits;
    this.#signal = options.signal;
    this.#onProgress = options.onProgress;
  }

  /** Compares the target with the source, up to the target's end; returns the event that the source has next. */
  async compare(phase: CopyProgress["phase"]): Promise<StoredEvent | undefined> {
    const expected = this.#from.read(this.reached.from ?? "start", this.#signal)[Symbol.asyncIterator]();
    try {
      for await (const found of this.#to.read(this.reached.to ?? "start", this.#signal)) {
        const { done, value } = await expected.next();
        if (done) throw this.#differs(found, undefined);
        if (found.position === value.position) {
          throw new InvalidArgumentError("to", "is the store that is copied from: open another one");
        }
        if (!isCopyOf(found, value)) throw this.#differs(found, value);
        this.#carried?.pass(value.position, found.position);
        this.#advance(phase, 1, value, found);
      }
      this.#reportEnd(phase);
      const next = await expected.next();
      return next.done ? undefined : next.value;
    } finally {
      await expected.return?.();
    }
  }

  /** Copies what the source has behind this place. */
  async fill(): Promise<void> {
    for (;;) {
      const { events } = this.reached;
      try {
        await this.#copy();
        return this.#reportEnd("copying");
      } catch (error) {
        if (!(error instanceof VersionConflictError || error instanceof OutcomeUnknownError)) throw error;
        // A write of our own came late, or another process copies too: what is stored counts, no matter which process wrote it.
        await this.compare("copying");
        if (this.reached.events === events) throw error;
      }
    }
  }

  /** Reads again what was copied since a place, and whether the source has more by now. */
  async verify(since: Reached): Promise<void> {
    const { events } = this.reached;
    this.reached = since;
    this.#reported = since.events;
    const next = await this.compare("verifying");
    if (this.reached.events < events) throw this.#differs(undefined, next);
    if (next) {
      throw new CopyError("source-grew", { events: this.reached.events, position: this.reached.from });
    }
  }

  #differs(found: StoredEvent | undefined, expected: StoredEvent | undefined): CopyError {
    return new CopyError("target-differs", { events: this.reached.events, found, expected });
  }

  async #copy(): Promise<void> {
    const events = this.#from.read(this.reached.from ?? "start", this.#signal);
    const saves = new OrderedSaves(this.#to, this.#signal, async ({ events, stored }) => {
      this.#advance("copying", events.length, events.at(-1)!, (await stored).at(-1)!);
    });
    try {
      // The next batch is read while those before are being saved.
      for await (const batch of inBatches(events, saves.limits(this.#limits))) await saves.add(batch);
      await saves.flush();
    } finally {
      await saves.end();
    }
  }

  #advance(phase: CopyProgress["phase"], by: number, from: StoredEvent, to: StoredEvent): void {
    const events = this.reached.events + by;
    this.reached = { events, from: from.position, to: to.position };
    if (events - this.#reported >= REPORT_EVERY) this.#report(phase);
  }

  /** Reports what has not been reported when a phase ends. */
  #reportEnd(phase: CopyProgress["phase"]): void {
    if (this.reached.events > this.#reported) this.#report(phase);
  }

  #report(phase: CopyProgress["phase"]): void {
    const { events } = this.reached;
    this.#reported = events;
    this.#onProgress?.({ phase, events });
  }
}
