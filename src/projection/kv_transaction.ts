/**
 * Transactions over Deno KV that span several events: what a handler writes is read back by the handlers behind it, and
 * all of it is committed at once.
 *
 * @module
 */

import { serialize } from "node:v8";
import { utf8Length } from "../text.ts";
import { backendError, whileBusy } from "../deno_kv_failures.ts";
import {
  MAX_ATOMIC_BYTES,
  MAX_ATOMIC_KEY_BYTES,
  MAX_KEY_BYTES,
  MAX_MUTATIONS,
  MAX_VALUE_BYTES,
} from "../deno_kv_limits.ts";
import type { HandlerScope } from "./checkpoints.ts";
import { transactionOver, transactionRefused, transactionTooLarge } from "./errors.ts";

/**
 * Writes to a read model in Deno KV. Reads show the writes before them, of this event and of those before it. Keys below the
 * prefix of the checkpoints, and below `["aether"]`, are the library's own, and can be read alone.
 *
 * @category Projections
 */
export interface KvTransaction {
  /** The value of a key; `null` if it has none. */
  get<T = unknown>(key: Deno.KvKey): Promise<T | null>;
  /**
   * Sets a key, when the checkpoint is committed.
   *
   * @throws {HandlerError} If Deno KV does not take the key or the value, or the key is the library's own.
   * @throws {HandlerError} If the value is larger than Deno KV takes.
   */
  set(key: Deno.KvKey, value: unknown): void;
  /**
   * Deletes a key, when the checkpoint is committed.
   *
   * @throws {HandlerError} If Deno KV does not take the key, or it is the library's own.
   */
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
const ROOM = 380_000;
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

