/**
 * The checkpoints of projections, carried along when a store is copied: positions belong to their log, and are translated.
 *
 * @module
 */

import type { CheckpointStore } from "../projection/checkpoints.ts";
import { CheckpointConflictError, type ProjectionId } from "../projection/errors.ts";
import { type DoneRange, parseRecord, type ProjectionRecord } from "../projection/record.ts";
import { InvalidPositionError } from "./errors.ts";
import type { RawLog } from "./raw_log.ts";

/**
 * Where checkpoints are before and after a copy; it may be the same place.
 *
 * @category Stores
 */
export interface CheckpointCopy {
  /** Where the checkpoints of the source's projections are. */
  readonly from: Pick<CheckpointStore<unknown>, "list" | "load">;
  /** Where the target's projections will look for them. */
  readonly to: Pick<CheckpointStore<unknown>, "load" | "save">;
}

/** A checkpoint to be carried along, as it was read at the beginning of the copy. */
interface Carried {
  readonly place: CheckpointCopy;
  readonly id: ProjectionId;
  readonly record: ProjectionRecord;
  readonly revision: string;
}

/** Parts of a record that hold users' events and filters, whose fields may have any name. */
const OPAQUE: ReadonlySet<string> = new Set(["intent", "refused", "filter"]);

/** The checkpoints of one copy. */
export class CarriedCheckpoints {
  readonly #source: RawLog;
  readonly #target: RawLog;
  readonly #signal: AbortSignal | undefined;
  readonly #carried: readonly Carried[];
  /** The positions that are asked for, in order; those before the index are translated. */
  readonly #wanted: readonly string[];
  readonly #translated = new Map<string, string | undefined>();
  #next = 0;
  #last: string | undefined;

  private constructor(
    source: RawLog,
    target: RawLog,
    signal: AbortSignal | undefined,
    carried: readonly Carried[],
  ) {
    this.#source = source;
    this.#target = target;
    this.#signal = signal;
    this.#carried = carried;
    const wanted = new Set<string>();
    for (const { record } of carried) rewrite(record, (position) => void wanted.add(position));
    this.#wanted = [...wanted].sort();
  }

  /** Reads the checkpoints that are of the source. */
  static async read(
    places: readonly CheckpointCopy[],
    source: RawLog,
    target: RawLog,
    signal: AbortSignal | undefined,
  ): Promise<CarriedCheckpoints> {
    const carried: Carried[] = [];
    for (const place of places) {
      for (const stored of await place.from.list()) {
        const record = parseRecord(undefined, stored);
        const { name, version, isBegun, layout } = record;
        const position = positionIn(record);
        if (position === undefined ? !isBegun && !layout : !await isOf(source, position, signal)) continue;
        carried.push({ place, id: { name, version }, record, revision: stored.revision });
      }
    }
    return new CarriedCheckpoints(source, target, signal, carried);
  }

  /** Takes note of an event's position in both logs; events come in order. */
  pass(from: string, to: string): void {
    while (this.#next < this.#wanted.length && this.#wanted[this.#next]! < from) this.#translate();
    this.#last = to;
  }

  /**
   * Stores the checkpoints with their positions in the target, once all events have been passed. One that is in its place
   * already, from an earlier copy or because its projection runs there, is left as it is.
   *
   * @returns How many were stored.
   * @throws {CheckpointConflictError} If one was written since the copy began: its projection still runs.
   */
  async store(): Promise<number> {
    while (this.#next < this.#wanted.length) this.#translate();
    let count = 0;
    for (const carried of this.#carried) {
      this.#signal?.throwIfAborted();
      if (await this.#storeOne(carried)) count++;
    }
    return count;
  }

  #translate(): void {
    this.#translated.set(this.#wanted[this.#next++]!, this.#last);
  }

  async #storeOne({ place: { from, to }, id, record, revision }: Carried): Promise<boolean> {
    if ((await from.load(id))?.revision !== revision) throw new CheckpointConflictError(id);
    const existing = await to.load(id);
    const isSamePlace = from as unknown === to;
    if (existing) {
      const position = positionIn(parseRecord(id, existing));
      if (position === undefined && !isSamePlace) return false;
      if (position !== undefined && !await isOf(this.#source, position, this.#signal)) {
        if (await isOf(this.#target, position, this.#signal)) return false;
        throw new InvalidPositionError(position, "foreign");
      }
    }
    const { owner, workers: _, done, ahead, ...moved } = rewrite(
      record,
      (position) => this.#translated.get(position),
    );
    const value = JSON.stringify({
      ...moved,
      ...(done && { done: rangesOf(done) }),
      ...(ahead &&
        { ahead: ahead.map((part) => ({ ...part, ...(part.done && { done: rangesOf(part.done) }) })) }),
      // Fencing tokens of leases belong to the place that they are of.
      ...(isSamePlace && owner && { owner }),
      savedAt: new Date().toISOString(),
      writeId: crypto.randomUUID(),
    });
    await to.save(id, value, existing?.revision);
    return true;
  }
}

/** Any position in a record: with lanes, events may be done behind a place that has none. */
function positionIn(
  { position, done, ahead, parked, alsoFailing = [], failing }: ProjectionRecord,
): string | undefined {
  const ranges = [...done ?? [], ...ahead?.flatMap((part) => part.done ?? []) ?? []];
  const events = [...parked, ...alsoFailing, ...(failing ? [failing] : [])];
  return position ?? ranges[0]?.to ?? ahead?.find((part) => part.position)?.position ?? events[0]?.position;
}

/** Ranges whose positions are of the target. One that has no event there is none; one that nothing is before begins at its start. */
function rangesOf(translated: readonly Partial<DoneRange>[]): readonly DoneRange[] {
  return translated.flatMap(({ after = "", to }) => to === undefined ? [] : [{ after, to }]);
}

/** Whether a position is of a log. */
async function isOf(log: RawLog, position: string, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    for await (const _ of log.read(position, signal)) break;
    return true;
  } catch (error) {
    if (!(error instanceof InvalidPositionError)) throw error;
    if (error.reason !== "foreign" && error.reason !== "malformed") throw error;
    return false;
  }
}

/** The fields of a record that hold a position. */
const POSITIONS: ReadonlySet<string> = new Set(["position", "after", "to"]);

/** A copy of a part of a record, with other positions. */
function rewrite<T>(part: T, translate: (position: string) => string | undefined): T {
  if (Array.isArray(part)) return part.map((item) => rewrite(item, translate)) as T;
  if (typeof part !== "object" || part === null) return part;
  const fields = Object.entries(part).map(([name, value]) => {
    if (POSITIONS.has(name) && typeof value === "string") return [name, translate(value)];
    return [name, OPAQUE.has(name) ? value : rewrite(value, translate)];
  });
  return Object.fromEntries(fields);
}
