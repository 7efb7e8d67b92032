/**
 * Reading the global log from Deno KV.
 *
 * @module
 */

import type { StoredEvent } from "../../event/types.ts";
import type { BackwardLogRead, LogBatch, LogPart } from "../backend.ts";
import { missingPredecessor, VersionContinuity } from "../continuity.ts";
import { DamagedHistoryError, type HistoryFault, InvalidPositionError } from "../errors.ts";
import type { LogStart } from "../types.ts";
import type { KvPositions } from "./kv_positions.ts";
import { following, STAMP_PART } from "./layout.ts";
import { type ReadRecord, readRecords } from "./read_records.ts";
import type { StoredKvPart } from "./part_format.ts";
import type { CommitReader, OrFault } from "./commit_reader.ts";
import { partsAround } from "./logged_parts.ts";
import { firstEntry, getAll } from "./scan.ts";

/** What a read of the log needs. */
export interface LogReading {
  /** Where to begin. */
  readonly after: LogStart;
  /** Whether to stop at the log's present end, and not at the end that it has by then. */
  readonly bounded: boolean;
  /** How many events will be taken at most. @default {all} */
  readonly limit?: number | undefined;
  /** Takes damage instead of throwing it. */
  readonly onDamage: ((fault: HistoryFault) => void) | undefined;
  /** Takes the part of each actor. */
  readonly onPart?: ((part: LogPart) => void) | undefined;
}

/** The log's events from a position on, in batches. */
export async function* readLog(
  reader: CommitReader,
  positions: KvPositions,
  { after, bounded, limit, onDamage, onPart }: LogReading,
): AsyncIterable<LogBatch> {
  if (after === "end") return;
  const resumed = after !== "start" && after !== "first-kept" ? after : undefined;
  const place = resumed === undefined ? undefined : positions.place(resumed);
  const begun = place?.versionstamp;
  let range = reader.logRange;
  if (bounded || begun) {
    const last = await lastCommit(reader);
    if (begun && (last === undefined || begun > last)) throw new InvalidPositionError(after, "ahead");
    if (last === undefined) return;
    if (bounded) range = { ...range, end: following(reader.layout.commit(last)) };
  }
  if (begun) range = { ...range, start: reader.layout.commit(begun) };
  const isBefore = ({ prior }: StoredKvPart): boolean => prior === undefined || prior <= begun!;
  const chains = new VersionContinuity(begun === undefined ? undefined : isBefore);
  let position = resumed;
  let isChecked = resumed === undefined;
  for await (const records of readRecords(reader, range, { limit, place })) {
    const shares: OrFault<StoredKvPart>[] = [];
    /** How many of the shares are of the record of the position. */
    let ofBegun = 0;
    for (const { stamp, read } of records) {
      const isBegun = begun !== undefined && stamp === begun;
      if (!isChecked) assertHolds(isBegun ? read : [], after);
      isChecked = true;
      if (isBegun) ofBegun += read.length;
      for (const share of read) shares.push(share);
    }
    const faults = await faultsOf(shares, chains, reader);
    let events: StoredEvent[] = [];
    for (const [index, share] of shares.entries()) {
      const isBegun = index < ofBegun;
      const fault = faults.get(index);
      if (fault && !(isBegun && fault.position !== undefined && fault.position <= after)) {
        if (events.length > 0) yield { events, position: events.at(-1)!.position };
        events = [];
        if (!onDamage) throw fault;
        onDamage(fault);
      }
      if (share instanceof DamagedHistoryError) continue;
      const from = events.length;
      for (const event of share.events) if (!isBegun || event.position > after) events.push(event);
      if (onPart && events.length > from) onPart({ ...share, events: events.slice(from) });
    }
    position = events.at(-1)?.position ?? position;
    if (position !== undefined) yield { events, position };
  }
}

