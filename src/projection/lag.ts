/**
 * How far projections are behind, and why a log cannot be read on.
 *
 * @module
 */

import { EventSchemaError, SchemaVersionError } from "../event/errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { DamagedHistoryError, HistoryTruncatedError, InvalidPositionError } from "../store/errors.ts";
import type { EventStore, LogStart, ReadAllOptions } from "../store/types.ts";

/**
 * How far a projection is behind.
 *
 * @category Projections
 */
export interface ProjectionLag {
  /**
   * Events of its filter that it has not handled, up to the `countLimit` of the call. With segments by a `key` of its own, those
   * that not every segment has gone past.
   */
  readonly events: number;
  /** Whether there are more than were counted. */
  readonly isMore: boolean;
  /** The age of the oldest event that it has not handled, in ms; 0 if there is none. */
  readonly time: number;
}

/** Why the log cannot be read on from a position. */
type LogProblem =
  | InvalidPositionError
  | HistoryTruncatedError
  | DamagedHistoryError
  | SchemaVersionError;

/** Makes a lag of what was counted. */
export function lagOf(events: number, isMore: boolean, oldest: number | undefined): ProjectionLag {
  return { events, isMore, time: oldest === undefined ? 0 : Math.max(0, Date.now() - oldest) };
}

/** How many events that cannot be handed out are counted one by one. */
const MAX_REFUSED = 100;

/** Counts what has not been handled. An event that its schema refuses is one of them, and no reason to stop. */
export async function behind(
  store: EventStore,
  read: ReadAllOptions,
  after: LogStart,
  countLimit: number,
  counts: (event: Unhandled) => boolean,
): Promise<{ readonly lag: ProjectionLag | undefined; readonly problem: LogProblem | undefined }> {
  let events = 0;
  let oldest: number | undefined;
  let isMore = true;
  const count = (event: Unhandled): void => {
    if (!counts(event)) return;
    oldest ??= Date.parse(event.timestamp);
    events++;
  };
  for (let refused = 0; refused < MAX_REFUSED && isMore && events <= countLimit;) {
    const limit = countLimit + 1 - events;
    let seen = 0;
    try {
      for await (const event of store.readAll({ ...read, after, limit })) {
        seen++;
        after = event.position;
        count(event);
      }
      isMore = seen === limit;
    } catch (error) {
      if (!(error instanceof EventSchemaError)) return { lag: undefined, problem: problemOf(error) };
      refused++;
      count(error);
      after = error.position;
    }
  }
  return {
    lag: lagOf(Math.min(events, countLimit), isMore || events > countLimit, oldest),
    problem: undefined,
  };
}

/** An event behind the position, also one that cannot be read. */
export type Unhandled = Pick<StoredEvent, "position" | "actorId" | "timestamp">;

/** Returns what belongs to one projection, and must not keep its caller from the status of the others. */
export function problemOf(error: unknown): LogProblem {
  const isItsOwn = error instanceof InvalidPositionError || error instanceof HistoryTruncatedError ||
    error instanceof DamagedHistoryError || error instanceof SchemaVersionError;
  if (!isItsOwn) throw error;
  return error;
}
