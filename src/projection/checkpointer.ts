/**
 * One worker's view of a checkpoint: the record as it was last read or written, and its replacement by compare-and-set.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";
import type { UnitOfWork } from "./checkpoints.ts";
import { CheckpointConflictError, type ProjectionId, ProjectionInUseError } from "./errors.ts";
import { type CompiledProjection, recordIdOf } from "./compile.ts";
import { parseRecord, type ProjectionRecord } from "./record.ts";
import { joinedRecord } from "./segment.ts";

/** A checkpoint that was read. Every write is refused once another process has written. */
export class Checkpointer<Tx> {
  /** Whether the record continues that of another version or filter, and is not stored as its own yet. */
  readonly isTakenOver: boolean;
  readonly #projection: CompiledProjection<Tx>;
  #revision: string | undefined;
  #record: ProjectionRecord;

  private constructor(
    projection: CompiledProjection<Tx>,
    revision: string | undefined,
    record: ProjectionRecord,
    isTakenOver: boolean,
  ) {
    this.isTakenOver = isTakenOver;
    this.#projection = projection;
    this.#revision = revision;
    this.#record = record;
  }

  /**
   * Reads the checkpoint.
   *
   * @throws {ProjectionInUseError} If it is that of another filter.
   * @throws {DamagedCheckpointError} If it cannot be read.
   */
  static async load<Tx>(projection: CompiledProjection<Tx>): Promise<Checkpointer<Tx>> {
    const { filter, checkpoints, continueFrom } = projection;
    const id = recordIdOf(projection);
    const stored = await checkpoints.load(id);
    if (!stored && projection.segment) throw new CheckpointConflictError(id); // it was deleted
    if (!stored) {
      const first = await firstRecord(projection);
      return new Checkpointer(projection, undefined, first, first.position !== undefined);
    }
    const record = parseRecord(id, stored);
    if (record.replacedBy) throw replaced(id, record.replacedBy.version);
    if (record.layout) throw otherSegments(projection.segments, record.layout.count);
    if (record.closed) throw new CheckpointConflictError(id);
    checkKey(record, projection.keyOf !== undefined);
    const [before, now] = [JSON.stringify(record.filter), JSON.stringify(filter)];
    if (before !== now && continueFrom !== id.version) throw otherFilter(id, before, now);
    return new Checkpointer(projection, stored.revision, { ...record, filter }, before !== now);
  }

