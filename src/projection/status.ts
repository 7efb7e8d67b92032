/**
 * How projections are getting on.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
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
  /** How far it is behind. */
  readonly lag: ProjectionLag;
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
 * @throws {InvalidPositionError} If a checkpoint is of another log, or ahead of this one.
 */
export async function projectionStatuses<E extends Event>(
  store: EventStore<E>,
  checkpoints: Pick<CheckpointStore<unknown>, "list">,
  options: StatusOptions = {},
): Promise<readonly ProjectionStatus[]> {
  const { countLimit = 10_000, signal } = options;
  if (!Number.isSafeInteger(countLimit) || countLimit < 1) {
    throw new InvalidArgumentError("options.countLimit", "must be a positive integer");
  }
  const statuses: ProjectionStatus[] = [];
  for (const stored of await checkpoints.list()) {
    const { name, version, position, handled, savedAt, stopped, failing, parked, resolved, filter } =
      parseRecord(undefined, stored);
    let events = 0;
    let oldest: string | undefined;
    const log = untyped(store).readAll({
      ...filter,
      after: position ?? "first-kept",
      limit: countLimit + 1,
      ...(signal && { signal }),
    });
    for await (const { timestamp } of log) {
      oldest ??= timestamp;
      events++;
    }
    const lag = {
      events: Math.min(events, countLimit),
      isMore: events > countLimit,
      time: oldest === undefined ? 0 : Math.max(0, Date.now() - Date.parse(oldest)),
    };
    statuses.push({ name, version, position, handled, savedAt, lag, stopped, failing, parked, resolved });
  }
  return statuses.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.version - b.version);
}
