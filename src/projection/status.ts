/**
 * How projections are getting on.
 *
 * @module
 */

import { EventSchemaError, SchemaVersionError } from "../event/errors.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { DamagedHistoryError, HistoryTruncatedError, InvalidPositionError } from "../store/errors.ts";
import { abortable } from "../abortable.ts";
import type { EventStore, LogStart, ReadAllOptions } from "../store/types.ts";
import type { CheckpointStore, StoredCheckpoint } from "./checkpoints.ts";
import type { ProjectionId } from "./errors.ts";
import type { Layout } from "./layout.ts";
import {
  type FailingEvent,
  isPassed,
  type ParkedEvent,
  parseRecord,
  type ProjectionRecord,
  type Resolution,
} from "./record.ts";
import { generationsOf, indexOf, isAhead, seenRecord, type SeenRecords, segmentOf } from "./segment.ts";
import { untyped } from "../store/untyped.ts";
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
 * How far a version is that is being built to replace another one: an estimate by its place in the log.
 *
 * @category Projections
 */
export interface RebuildProgress {
  /** The version that serves until then. */
  readonly replaces: number;
  /** Which part of the log it has handled, from 0 to 1. */
  readonly share: number;
  /** Events a second, since the process began that builds it. */
  readonly rate: number;
  /** How many events are left, about. */
  readonly left: number;
  /** How long it still takes, about, in ms; `undefined` if it has not begun. */
  readonly timeLeft: number | undefined;
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
  /** How far it is, if it is being built to replace another version. */
  readonly rebuild: RebuildProgress | undefined;
  /** The version that has taken over: read the read model of that one. */
  readonly replacedBy: number | undefined;
  /** Whether it gave up before the event that is failing. */
  readonly stopped: boolean;
  /** The event that fails. */
  readonly failing: FailingEvent | undefined;
  /** What it has set aside. */
  readonly parked: readonly ParkedEvent[];
  /** What became of what it had set aside, the latest hundred. */
  readonly resolved: readonly Resolution[];
  /** How many events it handles a second, of late: those of its last checkpoints. */
  readonly rate: number;
  /** Its segments, if it has any. The fields above are of all of them; the position is that of the one that is furthest behind. */
  readonly segments?: readonly SegmentStatus[];
}

/**
 * How a segment of a projection is getting on.
 *
 * @category Projections
 */
export interface SegmentStatus {
  /** Which one, from 0. */
  readonly index: number;
  /** Everything of it up to here was handled, left out or parked. */
  readonly position: string | undefined;
  /** How many events it has handled. */
  readonly handled: number;
  /** How many events it handles a second, of late. */
  readonly rate: number;
  /** How far it is behind; `undefined` if the projection has a `key` of its own, or the log cannot be read on. */
  readonly lag: ProjectionLag | undefined;
  /** When its checkpoint was written, RFC 3339; empty if it has none yet. */
  readonly savedAt: string;
  /** Whether it gave up before the event that is failing. */
  readonly stopped: boolean;
  /** The event that fails. */
  readonly failing: FailingEvent | undefined;
  /** What it has set aside. */
  readonly parked: readonly ParkedEvent[];
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
  const records = (await abortable(checkpoints.list(), signal)).map((stored) =>
    parseRecord(undefined, stored)
  );
  const byName = new Map(records.map((record) => [`${record.version} ${record.name}`, record]));
  for (const record of records) {
    if (segmentOf(record).segment) continue;
    signal?.throwIfAborted();
    const rebuild = await progressOf(untyped(store), record, records);
    const status = await statusOf(untyped(store), record, byName, countLimit, signal);
    statuses.push({ ...status, rebuild, replacedBy: record.replacedBy?.version });
  }
  return statuses.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.version - b.version);
}

/** How far a version is that has not taken over yet. */
async function progressOf(
  store: EventStore,
  { name, version, position, handled, savedAt, rebuild }: ProjectionRecord,
  records: readonly ProjectionRecord[],
): Promise<RebuildProgress | undefined> {
  if (!rebuild) return undefined;
  const { replaces, since } = rebuild;
  const isOver = records.some((other) => other.name === name && other.replacedBy?.version === version);
  if (isOver) return undefined;
  const seconds = (Date.parse(savedAt) - Date.parse(since)) / 1_000;
  const rate = seconds > 0 ? (handled - rebuild.handled) / seconds : 0;
  const share = await shareOf(store, position);
  const left = share === 0 ? 0 : Math.round(handled * (1 - share) / share);
  return { replaces, share, rate, left, timeLeft: rate > 0 && share > 0 ? left / rate * 1_000 : undefined };
}