  /** The names of the keys. */
  names(): Iterable<string> {
    return this.#writes.keys();
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
  readonly #ownPrefixes: readonly string[];
  readonly #own = new KvWrites();
  /** The scopes of handlers that work at the same time, this one among them. */
  readonly #open: Set<KvScope> | undefined;
  /** What was read, if others may write meanwhile. */
  readonly #read = new Set<string>();
  #isDisturbed = false;
  #isOver = false;
  #broken: { readonly error: unknown } | undefined;

  /**
   * Begins.
   *
   * @param ownPrefixes The first parts of keys that are the library's own.
   * @param open The scopes that others write with at the same time; this one becomes one of them.
   */
  constructor(kv: Deno.Kv, before: KvWrites, ownPrefixes: readonly string[], open?: Set<KvScope>) {
    this.#open = open?.add(this);
    this.#kv = kv;
    this.#before = before;
    this.#ownPrefixes = ownPrefixes;
  }

  /** Itself. */
  get transaction(): KvTransaction {
    return this;
  }

  /** The value of a key. */
  async get<T = unknown>(key: Deno.KvKey): Promise<T | null> {
    this.#assertOpen();
    checkKey(key);
    const name = nameOf(key);
    const own = this.#own.find(name);
    if (this.#open && !own) this.#read.add(name);
    const write = own ?? this.#before.find(name);
    // A copy: the handler may change what it gets, as it may what the database gives it.
    if (write) return write.value === undefined ? null : copyOf(write.value.of) as T;
    try {
      const { value } = await whileBusy(() => this.#kv.get<T>(key));
      return value;
    } catch (cause) {
      const error = backendError("checkpoint", cause);
      this.#broken ??= { error };
      throw error;
    }
  }

  /** Why the database could not be read. */
  get broken(): { readonly error: unknown } | undefined {
    return this.#broken;
  }

  /** Sets a key. */
  set(key: Deno.KvKey, value: unknown): void {
    this.#assertOpen();
    const keyBytes = this.#checkWrite(key);
    if (value === undefined) throw transactionRefused("the value is undefined: use delete()");
    const { of, size } = stored(value);
    if (size > MAX_VALUE_BYTES) throw transactionTooLarge("bytes", size, MAX_VALUE_BYTES);
    this.#put(key, keyBytes, { of }, size);
  }

  /** Deletes a key. */
  delete(key: Deno.KvKey): void {
    this.#assertOpen();
    this.#put(key, this.#checkWrite(key), undefined, 0);
  }

  /** Adds the writes to the unit. */
  keep(): "kept" | "full" | "disturbed" {
    const alone = this.#own.excess();
    if (alone) throw transactionTooLarge(alone.unit, alone.size, alone.limit);
    if (this.#isDisturbed) return "disturbed";
    if (this.#before.excess(this.#own)) return "full";
    this.#before.add(this.#own);
    this.#end();
    for (const other of this.#open ?? []) other.#notice(this.#own);
    return "kept";
  }

  /** Whether another handler has changed what this one has read. */
  get isDisturbed(): boolean {
    return this.#isDisturbed;
  }

  #notice(kept: KvWrites): void {
    if (this.#read.size === 0 || this.#isDisturbed) return;
    for (const name of kept.names()) this.#isDisturbed ||= this.#read.has(name);
  }

  #end(): void {
    this.#isOver = true;
    this.#open?.delete(this);
  }

  /** Forgets the writes. */
  drop(): void {
    this.#end();
    this.#own.clear();
  }

  #put(key: Deno.KvKey, keyBytes: number, value: KvWrite["value"], size: number): void {
    const copy = key.map((part) => part instanceof Uint8Array ? part.slice() : part);
    const bytes = (value ? 2 : 1) * keyBytes + size;
    this.#own.put(nameOf(key), { key: copy, value, keyBytes: value ? keyBytes : 0, bytes });
  }

  /** Returns how many bytes a key takes. */
  #checkWrite(key: Deno.KvKey): number {
    const bytes = checkKey(key);
    if (!this.#ownPrefixes.includes(key[0] as string)) return bytes;
    throw transactionRefused(
      `keys that begin with ${
        JSON.stringify(key[0])
      } are the library's own: write the read model below another one`,
    );
  }

  #assertOpen(): void {
    if (this.#isOver) throw transactionOver();
  }
}

/**
 * Returns how many bytes a key takes in the database.
 *
 * @throws {HandlerError} If Deno KV does not take it.
 */
function checkKey(key: Deno.KvKey): number {
  if (!Array.isArray(key) || key.length === 0) {
    throw transactionRefused("a key is a list of at least one part");
  }
  let bytes = 0;
  for (const part of key) bytes += partBytes(part);
  if (bytes <= MAX_KEY_BYTES) return bytes;
  throw transactionRefused(`a key takes ${bytes} bytes, and Deno KV takes ${MAX_KEY_BYTES}`);
}

/** The length of a bigint is one byte. */
const MAX_BIGINT_BYTES = 255;

/** A tag, the bytes in which a zero counts twice, and a terminator. */
function partBytes(part: unknown): number {
  switch (typeof part) {
    case "string":
      return utf8Length(part) + zeros(part) + 2;
    case "number":
      return 9;
    case "boolean":
      return 1;
    case "bigint": {
      const length = Math.ceil((part < 0n ? -part : part).toString(16).length / 2);
      if (length > MAX_BIGINT_BYTES) {
        throw transactionRefused("a bigint of a key takes 255 bytes at most");
      }
      return length + 2;
    }
  }
  if (part instanceof Uint8Array) {
    return part.length + part.reduce((sum, byte) => sum + (byte === 0 ? 1 : 0), 0) + 2;
  }
  throw transactionRefused("a part of a key is a string, number, bigint, boolean or Uint8Array");
}

function zeros(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\0"); at >= 0; at = text.indexOf("\0", at + 1)) count++;
  return count;
}

/** A text that no two keys share. */
function nameOf(key: Deno.KvKey): string {
  return JSON.stringify(key.map((part) => {
    if (part instanceof Uint8Array) return ["bytes", part.toHex()];
    if (typeof part === "bigint") return ["bigint", String(part)];
    if (typeof part === "number") return ["number", Object.is(part, -0) ? "-0" : String(part), ""];
    return [typeof part, part];
  }));
}

const KV_U64_BYTES = 8;

function isKvU64(value: unknown): value is Deno.KvU64 {
  return typeof Deno.KvU64 === "function" && value instanceof Deno.KvU64;
}

/**
 * A copy of a value, and the bytes that it takes in the database: V8's own format, as Deno KV writes it, except for bytes.
 *
 * @throws {HandlerError} If it cannot be cloned.
 */
function stored(value: unknown): { readonly of: unknown; readonly size: number } {
  if (value instanceof Uint8Array) return { of: value.slice(), size: value.length };
  if (isKvU64(value)) return { of: value, size: KV_U64_BYTES };
  try {
    const of = structuredClone(value);
    const size = serialize(of).length;
    if (size <= MAX_VALUE_BYTES) return { of, size };
    const smaller = packed(of, new Map());
    return { of: smaller, size: serialize(smaller).length };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw transactionRefused(`the value cannot be stored (${reason})`, { cause });
  }
}

/**
 * The value with arrays as a program makes them. V8 takes the arrays of a clone for sparse ones, and writes each index too,
 * which makes them up to twice as large.
 */
function packed(value: unknown, seen: Map<object, unknown>): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  if (Array.isArray(value) && Object.keys(value).length === value.length) {
    const items: unknown[] = [];
    seen.set(value, items);
    for (const item of value) items.push(packed(item, seen));
    return items;
  }
  seen.set(value, value);
  if (value instanceof Map) { for (const [key, item] of [...value]) value.set(key, packed(item, seen)); }
  else if (Object.getPrototypeOf(value) === Object.prototype) {
    const fields = value as Record<string, unknown>;
    for (const [name, item] of Object.entries(fields)) fields[name] = packed(item, seen);
  }
  return value;
}

function copyOf(value: unknown): unknown {
  return isKvU64(value) ? value : structuredClone(value);
}