  /** Reads the checkpoint again. */
  async reload(): Promise<void> {
    const again = await Checkpointer.load(this.#projection);
    this.#revision = again.#revision;
    this.#record = again.#record;
  }

  /** Changes with every write. */
  get revision(): string | undefined {
    return this.#revision;
  }

  /** The record as it is stored. */
  get record(): ProjectionRecord {
    return this.#record;
  }

  /**
   * Replaces the record, together with the writes of a unit of work.
   *
   * @throws {CheckpointConflictError} If another process has written since. Nothing was written.
   */
  async commit(next: ProjectionRecord, unit?: UnitOfWork<Tx>): Promise<void> {
    const { checkpoints } = this.#projection;
    const id = recordIdOf(this.#projection);
    const savedAt = new Date().toISOString();
    const rate = rateOf(this.#record, next.handled, savedAt);
    const record = { ...next, savedAt, writeId: crypto.randomUUID(), ...(rate !== undefined && { rate }) };
    const value = JSON.stringify(record);
    try {
      this.#revision = unit
        ? await unit.commit(value, this.#revision)
        : await checkpoints.save(id, value, this.#revision);
    } catch (error) {
      if (!(error instanceof CheckpointConflictError)) throw error;
      // A backend may repeat a write whose answer was lost, and then meet it.
      const stored = await checkpoints.load(id);
      if (!stored || parseRecord(id, stored).writeId !== record.writeId) throw error;
      this.#revision = stored.revision;
    }
    this.#record = record;
  }
}

/** How much the latest time counts for the rate. */
const RATE_WEIGHT = 0.3;

/** How many events were handled a second: that of the time since the record was written, and of those before. */
function rateOf(before: ProjectionRecord, handled: number, now: string): number | undefined {
  const seconds = (Date.parse(now) - Date.parse(before.savedAt)) / 1_000;
  if (!(seconds > 0)) return before.rate;
  const latest = Math.max(0, handled - before.handled) / seconds;
  return Math.round(100 * ((before.rate ?? latest) * (1 - RATE_WEIGHT) + latest * RATE_WEIGHT)) / 100;
}

/** A projection was declared with another number of segments than it has. */
export function otherSegments(declared: number | undefined, stored: number): InvalidArgumentError {
  return new InvalidArgumentError(
    "projection.segments",
    `is ${
      describe(declared)
    }, and the projection has ${stored} segment(s): declare segments: ${stored}, or call ` +
      "changeSegments() to split or merge them",
  );
}

/** The record of a projection that has none: as that of the version which it continues, or of one that has done nothing. */
export async function firstRecord<Tx>(projection: CompiledProjection<Tx>): Promise<ProjectionRecord> {
  const { id, filter, checkpoints, continueFrom } = projection;
  if (continueFrom !== undefined && continueFrom !== id.version) {
    const before = { name: id.name, version: continueFrom };
    const stored = await checkpoints.load(before);
    if (stored) {
      const { owner: _, failing: __, alsoFailing: ___, replacedBy: ____, rebuild: _____, ...record } =
        await continued(projection, before, parseRecord(before, stored));
      return { ...record, ...id, filter, stopped: false };
    }
  }
  return {
    format: 1,
    ...id,
    filter,
    handled: 0,
    savedAt: "",
    writeId: "",
    stopped: false,
    parked: [],
    resolved: [],
  };
}

/** The record of a version that is continued: with segments, that of all of them. */
async function continued<Tx>(
  { checkpoints, segments, keyOf }: CompiledProjection<Tx>,
  id: ProjectionId,
  record: ProjectionRecord,
): Promise<ProjectionRecord> {
  const { layout } = record;
  if (!layout) return record;
  if (segments === undefined) {
    throw new InvalidArgumentError(
      "projection.segments",
      `are missing: version ${id.version}, which is continued, has ${layout.count}. Declare as many, or another number`,
    );
  }
  checkKey(record, keyOf !== undefined);
  return await joinedRecord({ id, checkpoints }, record, layout);
}

/**
 * Checks that events are divided as they were: by their actors, or by a key of the projection's own.
 *
 * @throws {InvalidArgumentError} If segments were made by the other one, or events wait by it behind a parked one.
 */
export function checkKey({ hasOwnKey, parked }: ProjectionRecord, isOwn: boolean): void {
  if (hasOwnKey !== undefined && hasOwnKey !== isOwn) {
    throw new InvalidArgumentError(
      "projection.key",
      `is ${
        isOwn
          ? "declared, and its segments were made by actors"
          : "missing, and its segments were made by a key"
      }: declare it as before, or build the next version of the projection`,
    );
  }
  const waiting = parked.find((entry) => entry.blocksActor && (entry.key !== undefined) !== isOwn);
  if (!waiting) return;
  throw new InvalidArgumentError(
    "projection.key",
    `is ${
      isOwn ? "declared" : "missing"
    }, and events wait behind the parked one at position ${waiting.position} by ${
      isOwn ? "their actor" : "their key"
    }: declare it as before, and retry or discard what is parked`,
  );
}

/** Another version has taken over. */
export function replaced(id: ProjectionId, by: number): ProjectionInUseError {
  return new ProjectionInUseError(
    id,
    "replaced",
    `run version ${by}, and read its read model. To run this version again, delete its checkpoint with deleteCheckpoint()`,
  );
}

function otherFilter(id: ProjectionId, stored: string, filter: string): ProjectionInUseError {
  return new ProjectionInUseError(
    id,
    "other-filter",
    `it is of ${stored} and not of ${filter}, so that events would be missed. Give the projection its next version, or another ` +
      `name; or declare continueFrom: ${id.version}, to continue without the events that were left out`,
  );
}
