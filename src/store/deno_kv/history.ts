/**
 * Reading one actor's history from Deno KV, its chain checked.
 *
 * @module
 */

import type { StoredEvent } from "../../event/types.ts";
import type { HistoryRead } from "../backend.ts";
import { follows, lastVersion, lostTail, missingVersions, type StoredPart } from "../continuity.ts";
import { DamagedHistoryError, type HistoryFault } from "../errors.ts";
import type { CommitReader, LatestRecord, OrFault } from "./commit_reader.ts";
import { versionOf } from "./layout.ts";
import type { StoredKvPart } from "./part_format.ts";
import { firstEntry, Need, scan } from "./scan.ts";

/**
 * An actor's events, in batches.
 *
 * @param known A version that the actor is known to have reached: a history that ends before it has lost its tail.
 * @param onEnd Takes the latest record once a read has come to it; `undefined` if the actor has none.
 */
export function readHistory(
  reader: CommitReader,
  actorId: string,
  read: HistoryRead,
  known: number,
  onEnd: (latest: LatestRecord | undefined) => void,
): AsyncIterable<readonly StoredEvent[]> {
  const reading = new HistoryReading(reader, actorId, read, known, onEnd);
  return read.direction === "forward" ? reading.forward() : reading.backward();
}

/** One read under way. */
class HistoryReading {
  readonly #reader: CommitReader;
  readonly #actorId: string;
  readonly #read: HistoryRead;
  readonly #known: number;
  readonly #onEnd: (latest: LatestRecord | undefined) => void;
  readonly #need: Need | undefined;
  #damaged = false;

  constructor(
    reader: CommitReader,
    actorId: string,
    read: HistoryRead,
    known: number,
    onEnd: (latest: LatestRecord | undefined) => void,
  ) {
    this.#onEnd = onEnd;
    this.#reader = reader;
    this.#actorId = actorId;
    this.#read = read;
    this.#known = known;
    this.#need = Need.of(read.limit);
  }

  async *forward(): AsyncIterable<readonly StoredEvent[]> {
    const { fromVersion, toVersion } = this.#read;
    const start = this.#reader.layout.event(this.#actorId, await this.#firstKey());
    let previous: number | undefined;
    let latestEntry: Deno.KvEntry<unknown> | undefined;
    let latestRecord: OrFault<StoredKvPart> | undefined;
    for await (const batch of this.#scan({ start })) {
      let events: StoredEvent[] = [];
      for (const entry of batch) {
        const read = this.#reader.read(entry);
        const record = read instanceof Promise ? await read : read;
        const fault = record instanceof DamagedHistoryError
          ? record
          : previous !== undefined
          ? follows(record, previous)
          : this.#begins(record);
        if (fault) {
          if (events.length > 0) yield events;
          events = [];
          this.#report(fault);
        }
        latestEntry = entry;
        latestRecord = record;
        previous = record instanceof DamagedHistoryError ? undefined : lastVersion(record);
        const isEnough = this.#choose(record, events);
        if (previous !== undefined && previous >= toVersion) {
          yield events;
          return;
        }
        if (!isEnough) continue;
        yield events;
        events = [];
      }
      yield events;
    }
    const reached = previous ?? 0;
    if (Math.min(this.#known, toVersion) > reached && this.#known >= fromVersion && !this.#damaged) {
      this.#report(lostTail(this.#actorId, reached, this.#known));
    }
    this.#onEnd(latestEntry && latestRecord && { entry: latestEntry, record: latestRecord });
  }

  async *backward(): AsyncIterable<readonly StoredEvent[]> {
    const { fromVersion, toVersion } = this.#read;
    const above = toVersion < Number.MAX_SAFE_INTEGER
      ? { end: this.#reader.layout.event(this.#actorId, toVersion + 1) }
      : {};
    let next: number | undefined; // the version before the record that was read last
    for await (const batch of this.#scan(above)) {
      let events: StoredEvent[] = [];
      for (const entry of batch) {
        const read = this.#reader.read(entry);
        const record = read instanceof Promise ? await read : read;
        const fault = record instanceof DamagedHistoryError
          ? record
          : next !== undefined
          ? lastVersion(record) === next
            ? undefined
            : missingVersions(this.#actorId, lastVersion(record) + 1, next)
          : this.#ends(record);
        if (fault) {
          if (events.length > 0) yield events;
          events = [];
          this.#report(fault);
        }
        next = record instanceof DamagedHistoryError ? undefined : record.previousVersion;
        const isEnough = this.#choose(record, events);
        if (next !== undefined && next < fromVersion) {
          yield events;
          return;
        }
        if (!isEnough) continue;
        yield events;
        events = [];
      }
      yield events;
    }
    if (next !== undefined) this.#report(missingVersions(this.#actorId, fromVersion, next));
    else if (!this.#damaged && this.#known >= fromVersion && this.#known <= toVersion) {
      this.#report(lostTail(this.#actorId, 0, this.#known));
    }
  }

  /** A range of the actor's entries, in batches. */
  #scan(bounds: { start?: Deno.KvKey; end?: Deno.KvKey }): AsyncIterable<readonly Deno.KvEntry<unknown>[]> {
    const { direction } = this.#read;
    const range = { ...this.#reader.actorRange(this.#actorId), ...bounds };
    return scan(this.#reader.kv, range, { reverse: direction === "backward", need: this.#need });
  }

  /** The key of the record that holds the first version, or of the last one before it. */
  async #firstKey(): Promise<number> {
    const { fromVersion } = this.#read;
    if (fromVersion === 1) return 1;
    const { start } = this.#reader.actorRange(this.#actorId);
    const end = this.#reader.layout.event(this.#actorId, fromVersion + 1);
    const entry = await firstEntry(this.#reader.kv, { start, end }, true);
    return entry && versionOf(entry.key) || 1;
  }

  /** The first record must begin at the first version asked for, or before it. */
  #begins(record: StoredPart): DamagedHistoryError | undefined {
    const { previousVersion, actorId, events } = record;
    const { fromVersion } = this.#read;
    if (previousVersion < fromVersion || this.#damaged) return undefined;
    return missingVersions(actorId, fromVersion, previousVersion, events[0]?.position);
  }

  /** The last record must reach what this store has seen. */
  #ends(record: StoredPart): DamagedHistoryError | undefined {
    const reached = lastVersion(record);
    if (this.#damaged || reached >= Math.min(this.#known, this.#read.toVersion)) return undefined;
    return lostTail(this.#actorId, reached, this.#known);
  }

  /** Takes the events of a record that are asked for; returns whether as many were found as will be taken. */
  #choose(record: OrFault<StoredPart>, events: StoredEvent[]): boolean {
    if (record instanceof DamagedHistoryError) return false;
    const { fromVersion, toVersion, direction } = this.#read;
    const before = events.length;
    const ordered = direction === "forward" ? record.events : record.events.toReversed();
    for (const event of ordered) {
      if (event.version >= fromVersion && event.version <= toVersion) events.push(event);
    }
    return this.#need?.note(events.length - before) ?? false;
  }

  #report(fault: HistoryFault): void {
    this.#damaged = true;
    if (!this.#read.onDamage) throw fault;
    this.#read.onDamage(fault);
  }
}
