/**
 * How the segments of a projection are getting on.
 *
 * @module
 */

import type { StoredCheckpoint } from "./checkpoints.ts";
import { DamagedCheckpointError, type ProjectionId } from "./errors.ts";
import { lagOf, type ProjectionLag, type Unhandled } from "./lag.ts";
import type { Layout } from "./layout.ts";
import {
  type FailingEvent,
  isPassed,
  type ParkedEvent,
  parseRecord,
  type ProjectionRecord,
} from "./record.ts";
import { generationsOf, isAhead, seenRecord, type SeenRecords } from "./segment.ts";

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
  /** When its checkpoint was written, RFC 3339; empty if it has none yet, or it cannot be read. */
  readonly savedAt: string;
  /** Why its checkpoint cannot be read. */
  readonly problem: DamagedCheckpointError | undefined;
  /** Whether it gave up before the event that is failing. */
  readonly stopped: boolean;
  /** The event that fails. */
  readonly failing: FailingEvent | undefined;
  /** What it has set aside. */
  readonly parked: readonly ParkedEvent[];
}

/** A record, or why it cannot be read. */
export type Found =
  & { readonly id: ProjectionId }
  & (
    | { readonly record: ProjectionRecord; readonly damage?: undefined }
    | { readonly record?: undefined; readonly damage: DamagedCheckpointError }
  );

/** Reads what was listed. */
export function foundIn(stored: StoredCheckpoint): Found {
  try {
    const record = parseRecord(undefined, stored);
    const { name, version } = record;
    return { id: { name, version }, record };
  } catch (error) {
    if (!(error instanceof DamagedCheckpointError)) throw error;
    return { id: stored.id ?? error.projection, damage: error };
  }
}

/** The name of a record among those that were found. */
export function nameOf({ name, version }: ProjectionId): string {
  return `${version} ${name}`;
}

/** A projection without segments, or a segment of one, and what of it is counted. */
export class Part {
  /** Its record. */
  readonly record: ProjectionRecord | undefined;
  /** Why its record cannot be read. */
  readonly damage: DamagedCheckpointError | undefined;
  #events = 0;
  #oldest: number | undefined;

  /** Has nothing counted yet. */
  constructor(record: ProjectionRecord | undefined, damage?: DamagedCheckpointError) {
    this.record = record;
    this.damage = damage;
  }

  /** Whether an event, if it is one of its, was handled, left out or parked. */
  hasDone({ actorId, position }: Unhandled): boolean {
    const { record } = this;
    return !record || isPassed(record, position) || isAhead(record.ahead, actorId, position);
  }

  /** Counts an event of its, unless it is done; returns whether it has. */
  count(event: Unhandled): boolean {
    if (this.hasDone(event)) return false;
    this.#events++;
    this.#oldest ??= Date.parse(event.timestamp);
    return true;
  }

  /**
   * How it is getting on, if it is a segment.
   *
   * @param isMore Whether there are more events than were counted; `undefined` if they were not counted by segment.
   */
  status(index: number, isMore: boolean | undefined): SegmentStatus {
    const { record, damage: problem } = this;
    const isCounted = record !== undefined && isMore !== undefined;
    return {
      index,
      position: record?.position,
      handled: record?.handled ?? 0,
      rate: record ? rateOf(record) : 0,
      lag: isCounted ? lagOf(this.#events, isMore, this.#oldest) : undefined,
      savedAt: record?.savedAt ?? "",
      problem,
      stopped: record?.stopped ?? false,
      failing: record?.failing,
      parked: record?.parked ?? [],
    };
  }
}

/** The segments of a projection, of those records that were found. */
export async function segmentsOf(
  head: ProjectionRecord,
  layout: Layout,
  found: ReadonlyMap<string, Found>,
): Promise<readonly Part[]> {
  const load = (id: ProjectionId): Promise<StoredCheckpoint | undefined> => {
    const one = found.get(nameOf(id));
    if (one?.damage) return Promise.reject(one.damage);
    return Promise.resolve(one && { value: JSON.stringify(one.record), revision: "" });
  };
  const { name, version } = head;
  const records = { id: { name, version }, checkpoints: { load }, generations: generationsOf(layout) };
  const seen: SeenRecords = new Map();
  return await Promise.all(Array.from({ length: layout.count }, async (_, index) => {
    try {
      return new Part(await seenRecord(records, head, index, seen));
    } catch (error) {
      if (!(error instanceof DamagedCheckpointError)) throw error;
      return new Part(undefined, error);
    }
  }));
}

/** A rate is out of date if its checkpoint was not written for so long, in milliseconds. */
const RATE_TTL = 10_000;

/** How many events a second were handled of late. */
export function rateOf({ rate = 0, savedAt }: ProjectionRecord): number {
  return Date.now() - Date.parse(savedAt) <= RATE_TTL ? rate : 0;
}
