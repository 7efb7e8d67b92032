/**
 * Transactions over Deno KV that span several events: what a handler writes is read back by the handlers behind it, and
 * all of it is committed at once.
 *
 * @module
 */

import { utf8Length } from "../event/text.ts";
import {
  MAX_ATOMIC_BYTES,
  MAX_ATOMIC_KEY_BYTES,
  MAX_MUTATIONS,
  MAX_VALUE_BYTES,
} from "../store/deno_kv/layout.ts";
import type { HandlerScope } from "./checkpoints.ts";
import { TransactionOverError, TransactionTooLargeError } from "./errors.ts";

/** Writes to a read model in Deno KV. Reads show the writes before them, of this event and of those before it. */
export interface KvTransaction {
  /** The value of a key; `null` where there is none. */
  get<T = unknown>(key: Deno.KvKey): Promise<T | null>;
  /** Sets a key, when the checkpoint is committed. */
  set(key: Deno.KvKey, value: unknown): void;
  /** Deletes a key, when the checkpoint is committed. */
  delete(key: Deno.KvKey): void;
}

/** A write that waits. */
interface KvWrite {
  readonly key: Deno.KvKey;
  /** Nothing: it is deleted. */
  readonly value: { readonly of: unknown } | undefined;
  readonly keyBytes: number;
  readonly bytes: number;
}

/** What one atomic operation takes, less the room for the checkpoint with its pieces. */
const ROOM = 200_000;
const MOST_WRITES = MAX_MUTATIONS - 50;
const MOST_BYTES = MAX_ATOMIC_BYTES - ROOM;
const MOST_KEY_BYTES = MAX_ATOMIC_KEY_BYTES - 10_000;

/** Writes by key, and what they amount to. */
export class KvWrites {
  readonly #writes = new Map<string, KvWrite>();
  #bytes = 0;
  #keyBytes = 0;

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#writes.size === 0;
  }

  /** The writes. */
  values(): Iterable<KvWrite> {
    return this.#writes.values();
  }

  /** The write of a key. */
  find(name: string): KvWrite | undefined {
    return this.#writes.get(name);
  }

  /** Puts a write in the place of the one before it. */
  put(name: string, write: KvWrite): void {
    const before = this.#writes.get(name);
    this.#writes.set(name, write);
    this.#bytes += write.bytes - (before?.bytes ?? 0);
    this.#keyBytes += write.keyBytes - (before?.keyBytes ?? 0);
  }

  /** What there is too much of, if these and further writes went into one operation. */
  excess(
    further: KvWrites = new KvWrites(),
  ): { readonly unit: "writes" | "bytes"; readonly size: number; readonly limit: number } | undefined {
    const size = this.#writes.size + further.#writes.size;
    if (size > MOST_WRITES) return { unit: "writes", size, limit: MOST_WRITES };
    const bytes = this.#bytes + further.#bytes;
    if (bytes > MOST_BYTES) return { unit: "bytes", size: bytes, limit: MOST_BYTES };
    const keyBytes = this.#keyBytes + further.#keyBytes;
    if (keyBytes > MOST_KEY_BYTES) return { unit: "bytes", size: keyBytes, limit: MOST_KEY_BYTES };
    return undefined;
  }

  /** Takes in further writes. */
  add(further: KvWrites): void {
    for (const [name, write] of further.#writes) this.put(name, write);
  }

  /** Forgets all. */
  clear(): void {
    this.#writes.clear();
    this.#bytes = 0;
    this.#keyBytes = 0;
  }
}

/** The writes of one event over those of the events before it. */
export class KvScope implements HandlerScope<KvTransaction>, KvTransaction {
  readonly #kv: Deno.Kv;
  readonly #before: KvWrites;
  readonly #own = new KvWrites();
  #isOver = false;

  /** Begins. */
  constructor(kv: Deno.Kv, before: KvWrites) {
    this.#kv = kv;
    this.#before = before;
  }

  /** Itself. */
  get transaction(): KvTransaction {
    return this;
  }

  /** The value of a key. */
  async get<T = unknown>(key: Deno.KvKey): Promise<T | null> {
    this.#assertOpen();
    const name = nameOf(key);
    const write = this.#own.find(name) ?? this.#before.find(name);
    // A copy: the handler may change what it gets, as it may what the database gives it.
    if (write) return write.value === undefined ? null : structuredClone(write.value.of) as T;
    const { value } = await this.#kv.get<T>(key);
    return value;
  }

  /** Sets a key. */
  set(key: Deno.KvKey, value: unknown): void {
    this.#assertOpen();
    if (value === undefined) throw new TypeError("the value must not be undefined: use delete()");
    const of = structuredClone(value);
    const size = sizeOf(of);
    if (size > MAX_VALUE_BYTES) throw new TransactionTooLargeError("bytes", size, MAX_VALUE_BYTES);
    this.#put(key, { of }, size);
  }

  /** Deletes a key. */
  delete(key: Deno.KvKey): void {
    this.#assertOpen();
    this.#put(key, undefined, 0);
  }

  /** Adds the writes to the unit. */
  keep(): "kept" | "full" {
    const alone = this.#own.excess();
    if (alone) throw new TransactionTooLargeError(alone.unit, alone.size, alone.limit);
    if (this.#before.excess(this.#own)) return "full";
    this.#before.add(this.#own);
    this.#isOver = true;
    return "kept";
  }

  /** Forgets the writes. */
  drop(): void {
    this.#isOver = true;
    this.#own.clear();
  }

  #put(key: Deno.KvKey, value: KvWrite["value"], size: number): void {
    const name = nameOf(key);
    const keyBytes = utf8Length(name);
    this.#own.put(name, { key: [...key], value, keyBytes, bytes: 2 * keyBytes + size });
  }

  #assertOpen(): void {
    if (this.#isOver) throw new TransactionOverError();
  }
}

/** A text that no two keys share, and that is no shorter than the key is in the database. */
function nameOf(key: Deno.KvKey): string {
  if (!Array.isArray(key) || key.length === 0) throw new TypeError("a key is a list of at least one part");
  return JSON.stringify(key.map((part) => {
    if (part instanceof Uint8Array) return ["bytes", part.toHex()];
    if (typeof part === "bigint") return ["bigint", String(part)];
    if (typeof part === "number") return ["number", Object.is(part, -0) ? "-0" : String(part), ""];
    if (typeof part === "string" || typeof part === "boolean") return [typeof part, part];
    throw new TypeError("a part of a key is a string, number, bigint, boolean or Uint8Array");
  }));
}

/** About how many bytes a value takes in the database: an upper bound for JSON-like values. */
function sizeOf(value: unknown, depth = 0): number {
  if (typeof value === "string") return 8 + 2 * value.length;
  if (typeof value !== "object" || value === null || depth > 100) return 16;
  if (ArrayBuffer.isView(value)) return 16 + value.byteLength;
  let size = 16;
  if (value instanceof Map) {
    for (const [key, item] of value) size += sizeOf(key, depth + 1) + sizeOf(item, depth + 1);
  } else if (value instanceof Set) { for (const item of value) size += sizeOf(item, depth + 1); }
  else for (const [key, item] of Object.entries(value)) size += 8 + 2 * key.length + sizeOf(item, depth + 1);
  return size;
}
