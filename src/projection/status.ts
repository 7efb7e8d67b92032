/**
 * How projections are getting on.
 *
 * @module
 */

import type { Event, StoredEvent } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkSignal, readOptions } from "../options.ts";
import { DamagedHistoryError, HistoryTruncatedError, InvalidPositionError } from "../store/errors.ts";
import type { EventStore } from "../store/types.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import type { ProjectionId } from "./errors.ts";
import { type FailingEvent, type ParkedEvent, parseRecord, type Resolution } from "./record.ts";
import { untyped } from "./untyped_store.ts";

/** How far a projection is behind. */
export interface ProjectionLag {
  /** Events of its filter that it has not handled, up to the `countLimit` of the call. */
  readonly events: number;
  /** Whether there are more than were counted. */
  readonly isMore: boolean;
  /** The age of the oldest event that it has not handled, in ms; 0 if there is none. */
  readonly time: number;
}

/** How a projection is getting on. */
export interface ProjectionStatus extends ProjectionId {
  /** Everything up to here was handled, left out or parked. */
  readonly position: string | undefined;
  /** How many events were handled. */
  readonly handled: number;
  /** When the checkpoint was written, RFC 3339. */
  readonly savedAt: string;
  /** How far it is behind; nothing where that cannot be told, see `problem`. */
  readonly lag: ProjectionLag | undefined;
  /**
   * Why the log cannot be read on from its position: it is of another log or ahead of this one, what follows it has
   * expired or is damaged. Running the projection ends with the same error.
   */
  readonly problem: InvalidPositionError | HistoryTruncatedError | DamagedHistoryError | undefined;
  /** Whether it gave up before the event that is failing. */
  readonly stopped: boolean;
  /** The event that fails. */
  readonly failing: FailingEvent | undefined;
  /** What it has set aside. */
  readonly parked: readonly ParkedEvent[];
  /** What became of what it had set aside, the latest hundred. */
  readonly resolved: readonly Resolution[];
}

/** What is asked. */
export interface StatusOptions {
  /** The most events that are counted for the lag of one projection. @default {10000} */
  readonly countLimit?: number;
  /** Ends the counting with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * The status of every projection that has a checkpoint, as their checkpoints say.
 *
 * @param store The store that they are of.
 * @param checkpoints Where their checkpoints are.
 * @throws {DamagedCheckpointError} If a checkpoint cannot be read.
 *
 * @example
 * ```ts
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import { InMemoryCheckpoints, projectionStatuses, projectOnce } from "@flowmade-one/aether/projection";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await using checkpoints = new InMemoryCheckpoints();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: {} }], { expectedVersion: 0 });
 * await projectOnce(store, { name: "totals", checkpoints, handle: () => {} });
 * await store.append("order-1", [{ eventType: "OrderPaid", data: {} }], { expectedVersion: 1 });
 * const [totals] = await projectionStatuses(store, checkpoints);
 * assert.equal(totals?.lag?.events, 1);
 * ```
 */
export async function projectionStatuses<E extends Event>(
  store: EventStore<E>,
  checkpoints: Pick<CheckpointStore<unknown>, "list">,
  options?: StatusOptions,
): Promise<readonly ProjectionStatus[]> {
  const { countLimit = 10_000, signal } = readOptions(options, ({ ...fields }) => fields);
  checkSignal(signal);
  if (!Number.isSafeInteger(countLimit) || countLimit < 1) {
    throw new InvalidArgumentError("options.countLimit", "must be a positive integer");
  }
  const statuses: ProjectionStatus[] = [];
  for (const stored of await checkpoints.list()) {
    const { name, version, position, handled, savedAt, stopped, failing, parked, resolved, filter } =
      parseRecord(undefined, stored);
    const log = untyped(store).readAll({
      ...filter,
      after: position ?? "first-kept",
      limit: countLimit + 1,
      ...(signal && { signal }),
    });
    let lag: ProjectionStatus["lag"];
    let problem: ProjectionStatus["problem"];
    try {
      lag = await count(log, countLimit);
    } catch (error) {
      // It is this projection's, and those who ask want to hear of the others too.
      const isItsOwn = error instanceof InvalidPositionError || error instanceof HistoryTruncatedError ||
        error instanceof DamagedHistoryError;
      if (!isItsOwn) throw error;
      problem = error;
    }
    const known = { name, version, position, handled, savedAt, stopped, failing, parked, resolved };
    statuses.push({ ...known, lag, problem });
  }
  return statuses.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.version - b.version);
}

/** Counts what has not been handled. */
async function count(log: AsyncIterable<StoredEvent>, limit: number): Promise<ProjectionLag> {
  let events = 0;
  let oldest: string | undefined;
  for await (const { timestamp } of log) {
    oldest ??= timestamp;
    events++;
  }
  return {
    events: Math.min(events, limit),
    isMore: events > limit,
    time: oldest === undefined ? 0 : Math.max(0, Date.now() - Date.parse(oldest)),
  };
}
