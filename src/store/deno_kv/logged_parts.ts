/**
 * The parts of records of the log: what a record has itself, and what it only names.
 *
 * @module
 */

import { DamagedHistoryError } from "../errors.ts";
import type { CommitReader, OrFault } from "./commit_reader.ts";
import { ACTOR_PART, following, stampOf, versionOf } from "./layout.ts";
import {
  decodeLogged,
  decodePart,
  type LoggedPartJson,
  type PartJson,
  type StoredKvPart,
} from "./part_format.ts";
import { getAll, scan } from "./scan.ts";
import { ForeignValue, UnreadableRecord } from "./value_format.ts";

/** So many parts of an actor are read as a range of its keys, and not each by its key. */
const LEAST_IN_RANGE = 4;
/** A range has at most so many times the parts that are wanted of it. */
const MOST_PER_WANTED = 4;

/** A record of the log. */
interface LogEntry {
  readonly versionstamp: string;
  /** Its parts, or why they cannot be read. */
  readonly parts: readonly LoggedPartJson[] | DamagedHistoryError;
}

/**
 * Those parts of a record of the log among which an event is.
 *
 * @param at The index of the event in the record; infinity for the last one.
 */
export async function partsAround(
  reader: CommitReader,
  entry: Deno.KvEntry<unknown>,
  at: number,
): Promise<OrFault<StoredKvPart>[]> {
  const opened = await OpenRecords.of(reader, [entry]);
  return await opened.parts(0, opened.pieces(0).findLast(({ begin }, index) => index === 0 || begin <= at));
}

/**
 * Records of the log, with what they name. Each is decoded when its parts are asked for: a page may need few of them, and a small
 * record may name a commit of many events.
 */
export class OpenRecords {
  readonly #reader: CommitReader;
  readonly #records: readonly LogEntry[];
  readonly #rows: Rows;

  private constructor(reader: CommitReader, records: readonly LogEntry[], rows: Rows) {
    this.#reader = reader;
    this.#records = records;
    this.#rows = rows;
  }

  /** Reads what the records of these entries name, but for what is so large that it is read alone. */
  static async of(reader: CommitReader, entries: readonly Deno.KvEntry<unknown>[]): Promise<OpenRecords> {
    const records = entries.map((entry) => openRecord(reader, entry));
    const named = records.flatMap(({ parts }) =>
      parts instanceof DamagedHistoryError
        ? []
        : parts.filter(({ events, large }) => events === undefined && !large)
    );
    return new OpenRecords(reader, records, named.length === 0 ? NO_ROWS : await readNamed(reader, named));
  }

