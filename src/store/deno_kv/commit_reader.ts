/**
 * Entries of Deno KV as records: read whole, checked, decoded.
 *
 * @module
 */

import { DamagedHistoryError } from "../errors.ts";
import type { Layout } from "./layout.ts";
import {
  chunkCount,
  decodeLogged,
  decodePart,
  decodeValue,
  type LoggedPartJson,
  type PartJson,
  type RecordContext,
  type StoredKvPart,
  UnreadableRecord,
} from "./part_format.ts";
import { firstEntry, getAll, type KeyRange } from "./scan.ts";

/** What was to be read, or why it cannot be. */
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
  /** Where they lie. */
  readonly layout: Layout;
  readonly #context: RecordContext;

  constructor(kv: Deno.Kv, layout: Layout, context: RecordContext) {
    this.kv = kv;
    this.layout = layout;
    this.#context = context;
  }

  /**
   * The record of an entry under an actor's key. It is a promise only where chunks have to be waited for: a long history
   * comes as a thousand entries at once.
   */
  read(entry: Deno.KvEntry<unknown>): OrFault<StoredKvPart> | Promise<OrFault<StoredKvPart>> {
    const decode = (bytes: Uint8Array): StoredKvPart => {
      const share = decodeValue(bytes, this.#context.checksum) as PartJson;
      return decodePart(share, entry.key.at(-2) as string, entry.versionstamp, this.#context.positions);
    };
    const refuse = (error: unknown): DamagedHistoryError => this.#fault(entry, error);
    try {
      const count = chunkCount(entry.value);
      return count > 0
        ? this.#whole(entry, count).then(decode).catch(refuse)
        : decode(entry.value as Uint8Array);
    } catch (error) {
      return refuse(error);
    }
  }

  /** An actor's latest record. */
  async latest(actorId: string): Promise<LatestRecord | undefined> {
    const entry = await firstEntry(this.kv, this.actorRange(actorId), true);
    return entry && { entry, record: await this.read(entry) };
  }

  /** The shares of a record of the log, in order. */
  async readLogged(entry: Deno.KvEntry<unknown>): Promise<OrFault<StoredKvPart>[]> {
    const versionstamp = entry.key.at(-1) as string;
    let shares: readonly LoggedPartJson[];
    try {
      if (!(entry.value instanceof Uint8Array)) throw new UnreadableRecord("it is no record");
      shares = decodeLogged(decodeValue(entry.value, this.#context.checksum));
    } catch (error) {
      return [this.#loggedFault(versionstamp, error)];
    }
    const reader: OrFault<StoredKvPart>[] = [];
    for (const share of shares) {
      if (!share.events) reader.push(await this.#referred(share, versionstamp));
      else {
        try {
          reader.push(decodePart(share as PartJson, share.actor, versionstamp, this.#context.positions));
        } catch (error) {
          reader.push(this.#loggedFault(versionstamp, error));
        }
      }
    }
    return reader;
  }

  #loggedFault(versionstamp: string, error: unknown): DamagedHistoryError {
    if (!isUnreadable(error)) throw error;
    const position = this.#context.positions.unread(versionstamp);
    return new DamagedHistoryError(`a commit cannot be read: ${error.message}`, { position }, {
      cause: error,
    });
  }

  /** The range of an actor's records. */
  actorRange(actorId: string): KeyRange {
    return { start: this.layout.actor(actorId), end: this.layout.afterActor(actorId) };
  }

  /** The range of the whole log. */
  get logRange(): KeyRange {
    const start = this.layout.commits;
    return { start, end: [...start, Number.MIN_SAFE_INTEGER] }; // numbers come after strings
  }

  /** A share that is so large that the log only names it. */
  async #referred(share: LoggedPartJson, versionstamp: string): Promise<OrFault<StoredKvPart>> {
    const { actor: actorId, previous, offset = 0 } = share;
    const [entry] = await getAll(this.kv, [this.layout.event(actorId, previous + 1)]);
    if (entry?.versionstamp === versionstamp) return await this.read(entry);
    const position = this.#context.positions.unread(versionstamp, offset);
    return new DamagedHistoryError("the log names a commit that is not there", {
      actorId,
      version: previous + 1,
      position,
    });
  }

  async #whole(entry: Deno.KvEntry<unknown>, count: number): Promise<Uint8Array> {
    const [actorId, version] = entry.key.slice(-2) as [string, number];
    const key = (index: number): Deno.KvKey => this.layout.chunk(actorId, version, index);
    return await joinChunks(this.kv, entry.value as Uint8Array, count, key);
  }

  #fault(entry: Deno.KvEntry<unknown>, error: unknown): DamagedHistoryError {
    if (!isUnreadable(error)) throw error;
    const [actorId, version] = entry.key.slice(-2) as [string, number];
    const place = { actorId, version, position: this.#context.positions.unread(entry.versionstamp) };
    return new DamagedHistoryError(`a record cannot be read: ${error.message}`, place, { cause: error });
  }
}

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