/** The log's events from a position back to its beginning, in batches whose first event is the latest. */
export async function* readLogBackward(
  reader: CommitReader,
  positions: KvPositions,
  { from, limit, onDamage }: BackwardLogRead,
): AsyncIterable<readonly StoredEvent[]> {
  const place = from === undefined ? undefined : positions.place(from);
  const range = place === undefined
    ? reader.logRange
    : { ...reader.logRange, end: following(reader.layout.commit(place.versionstamp)) };
  for await (const records of readRecords(reader, range, { reverse: true, limit, place })) {
    const shares = records.flatMap(({ read }) => read.toReversed());
    const faults = await missingBefore(shares, records, reader);
    let events: StoredEvent[] = [];
    for (const share of shares) {
      const fault = share instanceof DamagedHistoryError ? share : faults.get(share);
      if (!(share instanceof DamagedHistoryError)) {
        for (const event of share.events.toReversed()) {
          if (from === undefined || event.position <= from) events.push(event);
        }
      }
      if (!fault) continue;
      if (events.length > 0) yield events;
      events = [];
      if (!onDamage) throw fault;
      onDamage(fault);
    }
    yield events;
  }
}

/** The faults of shares whose predecessor is neither among these records nor in the log before. */
async function missingBefore(
  shares: readonly OrFault<StoredKvPart>[],
  records: readonly ReadRecord[],
  { kv, layout }: CommitReader,
): Promise<ReadonlyMap<StoredKvPart, DamagedHistoryError>> {
  const here = new Set(records.map(({ stamp }) => stamp));
  const elsewhere = shares.filter((share): share is StoredKvPart =>
    !(share instanceof DamagedHistoryError) && share.previousVersion > 0 && !here.has(share.prior)
  );
  const found = await getAll(kv, elsewhere.map(({ prior }) => layout.commit(prior ?? "")));
  const missing = elsewhere.filter((_, index) => found[index]!.versionstamp === null);
  return new Map(missing.map((part) => [part, missingPredecessor(part)]));
}

/** The faults of shares, by their index: those that cannot be read, and those that do not follow the one before. */
async function faultsOf(
  shares: readonly OrFault<StoredKvPart>[],
  chains: VersionContinuity<StoredKvPart>,
  { kv, layout }: CommitReader,
): Promise<ReadonlyMap<number, DamagedHistoryError>> {
  const faults = new Map<number, DamagedHistoryError>();
  const forgotten: { readonly index: number; readonly part: StoredKvPart }[] = [];
  for (let index = 0; index < shares.length; index++) {
    const share = shares[index]!;
    const found = share instanceof DamagedHistoryError ? share : chains.accept(share);
    if (found === "forgotten") forgotten.push({ index, part: share as StoredKvPart });
    else if (found) faults.set(index, found);
  }
  if (forgotten.length === 0) return faults;
  // The commit before was read too long ago to be remembered, or is missing: the log itself has the answer.
  const entries = await getAll(kv, forgotten.map(({ part }) => layout.commit(part.prior ?? "")));
  for (const [position, { index, part }] of forgotten.entries()) {
    if (entries[position]!.versionstamp === null) faults.set(index, missingPredecessor(part));
  }
  return faults;
}

/**
 * Holds a position against the log.
 *
 * @throws {InvalidPositionError} If it is none of this log, or one that it has not reached.
 */
export async function checkPosition(
  reader: CommitReader,
  positions: KvPositions,
  position: string,
): Promise<void> {
  const { versionstamp, index } = positions.place(position);
  const [entry] = await getAll(reader.kv, [reader.layout.commit(versionstamp)]);
  if (entry && entry.versionstamp !== null) {
    return assertHolds(await partsAround(reader, entry, index), position);
  }
  const last = await lastCommit(reader);
  const isAhead = last === undefined || versionstamp > last;
  throw new InvalidPositionError(position, isAhead ? "ahead" : "diverged");
}

/** Checks that the event of a position is in a record of the log; what cannot be read is no matter of the position. */
function assertHolds(shares: readonly OrFault<StoredKvPart>[], position: string): void {
  for (const share of shares) {
    if (share instanceof DamagedHistoryError) return;
    if (share.events.some((event) => event.position === position)) return;
  }
  throw new InvalidPositionError(position, "diverged");
}

/** The versionstamp of the log's last record. */
export async function lastCommit(reader: CommitReader): Promise<string | undefined> {
  const entry = await firstEntry(reader.kv, reader.logRange, true);
  return entry?.key[STAMP_PART] as string | undefined;
}

/** The position of the log's last event. */
export async function lastPosition(reader: CommitReader): Promise<string | undefined> {
  const entry = await firstEntry(reader.kv, reader.logRange, true);
  if (!entry) return undefined;
  const last = (await partsAround(reader, entry, Infinity)).at(-1);
  if (last instanceof DamagedHistoryError) throw last;
  return last?.events.at(-1)?.position;
}