  /** The parts of the record of an entry, by its index; all, or those of a piece. */
  async parts(index: number, piece?: Piece): Promise<OrFault<StoredKvPart>[]> {
    const { versionstamp, parts } = this.#records[index]!;
    return parts instanceof DamagedHistoryError
      ? [parts]
      : await partsOf(this.#reader, versionstamp, parts, this.#rows, piece);
  }

  /**
   * Divides the record of an entry, by its index: a page may need few of the commits that were stored together. Each part that is
   * read alone is a piece.
   */
  pieces(index: number): readonly Piece[] {
    const { parts } = this.#records[index]!;
    if (parts instanceof DamagedHistoryError) return [{ from: 0, to: 1, begin: 0, end: Infinity }];
    const pieces: Piece[] = [];
    for (let from = 0; from < parts.length;) {
      let to = from + 1;
      for (; to < parts.length && !parts[from]!.large && !parts[to]!.large;) to++;
      const begin = from === 0 ? 0 : parts[from]!.offset ?? 0;
      pieces.push({ from, to, begin, end: parts[to]?.offset ?? Infinity });
      from = to;
    }
    return pieces;
  }

  /** Whether the record of an entry, by its index, names a part that is so large that it is read alone. */
  isLarge(index: number): boolean {
    const { parts } = this.#records[index]!;
    return !(parts instanceof DamagedHistoryError) && parts.some(({ large }) => large);
  }
}

/** Some parts of a record that follow one another. */
export interface Piece {
  /** The index of the first part, and that behind the last one. */
  readonly from: number;
  readonly to: number;
  /** The index of the first event, and that behind the last one. */
  readonly begin: number;
  readonly end: number;
}

function openRecord(reader: CommitReader, { key, value, versionstamp }: Deno.KvEntry<unknown>): LogEntry {
  try {
    if (stampOf(key) !== versionstamp) throw new UnreadableRecord("it was stored by another operation");
    if (!(value instanceof Uint8Array)) throw new ForeignValue("the value is not a record");
    return { versionstamp, parts: decodeLogged(reader.values.decode(value)) };
  } catch (error) {
    return { versionstamp, parts: reader.loggedFault(stampOf(key), error) };
  }
}

async function partsOf(
  reader: CommitReader,
  versionstamp: string,
  logged: readonly LoggedPartJson[],
  rows: Rows,
  piece?: Piece,
): Promise<OrFault<StoredKvPart>[]> {
  const parts: OrFault<StoredKvPart>[] = [];
  const places = new Set<string>();
  const { begin = 0, end = Infinity } = piece ?? {};
  let next = begin; // the index of the next event
  let isExact = true;
  for (const part of piece ? logged.slice(piece.from, piece.to) : logged) {
    const { offset = 0 } = part;
    try {
      if (isExact ? offset !== next : offset < next) {
        throw new UnreadableRecord(`its events begin at ${offset}, not at ${next}`);
      }
      let read: OrFault<StoredKvPart>;
      if (part.events !== undefined) {
        read = decodePart(part as PartJson, part.actor, versionstamp, reader.positions);
      } else {
        const place = placeOf(part.actor, part.previous + 1);
        if (places.has(place)) throw new UnreadableRecord("it names a part twice");
        places.add(place);
        const key = reader.layout.event(part.actor, part.previous + 1);
        const row = part.large ? (await getAll(reader.kv, [key]))[0] : rows.get(place);
        const named = readRow(reader, part, versionstamp, row);
        read = named instanceof Promise ? await named : named;
      }
      isExact = !(read instanceof DamagedHistoryError);
      if (!(read instanceof DamagedHistoryError)) {
        if (read.events.length === 0) throw new UnreadableRecord("a part of it has no events");
        next = offset + read.events.length;
      }
      parts.push(read);
    } catch (error) {
      isExact = false;
      parts.push(reader.loggedFault(versionstamp, error, offset));
    }
  }
  if (end !== Infinity && (isExact ? end !== next : end < next)) {
    const error = new UnreadableRecord(`the events behind a part of it begin at ${end}, not at ${next}`);
    parts.push(reader.loggedFault(versionstamp, error, end));
  }
  return parts;
}

/** Entries under actors' keys, by their places. */
type Rows = ReadonlyMap<string, Deno.KvEntryMaybe<unknown>>;
const NO_ROWS: Rows = new Map();

function placeOf(actorId: string, version: number): string {
  return `${version} ${actorId}`;
}

/** Reads what is named: of an actor that is named often a range of its keys at once. */
async function readNamed(reader: CommitReader, named: readonly LoggedPartJson[]): Promise<Rows> {
  const { kv, layout } = reader;
  const versions = new Map<string, number[]>();
  for (const { actor, previous } of named) {
    const own = versions.get(actor);
    if (own) own.push(previous + 1);
    else versions.set(actor, [previous + 1]);
  }
  const rows = new Map<string, Deno.KvEntryMaybe<unknown>>();
  const keys: Deno.KvKey[] = [];
  const ranges: Promise<void>[] = [];
  for (const [actor, own] of versions) {
    const first = own.reduce((least, version) => Math.min(least, version));
    const last = own.reduce((most, version) => Math.max(most, version));
    if (own.length < LEAST_IN_RANGE || last - first >= own.length * MOST_PER_WANTED) {
      for (const version of own) keys.push(layout.event(actor, version));
      continue;
    }
    const range = { start: layout.event(actor, first), end: following(layout.event(actor, last)) };
    ranges.push((async () => {
      for await (const batch of scan(kv, range)) {
        for (const entry of batch) {
          const version = versionOf(entry.key);
          if (version !== undefined) rows.set(placeOf(actor, version), entry);
        }
      }
    })());
  }
  ranges.push(
    getAll(kv, keys).then((entries) => {
      for (const entry of entries) {
        rows.set(placeOf(entry.key[ACTOR_PART] as string, versionOf(entry.key)!), entry);
      }
    }),
  );
  await Promise.all(ranges);
  return rows;
}

/** A part that the log only names. */
function readRow(
  reader: CommitReader,
  { actor: actorId, previous, offset = 0 }: LoggedPartJson,
  versionstamp: string,
  row: Deno.KvEntryMaybe<unknown> | undefined,
): OrFault<StoredKvPart> | Promise<OrFault<StoredKvPart>> {
  const check = (read: OrFault<StoredKvPart>): OrFault<StoredKvPart> => {
    if (read instanceof DamagedHistoryError || read.events.length === 0) return read;
    const expected = reader.positions.of(versionstamp, read.commitId)(offset);
    return read.events[0]!.position === expected ? read : missing();
  };
  const missing = (): DamagedHistoryError =>
    new DamagedHistoryError("the log names a commit that is missing", {
      actorId,
      version: previous + 1,
      position: reader.unreadPosition(versionstamp, offset),
    });
  if (row?.versionstamp !== versionstamp) return missing();
  const read = reader.read(row as Deno.KvEntry<unknown>);
  return read instanceof Promise ? read.then(check) : check(read);
}
