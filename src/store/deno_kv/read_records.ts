/**
 * Reading the records of the global log from Deno KV, in groups that fit the memory.
 *
 * @module
 */

import { DamagedHistoryError } from "../errors.ts";
import type { CommitReader, OrFault } from "./commit_reader.ts";
import type { KvPlace } from "./kv_positions.ts";
import { stampOf } from "./layout.ts";
import { OpenRecords, type Piece } from "./logged_parts.ts";
import type { StoredKvPart } from "./part_format.ts";
import { type KeyRange, Need, scan } from "./scan.ts";

/** A record of the log that was read. */
export interface ReadRecord {
  /** The versionstamp in its key. */
  readonly stamp: string | undefined;
  readonly read: readonly OrFault<StoredKvPart>[];
}

/** A group of records ends when it has so many events; a part that is large counts as many of them. */
const MAX_EVENTS = 1_000;
const LARGE_EVENTS = MAX_EVENTS / 8;

/** How records are read. */
export interface RecordsReading {
  /** From the end to the start. @default {false} */
  readonly reverse?: boolean;
  /** How many events will be taken at most. */
  readonly limit: number | undefined;
  /** The place of the position that is read on from. */
  readonly place: KvPlace | undefined;
}

/** The records of a range, in groups that fit the memory: of a read with a limit, as many as have so many events. */
export async function* readRecords(
  reader: CommitReader,
  range: KeyRange,
  { reverse = false, limit, place }: RecordsReading,
): AsyncGenerator<readonly ReadRecord[]> {
  const need = Need.of(limit);
  const batches = scan(reader.kv, range, { reverse, need });
  for await (const entries of need ? batches : windows(batches)) {
    let records: ReadRecord[] = [];
    let together = 0;
    for (const run of runs(entries, need ? 0 : RUN_BYTES)) {
      const opened = await OpenRecords.of(reader, run);
      for (const [index, { key }] of run.entries()) {
        const stamp = stampOf(key);
        const begun = place?.versionstamp === stamp ? place : undefined;
        for (const piece of need ? piecesOf(opened.pieces(index), begun, reverse) : WHOLE) {
          const read = await opened.parts(index, piece);
          records.push({ stamp, read });
          const events = eventsOf(read);
          together += opened.isLarge(index) ? Math.max(events, LARGE_EVENTS) : events;
          if (!need?.note(events) && together < MAX_EVENTS) continue;
          yield records;
          records = [];
          together = 0;
        }
      }
    }
    if (records.length > 0) yield records;
  }
}

/** A record that is read as a whole. */
const WHOLE = [undefined];

/** The pieces of a record in the order of the read, without those that are before the place which it begins at. */
function piecesOf(
  pieces: readonly Piece[],
  begun: KvPlace | undefined,
  reverse: boolean,
): readonly Piece[] {
  const { index } = begun ?? {};
  const rest = index === undefined
    ? pieces
    : pieces.filter(({ begin, end }) => reverse ? begin <= index : end > index);
  return reverse ? rest.toReversed() : rest;
}

/** How many bytes of records are opened together. They are deflated, and take ten times as much and more when they are read. */
const RUN_BYTES = 64 * 1024;

/** Records of this size have a few names, or a small event. */
const SMALL_BYTES = 200;
/** How many small records are read at most before what they name. */
const MAX_WINDOW = 8_192;

function sizeOf({ value }: Deno.KvEntry<unknown>): number {
  return value instanceof Uint8Array ? value.length : 0;
}

/** Batches of records; small ones are put together, so that the parts of an actor that they name are read together. */
async function* windows(
  batches: AsyncIterable<readonly Deno.KvEntry<unknown>[]>,
): AsyncGenerator<readonly Deno.KvEntry<unknown>[]> {
  let window: Deno.KvEntry<unknown>[] = [];
  let bytes = 0;
  for await (const batch of batches) {
    for (const entry of batch) {
      window.push(entry);
      bytes += sizeOf(entry);
    }
    if (bytes < window.length * SMALL_BYTES && window.length < MAX_WINDOW) continue;
    yield window;
    window = [];
    bytes = 0;
  }
  if (window.length > 0) yield window;
}

/**
 * Records divided into what is opened together: small records that follow one another, and larger ones up to so many bytes.
 *
 * @param most 0 if each larger record is opened alone.
 */
function runs(entries: readonly Deno.KvEntry<unknown>[], most: number): Deno.KvEntry<unknown>[][] {
  const divided: Deno.KvEntry<unknown>[][] = [];
  let bytes = Infinity;
  let areSmall = false;
  for (const entry of entries) {
    const size = sizeOf(entry);
    const isSmall = size < SMALL_BYTES;
    if (isSmall && areSmall || bytes + size <= most) {
      divided.at(-1)!.push(entry);
      bytes += size;
      areSmall &&= isSmall;
    } else {
      divided.push([entry]);
      bytes = size;
      areSmall = isSmall;
    }
  }
  return divided;
}

function eventsOf(shares: readonly OrFault<StoredKvPart>[]): number {
  return shares.reduce(
    (sum, share) => sum + (share instanceof DamagedHistoryError ? 0 : share.events.length),
    0,
  );
}
