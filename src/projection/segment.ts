/**
 * Segments: the parts of a projection that several processes share. A segment has the events of the keys whose hash is its index,
 * modulo the number of segments, and a record of its own.
 *
 * **The layout.** The record of the projection itself names the present number of segments, and those before it from which a record
 * may still have to be made. A change of the number only replaces the layout; from then on the new segments are made as they
 * are needed, each from the segments before it that its keys were in:
 *
 * 1. such a segment is **closed**: its worker writes this with the last checkpoint, or another worker in its place. A closed record
 *    never changes again, since every write is a compare-and-set;
 * 2. the new record begins at the lowest position of those it is made of, and remembers how far each of them was
 *    {@linkcode Ahead ahead}; what else they have recorded is divided by key.
 *
 * So no event is between two segments, and none is in two of them.
 *
 * @module
 */

import { hash } from "../cluster/shard_of.ts";
import { sleep } from "../sleep.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import { CheckpointConflictError, type FailedEvent, type ProjectionId } from "./errors.ts";
import { type Ahead, type Generation, type Layout, segmentId } from "./layout.ts";
import { isIn, MAX_RESOLUTIONS, parseRecord, type ProjectionRecord } from "./record.ts";

/** The segment of a key: the shard of it, as {@linkcode shardOf} finds it. */
export function indexOf(key: string, count: number): number {
  return key === "" ? 0 : hash(key.toWellFormed()) % count;
}

/** Whether the event of a key was handled by a segment that another one was made of. */
export function isAhead(ahead: readonly Ahead[] | undefined, key: string, position: string): boolean {
  return ahead?.some((part) =>
    indexOf(key, part.count) === part.index &&
    (part.position !== undefined && position <= part.position || isIn(part.done, position))
  ) ?? false;
}

/** The key of an event in a record. */
function keyOf({ key, actorId }: FailedEvent & { readonly key?: string | undefined }): string {
  return key ?? actorId;
}

/** What the records of segments are read with. */
export interface SegmentRecords {
  /** The projection. */
  readonly id: ProjectionId;
  /** Where its records are. */
  readonly checkpoints: Pick<CheckpointStore<unknown>, "load">;
  /** The segments, the latest generation first. */
  readonly generations: readonly Generation[];
}