/** Which part of a log is before a position, by the numbers in positions: they grow as the log does. */
async function shareOf(store: EventStore, position: string | undefined): Promise<number> {
  const last = await store.getLastPosition();
  if (position === undefined || last === undefined) return last === undefined ? 1 : 0;
  for await (const first of store.readAll({ after: "first-kept", limit: 1 })) {
    const [begin, here, end] = [first.position, position, last].map(numberOf);
    if (end! <= begin!) return position >= last ? 1 : 0;
    return Math.min(1, Math.max(0, (here! - begin! + 1) / (end! - begin! + 1)));
  }
  return 1;
}

/** The number of a position behind the name of its log, as far as a number holds it. */
function numberOf(position: string): number {
  return Number(`0x${position.slice(position.indexOf("-") + 1)}`);
}

async function statusOf(
  store: EventStore,
  head: ProjectionRecord,
  byName: ReadonlyMap<string, ProjectionRecord>,
  countLimit: number,
  signal: AbortSignal | undefined,
): Promise<Omit<ProjectionStatus, "rebuild" | "replacedBy">> {
  const { name, version, savedAt, filter, layout } = head;
  const records = layout ? await listed(head, layout, byName) : [head];
  const positions = records.map(({ position }) => position);
  const position = positions.includes(undefined) ? undefined : (positions as string[]).sort()[0];
  const counted = layout &&
    records.map((record) => ({ record, events: 0, oldest: undefined as number | undefined }));
  const read = { ...filter, ...(signal && { signal }) };
  const { lag, problem } = await behind(store, read, position ?? "first-kept", countLimit, (event) => {
    const segment = counted?.[indexOf(event.actorId, counted.length)];
    if (!segment) return true;
    const { record } = segment;
    if (isPassed(record, event.position) || isAhead(record.ahead, event.actorId, event.position)) {
      return false;
    }
    segment.events++;
    segment.oldest ??= Date.parse(event.timestamp);
    return true;
  });
  const segments = counted?.map(({ record, events, oldest }, index): SegmentStatus => ({
    index,
    position: record.position,
    handled: record.handled,
    rate: rateOf(record),
    lag: lag && !head.hasOwnKey ? lagOf(events, lag.isMore, oldest) : undefined,
    savedAt: record.savedAt,
    stopped: record.stopped,
    failing: record.failing,
    parked: record.parked,
  }));
  return {
    name,
    version,
    position,
    handled: records.reduce((sum, { handled }) => sum + handled, 0),
    savedAt: layout ? records.map((record) => record.savedAt).sort().at(-1)! : savedAt,
    lag,
    problem,
    stopped: records.some(({ stopped }) => stopped),
    failing: records.find(({ failing }) => failing)?.failing,
    parked: records.flatMap(({ parked }) => parked),
    resolved: records.flatMap(({ resolved }) => resolved),
    rate: Math.round(100 * records.reduce((sum, record) => sum + rateOf(record), 0)) / 100,
    ...(segments && { segments }),
  };
}

/** The records of the segments, of those that were listed. */
async function listed(
  head: ProjectionRecord,
  layout: Layout,
  byName: ReadonlyMap<string, ProjectionRecord>,
): Promise<readonly ProjectionRecord[]> {
  const load = ({ name, version }: ProjectionId): Promise<StoredCheckpoint | undefined> => {
    const record = byName.get(`${version} ${name}`);
    return Promise.resolve(record && { value: JSON.stringify(record), revision: "" });
  };
  const { name, version } = head;
  const records = { id: { name, version }, checkpoints: { load }, generations: generationsOf(layout) };
  const seen: SeenRecords = new Map();
  return await Promise.all(
    Array.from({ length: layout.count }, (_, index) => seenRecord(records, head, index, seen)),
  );
}

/** A rate is out of date if its checkpoint was not written for so long, in milliseconds. */
const RATE_TTL = 10_000;

function rateOf({ rate = 0, savedAt }: ProjectionRecord): number {
  return Date.now() - Date.parse(savedAt) <= RATE_TTL ? rate : 0;
}

function lagOf(events: number, isMore: boolean, oldest: number | undefined): ProjectionLag {
  return { events, isMore, time: oldest === undefined ? 0 : Math.max(0, Date.now() - oldest) };
}

/** How many events that cannot be handed out are counted one by one. */
const MAX_REFUSED = 100;

/** Counts what has not been handled. An event that its schema refuses is one of them, and no reason to stop. */
async function behind(
  store: EventStore,
  read: ReadAllOptions,
  after: LogStart,
  countLimit: number,
  counts: (event: Unhandled) => boolean,
): Promise<Pick<ProjectionStatus, "lag" | "problem">> {
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
type Unhandled = Pick<StoredEvent, "position" | "actorId" | "timestamp">;

/** Returns what belongs to one projection, and must not keep its caller from the status of the others. */
function problemOf(error: unknown): ProjectionStatus["problem"] {
  const isItsOwn = error instanceof InvalidPositionError || error instanceof HistoryTruncatedError ||
    error instanceof DamagedHistoryError || error instanceof SchemaVersionError;
  if (!isItsOwn) throw error;
  return error;
}
