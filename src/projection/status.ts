/**
 * How projections are getting on.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { InvalidArgumentError } from "../errors.ts";
import type { SchemaVersionError } from "../event/errors.ts";
import type { Event } from "../event/types.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import type { DamagedHistoryError, HistoryTruncatedError, InvalidPositionError } from "../store/errors.ts";
import type { EventStore } from "../store/types.ts";
import { describe } from "../text.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import type { DamagedCheckpointError, ProjectionId } from "./errors.ts";
import { behind, type ProjectionLag, type Unhandled } from "./lag.ts";
import { segmentOf } from "./layout.ts";
import { progressOf, type RebuildProgress } from "./rebuild_progress.ts";
import type { FailingEvent, ParkedEvent, ProjectionRecord, Resolution } from "./record.ts";
import { indexOf } from "./segment.ts";
import {
  type Found,
  foundIn,
  nameOf,
  Part,
  rateOf,
  segmentsOf,
  type SegmentStatus,
} from "./segment_status.ts";

/**
 * How a projection is getting on.
 *
 * @category Projections
 */
export interface ProjectionStatus extends ProjectionId {
  /** Everything up to here was handled, left out or parked. */
  readonly position: string | undefined;
  /** How many events were handled, as far as its checkpoints can be read. */
  readonly handled: number;
  /** When the checkpoint was written, RFC 3339; empty if it cannot be read. */
  readonly savedAt: string;
  /** How far it is behind; `undefined` if it is not known, see `problem`. */
  readonly lag: ProjectionLag | undefined;
  /**
   * Why it cannot go on: its checkpoint, or that of a segment, is damaged; or the log cannot be read on from its position,
   * because that is of another log or ahead of this one, or because what follows it has expired, is damaged, or is newer than this
   * program. Running the projection ends with the same error.
   */
  readonly problem:
    | DamagedCheckpointError
    | InvalidPositionError
    | HistoryTruncatedError
    | DamagedHistoryError
    | SchemaVersionError
    | undefined;
  /** How far it is, if it is being built to replace another version and the log can be read. */
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
 * The status of every projection that has a checkpoint, as their checkpoints say. One whose checkpoint cannot be read has the error as
 * its `problem`.
 *
 * @param store The store that they are of.
 * @param checkpoints Where their checkpoints are.
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
  const found = new Map<string, Found>();
  for (const stored of await abortable(checkpoints.list(), signal)) {
    const one = foundIn(stored);
    found.set(nameOf(one.id), one);
  }
  const records = [...found.values()].flatMap(({ record }) => record ?? []);
  const statuses: ProjectionStatus[] = [];
  for (const { id, record, damage } of found.values()) {
    if (segmentOf(id).segment) continue;
    signal?.throwIfAborted();
    if (!record) {
      statuses.push(unknownStatus(id, damage));
      continue;
    }
    const rebuild = await progressOf(store, record, records, signal);
    const status = await statusOf(store, record, found, countLimit, signal);
    statuses.push({ ...status, rebuild, replacedBy: record.replacedBy?.version });
  }
  return statuses.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.version - b.version);
}

/** The status of a projection whose checkpoint cannot be read. */
function unknownStatus({ name, version }: ProjectionId, problem: DamagedCheckpointError): ProjectionStatus {
  return {
    ...{ name, version, problem, position: undefined, lag: undefined, handled: 0, rate: 0, savedAt: "" },
    ...{
      stopped: false,
      failing: undefined,
      parked: [],
      resolved: [],
      rebuild: undefined,
      replacedBy: undefined,
    },
  };
}

async function statusOf(
  store: EventStore,
  head: ProjectionRecord,
  found: ReadonlyMap<string, Found>,
  countLimit: number,
  signal: AbortSignal | undefined,
): Promise<Omit<ProjectionStatus, "rebuild" | "replacedBy">> {
  const { name, version, savedAt, filter, layout } = head;
  const parts = layout ? await segmentsOf(head, layout, found) : [new Part(head)];
  const records = parts.flatMap(({ record }) => record ?? []);
  const damage = parts.find((part) => part.damage)?.damage;
  const positions = records.map(({ position }) => position);
  const position = positions.includes(undefined) ? undefined : (positions as string[]).sort()[0];
  const count = (event: Unhandled): boolean => {
    // The key of an event is not known here: what some have not done may be theirs.
    if (head.hasOwnKey) return !parts.every((part) => part.hasDone(event));
    return (parts.length > 1 ? parts[indexOf(event.actorId, parts.length)]! : parts[0]!).count(event);
  };
  const read = { ...filter, ...(signal && { signal }) };
  const { lag, problem } = records.length > 0
    ? await behind(store, read, position ?? "first-kept", countLimit, count)
    : { lag: undefined, problem: undefined };
  const isMore = head.hasOwnKey ? undefined : lag?.isMore;
  return {
    name,
    version,
    position: damage ? undefined : position,
    handled: records.reduce((sum, { handled }) => sum + handled, 0),
    savedAt: layout ? records.map((record) => record.savedAt).sort().at(-1) ?? "" : savedAt,
    lag: damage ? undefined : lag,
    problem: damage ?? problem,
    stopped: records.some(({ stopped }) => stopped),
    failing: records.find(({ failing }) => failing)?.failing,
    parked: records.flatMap(({ parked }) => parked),
    resolved: records.flatMap(({ resolved }) => resolved),
    rate: Math.round(100 * records.reduce((sum, record) => sum + rateOf(record), 0)) / 100,
    ...(layout && { segments: parts.map((part, index) => part.status(index, isMore)) }),
  };
}
