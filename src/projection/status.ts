/**
 * How projections are getting on.
 *
 * @module
 */

import { EventSchemaError, SchemaVersionError } from "../event/errors.ts";
import type { Event } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { DamagedHistoryError, HistoryTruncatedError, InvalidPositionError } from "../store/errors.ts";
import { abortable } from "../abortable.ts";
import type { EventStore, LogStart, ReadAllOptions } from "../store/types.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import type { ProjectionId } from "./errors.ts";
import { type FailingEvent, type ParkedEvent, parseRecord, type Resolution } from "./record.ts";
import { untyped } from "./untyped_store.ts";
import { describe } from "../text.ts";

/**
 * How far a projection is behind.
 *
 * @category Projections
 */
export interface ProjectionLag {
  /** Events of its filter that it has not handled, up to the `countLimit` of the call. */
  readonly events: number;
  /** Whether there are more than were counted. */
  readonly isMore: boolean;
  /** The age of the oldest event that it has not handled, in ms; 0 if there is none. */
  readonly time: number;
}

/**
 * How a projection is getting on.
 *
 * @category Projections
 */
export interface ProjectionStatus extends ProjectionId {
  /** Everything up to here was handled, left out or parked. */
  readonly position: string | undefined;
  /** How many events were handled. */
  readonly handled: number;
  /** When the checkpoint was written, RFC 3339. */
  readonly savedAt: string;
  /** How far it is behind; `undefined` if it is not known, see `problem`. */
  readonly lag: ProjectionLag | undefined;
  /**
   * Why the log cannot be read on from its position: it is of another log or ahead of this one, what follows it has
   * expired, is damaged, or is newer than this program. Running the projection ends with the same error.
   */
  readonly problem:
    | InvalidPositionError
    | HistoryTruncatedError
    | DamagedHistoryError
    | SchemaVersionError
    | undefined;
  /** Whether it gave up before the event that is failing. */
  readonly stopped: boolean;
  /** The event that fails. */
  readonly failing: FailingEvent | undefined;
  /** What it has set aside. */
  readonly parked: readonly ParkedEvent[];
  /** What became of what it had set aside, the latest hundred. */
  readonly resolved: readonly Resolution[];
}

/**
 * What is asked.
 *
 * @category Projections
 */
export interface StatusOptions {
  /** The most events that are counted for the lag of one projection. @default {10000} */
  readonly countLimit?: number;
  /** Ends the counting with the signal's reason. */
  readonly signal?: AbortSignal;
}

const OPTIONS: OptionNames<StatusOptions> = { countLimit: true, signal: true };

/**
 * The status of every projection that has a checkpoint, as their checkpoints say.
 *
 * @param store The store that they are of.
 * @param checkpoints Where their checkpoints are.
 * @throws {DamagedCheckpointError} If a checkpoint cannot be read.
 * @throws {BackendError} If the checkpoints or the log cannot be reached.
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
 *
 * @category Projections
 */
export async function projectionStatuses<E extends Event>(
  store: EventStore<E>,
  checkpoints: Pick<CheckpointStore<unknown>, "list">,
  options?: StatusOptions,
): Promise<readonly ProjectionStatus[]> {
  const { countLimit = 10_000, signal } = readOptions(options, ({ ...fields }) => {
    checkKnown<StatusOptions>(fields, OPTIONS);
    return fields;
  });
  checkSignal(signal);
  if (!Number.isSafeInteger(countLimit) || countLimit < 1) {
    throw new InvalidArgumentError(
      "options.countLimit",
      `must be a positive integer, and is ${describe(countLimit)}`,
    );
  }
  signal?.throwIfAborted();
  const statuses: ProjectionStatus[] = [];
  for (const stored of await abortable(checkpoints.list(), signal)) {
    const { name, version, position, handled, savedAt, stopped, failing, parked, resolved, filter } =
      parseRecord(undefined, stored);
    const read = { ...filter, ...(signal && { signal }) };
    const { lag, problem } = await behind(untyped(store), read, position ?? "first-kept", countLimit);
    const known = { name, version, position, handled, savedAt, stopped, failing, parked, resolved };
    statuses.push({ ...known, lag, problem });
  }
  return statuses.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.version - b.version);
}

/** How many events that cannot be handed out are counted one by one. */
const MAX_REFUSED = 100;

/** Counts what has not been handled. An event that its schema refuses is one of them, and no reason to stop. */
async function behind(
  store: EventStore,
  read: ReadAllOptions,
  after: LogStart,
  countLimit: number,
): Promise<Pick<ProjectionStatus, "lag" | "problem">> {
  let events = 0;
  let oldest: number | undefined;
  let isMore = true;
  for (let refused = 0; refused < MAX_REFUSED && isMore && events <= countLimit; refused++) {
    try {
      for await (const { timestamp } of store.readAll({ ...read, after, limit: countLimit + 1 - events })) {
        oldest ??= Date.parse(timestamp);
        events++;
      }
      isMore = false;
    } catch (error) {
      if (!(error instanceof EventSchemaError)) return { lag: undefined, problem: problemOf(error) };
      oldest ??= Date.parse(error.timestamp);
      events++;
      after = error.position;
    }
  }
  const time = oldest === undefined ? 0 : Math.max(0, Date.now() - oldest);
  const lag = { events: Math.min(events, countLimit), isMore: isMore || events > countLimit, time };
  return { lag, problem: undefined };
}

/** Returns what belongs to one projection, and must not keep its caller from the status of the others. */
function problemOf(error: unknown): ProjectionStatus["problem"] {
  const isItsOwn = error instanceof InvalidPositionError || error instanceof HistoryTruncatedError ||
    error instanceof DamagedHistoryError || error instanceof SchemaVersionError;
  if (!isItsOwn) throw error;
  return error;
}