/** What they are made with. */
export interface SegmentMaking extends SegmentRecords {
  readonly checkpoints: Pick<CheckpointStore<unknown>, "load" | "save">;
  /** How long the worker of a segment has to close it, in milliseconds; then its record is closed under it. */
  readonly patience: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The records that were found on the way back through the generations, by generation and index: a segment of merged ones is reached
 * on many ways, whose number doubles with each change.
 */
export type SeenRecords = Map<string, Promise<ProjectionRecord>>;

/**
 * The record of a segment as it is, or would be if it was made now. Nothing is written.
 *
 * @param seen What was found for other segments at the same time.
 */
export async function seenRecord(
  records: SegmentRecords,
  head: ProjectionRecord,
  index: number,
  seen: SeenRecords = new Map(),
): Promise<ProjectionRecord> {
  return await walk({ records, head, seen }, index, 0);
}

/** The record of a segment. It is made of those before it if it does not exist yet. */
export async function segmentRecord(
  records: SegmentMaking,
  head: ProjectionRecord,
  index: number,
): Promise<ProjectionRecord> {
  return await walk({ records, head, seen: new Map(), making: records }, index, 0);
}

/** The record of a whole projection, as it would be if its segments were joined now. Nothing is written. */
export async function joinedRecord(
  { id, checkpoints }: Pick<SegmentRecords, "id" | "checkpoints">,
  head: ProjectionRecord,
  layout: Layout,
): Promise<ProjectionRecord> {
  const records = { id, checkpoints, generations: generationsOf(layout) };
  const seen: SeenRecords = new Map();
  const parts = await Promise.all(
    Array.from({ length: layout.count }, (_, index) => seenRecord(records, head, index, seen)),
  );
  return derived(id, { index: 0, count: 1 }, parts, layout.count);
}

/** A way back to the records that a segment is made of. */
interface Walk {
  readonly records: SegmentRecords;
  readonly head: ProjectionRecord;
  readonly seen: SeenRecords;
  /** Makes those of the way, if they are to be made. */
  readonly making?: SegmentMaking;
}

/** Finds each record of the way once. */
function walk(way: Walk, index: number, level: number): Promise<ProjectionRecord> {
  const place = `${level} ${index}`;
  const known = way.seen.get(place) ?? step(way, index, level);
  way.seen.set(place, known);
  return known;
}

async function step(way: Walk, index: number, level: number): Promise<ProjectionRecord> {
  const { records, head, making } = way;
  const now = records.generations[level];
  if (!now) return head;
  const id = segmentId(records.id, { ...now, index });
  const stored = await records.checkpoints.load(id);
  if (stored) return parseRecord(id, stored);
  const before = records.generations[level + 1];
  const { count } = before ?? { count: 1 };
  const parents = await Promise.all(
    indexesBefore(index, now.count, count).map(async (parent) => {
      const record = await walk(way, parent, level + 1);
      return making && before
        ? await closed(making, segmentId(records.id, { ...before, index: parent }))
        : record;
    }),
  );
  const record = derived(id, { index, count: now.count }, parents, count);
  if (!making) return record;
  try {
    await making.checkpoints.save(id, JSON.stringify(stamped(record)), undefined);
  } catch (error) {
    if (!(error instanceof CheckpointConflictError)) throw error; // else another process has made it
  }
  const made = await making.checkpoints.load(id);
  if (!made) throw new CheckpointConflictError(id); // the projection was deleted
  return parseRecord(id, made);
}

/** The segments before a change that the keys of one were in. */
function indexesBefore(index: number, count: number, before: number): number[] {
  if (before <= count) return [index % before];
  return Array.from({ length: before / count }, (_, part) => index + part * count);
}

/** Closes the record of a segment, unless its worker does in time. */
async function closed(records: SegmentMaking, id: ProjectionId): Promise<ProjectionRecord> {
  const deadline = performance.now() + records.patience;
  for (;;) {
    const stored = await records.checkpoints.load(id);
    if (!stored) throw new CheckpointConflictError(id); // it was needed no more, and deleted
    const record = parseRecord(id, stored);
    if (record.closed) return record;
    if (record.owner && performance.now() < deadline) {
      await sleep(CLOSING_LOOK, records.signal);
      continue;
    }
    const next = stamped({ ...record, closed: true });
    try {
      await records.checkpoints.save(id, JSON.stringify(next), stored.revision);
      return next;
    } catch (error) {
      if (!(error instanceof CheckpointConflictError)) throw error;
    }
  }
}

/** How often it is looked whether a segment was closed, in milliseconds. */
const CLOSING_LOOK = 10;

/** A record as it is written. */
export function stamped(record: ProjectionRecord): ProjectionRecord {
  return { ...record, savedAt: new Date().toISOString(), writeId: crypto.randomUUID() };
}

/** The record of a segment, made of closed ones that its keys were in. */
function derived(
  id: ProjectionId,
  { index, count }: { readonly index: number; readonly count: number },
  parents: readonly ProjectionRecord[],
  before: number,
): ProjectionRecord {
  const first = parents[0]!;
  const isMine = (event: FailedEvent): boolean => indexOf(keyOf(event), count) === index;
  const position = parents.some((parent) => parent.position === undefined)
    ? undefined
    : parents.map((parent) => parent.position!).sort()[0];
  const isMerge = parents.length > 1;
  const parts = parents.flatMap((parent, part): readonly Ahead[] => [
    ...parent.ahead ?? [],
    ...(isMerge
      ? [{ index: index + part * count, count: before, position: parent.position, done: parent.done }]
      : []),
  ]);
  const ahead = joined(parts.filter((part) => haveKeys(part, { index, count }))).filter((part) =>
    part.done?.length || (part.position ?? "") > (position ?? "")
  );
  const reactions = parents.flatMap(({ intent, intendedFor, reactions = [] }) => [
    ...(intent?.length ? [{ event: intendedFor!, intent }] : []),
    ...reactions,
  ]).filter(({ event }) => isMine(event));
  const failing = parents.flatMap((
    { failing, alsoFailing = [] },
  ) => [...(failing ? [failing] : []), ...alsoFailing])
    .filter(isMine);
  const running = parents.find((parent) => parent.running !== undefined)?.running;
  // Of one that was divided, one part keeps what is no part's own.
  const isFirst = isMerge || index < before;
  const resolved = isFirst ? parents.flatMap((parent) => parent.resolved).slice(-MAX_RESOLUTIONS) : [];
  return {
    format: 1,
    ...id,
    filter: first.filter,
    ...(position !== undefined && { position }),
    ...(parents.some((parent) => parent.isBegun) && { isBegun: true }),
    ...(!isMerge && first.done && { done: first.done }),
    ...(parents.some((parent) => parent.parts) && { parts: parents.flatMap((parent) => parent.parts ?? []) }),
    handled: isFirst ? parents.reduce((sum, { handled }) => sum + handled, 0) : 0,
    savedAt: "",
    writeId: "",
    stopped: false,
    failing: failing[0],
    alsoFailing: failing.length > 1 ? failing.slice(1) : undefined,
    running,
    parked: parents.flatMap((parent) => parent.parked).filter(isMine).sort((a, b) =>
      a.position < b.position ? -1 : 1
    ),
    resolved,
    reactions: reactions.length > 0 ? reactions : undefined,
    ahead: ahead.length > 0 ? ahead : undefined,
  };
}

/** Whether two segments may have keys in common. */
function haveKeys(
  one: { readonly index: number; readonly count: number },
  other: { readonly index: number; readonly count: number },
): boolean {
  const few = one.count < other.count ? one : other;
  const many = one.count < other.count ? other : one;
  // If neither number is a multiple of the other, they are taken to have.
  return many.count % few.count !== 0 || many.index % few.count === few.index;
}

/** One entry for each segment: it comes on several ways, and again with each number of segments before. */
function joined(parts: readonly Ahead[]): readonly Ahead[] {
  const known = new Map<string, Ahead>();
  for (const part of parts) {
    const name = `${part.index} ${part.count}`;
    const other = known.get(name);
    known.set(name, other ? union(other, part) : part);
  }
  return [...known.values()];
}

function union(one: Ahead, other: Ahead): Ahead {
  const position = (one.position ?? "") > (other.position ?? "") ? one.position : other.position;
  const ranges = [...one.done ?? [], ...other.done ?? []].filter(({ to }) => to > (position ?? ""));
  const done = [...new Map(ranges.map((range) => [`${range.after} ${range.to}`, range])).values()];
  return { index: one.index, count: one.count, position, ...(done.length > 0 && { done }) };
}

/** The generations of a layout, the latest first. */
export function generationsOf({ generation, count, before }: Layout): readonly Generation[] {
  return [{ generation, count }, ...before];
}

/**
 * The records of a projection: its own, or those of its segments.
 *
 * @param passed The names of records that are not asked for.
 */
export async function recordsOf(
  id: ProjectionId,
  checkpoints: Pick<CheckpointStore<unknown>, "load">,
  passed?: ReadonlySet<string>,
): Promise<readonly ProjectionRecord[]> {
  const stored = await checkpoints.load(id);
  if (!stored) return [];
  const head = parseRecord(id, stored);
  const { layout } = head;
  if (!layout) return [head];
  const records = { id, checkpoints, generations: generationsOf(layout) };
  const asked = Array.from({ length: layout.count }, (_, index) => index)
    .filter((index) => !passed?.has(segmentId(id, { ...layout, index }).name));
  const seen: SeenRecords = new Map();
  return await Promise.all(asked.map((index) => seenRecord(records, head, index, seen)));
}
