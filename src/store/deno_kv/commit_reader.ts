/**
 * Entries of Deno KV as records: read whole, checked, decoded.
 *
 * @module
 */

import { DamagedHistoryError } from "../errors.ts";
import { actorOf, type Layout, versionOf } from "./layout.ts";
import { decodePart, type PartJson, type StoredKvPart } from "./part_format.ts";
import { INDEX_WIDTH, type KvPositions, VERSIONSTAMP_WIDTH } from "./kv_positions.ts";
import { chunkCount, ForeignValue, UnreadableRecord, type ValueFormat } from "./value_format.ts";
import { firstEntry, getAll, type KeyRange } from "./scan.ts";

/** What was to be read, or why it cannot be read. */
export type OrFault<T> = T | DamagedHistoryError;

/** An actor's latest record and the entry that holds it. */
export interface LatestRecord {
  /** The entry. */
  readonly entry: Deno.KvEntry<unknown>;
  /** Its record. */
  readonly record: OrFault<StoredKvPart>;
}

/** Reads the records of one namespace. */
export class CommitReader {
  /** The handle they are read through. */
  readonly kv: Deno.Kv;
  /** The keys. */
  readonly layout: Layout;
  /** The log's positions. */
  readonly positions: KvPositions;
  /** Reads values. */
  readonly values: Pick<ValueFormat, "decode">;

  constructor(kv: Deno.Kv, layout: Layout, positions: KvPositions, values: Pick<ValueFormat, "decode">) {
    this.kv = kv;
    this.layout = layout;
    this.positions = positions;
    this.values = values;
  }

  /**
   * The record of an entry under an actor's key. It is a promise only where chunks, or a format that decodes later, have to be
   * waited for: a long history comes as a thousand entries at once.
   */
  read(entry: Deno.KvEntry<unknown>): OrFault<StoredKvPart> | Promise<OrFault<StoredKvPart>> {
    const { key, value } = entry;
    try {
      const actorId = actorOf(key);
      const version = versionOf(key);
      if (actorId === undefined || version === undefined) {
        throw new ForeignValue("the key is not that of a record");
      }
      const count = chunkCount(value);
      const json = count > 0
        ? this.#whole(value as Uint8Array, actorId, version, count).then((bytes) => this.values.decode(bytes))
        : this.values.decode(value as Uint8Array);
      return json instanceof Promise
        ? json.then((json) => this.#part(entry, json)).catch((error) => this.#fault(entry, error))
        : this.#part(entry, json);
    } catch (error) {
      return this.#fault(entry, error);
    }
  }

  /** The part in the entry of a record, from its JSON. */
  #part({ key, versionstamp }: Deno.KvEntry<unknown>, json: unknown): StoredKvPart {
    const part = decodePart(json as PartJson, actorOf(key)!, versionstamp, this.positions);
    if (part.previousVersion + 1 === versionOf(key)) return part;
    throw new UnreadableRecord(`it is the record of version ${part.previousVersion + 1}`);
  }

  /** An actor's latest record. */
  async latest(actorId: string): Promise<LatestRecord | undefined> {
    const entry = await firstEntry(this.kv, this.actorRange(actorId), true);
    return entry && { entry, record: await this.read(entry) };
  }

  /** What is wrong with a record of the log; anything else than what it is made of is thrown. */
  loggedFault(versionstamp: string | undefined, error: unknown, offset = 0): DamagedHistoryError {
    if (!isUnreadable(error)) throw error;
    const position = this.unreadPosition(versionstamp, offset);
    return new DamagedHistoryError(`a commit cannot be read: ${error.message}`, { position }, {
      cause: error,
    });
  }

  /** The position of a record that cannot be read; `undefined` if its key is not one that this store writes. */
  unreadPosition(versionstamp: string | undefined, offset = 0): string | undefined {
    if (versionstamp === undefined || !VERSIONSTAMP.test(versionstamp)) return undefined;
    return this.positions.unread(versionstamp, Math.min(offset, MAX_INDEX));
  }

  /** The range of an actor's records. */
  actorRange(actorId: string): KeyRange {
    return { start: this.layout.event(actorId, 1), end: this.layout.event(actorId, Infinity) };
  }

  /** The range of the whole log. */
  get logRange(): KeyRange {
    return { start: this.layout.commit(""), end: [...this.layout.commits, -Infinity] }; // numbers come after strings
  }

  async #whole(value: Uint8Array, actorId: string, version: number, count: number): Promise<Uint8Array> {
    return await joinChunks(this.kv, value, count, (index) => this.layout.chunk(actorId, version, index));
  }

  #fault({ key, versionstamp }: Deno.KvEntry<unknown>, error: unknown): DamagedHistoryError {
    if (!isUnreadable(error)) throw error;
    const version = versionOf(key);
    const place = {
      actorId: actorOf(key),
      version: Number.isSafeInteger(version) ? version : undefined,
      position: this.positions.unread(versionstamp),
    };
    const advice = error instanceof ForeignValue ? `. ${adviceFor(key)}` : "";
    return new DamagedHistoryError(`a record cannot be read: ${error.message}${advice}`, place, {
      cause: error,
    });
  }
}

/** What to do about a key that another program has written. */
function adviceFor(key: Deno.KvKey): string {
  const text = JSON.stringify(key, (_, part) => typeof part === "bigint" ? `${part}n` : part);
  return `Another program has written ${text}. If readAll() has no event of this actor and version, delete the key`;
}

/** A versionstamp. */
const VERSIONSTAMP = new RegExp(`^[0-9a-f]{${VERSIONSTAMP_WIDTH}}$`);
/** The highest index in a position. */
const MAX_INDEX = 16 ** INDEX_WIDTH - 1;

/** A value with the chunks that follow it. */
export async function joinChunks(
  kv: Deno.Kv,
  value: Uint8Array,
  count: number,
  key: (index: number) => Deno.KvKey,
): Promise<Uint8Array> {
  const chunks = await getAll(kv, Array.from({ length: count }, (_, index) => key(index)));
  const parts = [value];
  for (const chunk of chunks) {
    if (!(chunk.value instanceof Uint8Array)) throw new UnreadableRecord("a chunk of it is missing");
    parts.push(chunk.value);
  }
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function isUnreadable(error: unknown): error is Error {
  return error instanceof UnreadableRecord || error instanceof SyntaxError;
}
