/**
 * Reading ranges of keys.
 *
 * @module
 */

import { whileBusy } from "../../deno_kv_failures.ts";
import { MAX_GET_MANY, MAX_LIST_BATCH } from "../../deno_kv_limits.ts";
import { following } from "./layout.ts";

/** A range of keys: from `start` on, up to and without `end`. */
export interface KeyRange {
  /** The first key. */
  readonly start: Deno.KvKey;
  /** The key behind the last one. */
  readonly end: Deno.KvKey;
}

/** How to read a range. */
export interface ScanOptions {
  /** From the end to the start. @default {false} */
  readonly reverse?: boolean;
  /** How many more entries the caller is likely to take: asked before each batch, and none is read ahead. @default {all} */
  readonly need?: Need | undefined;
}

/** How many entries a reader is likely to take that wants so many events: an entry may have one or many. */
export class Need {
  readonly #limit: number;
  #entries = 0;
  #events = 0;
  /** How many events there are to be when `note()` returns true. */
  #goal: number;

  /** Has read none. */
  constructor(limit: number) {
    this.#limit = this.#goal = limit;
  }

  /** For so many events; `undefined` if all are wanted. */
  static of(limit: number | undefined): Need | undefined {
    return limit === undefined || limit === Infinity ? undefined : new Need(limit);
  }

  /** Notes how many events an entry had; returns whether there are as many as are wanted, and again as many each time. */
  note(events: number): boolean {
    this.#entries++;
    this.#events += events;
    if (this.#events < this.#goal) return false;
    this.#goal = this.#events + this.#limit;
    return true;
  }

  /** Whether there were as many events as are wanted: the reader leaves out some, if it goes on. */
  get isMet(): boolean {
    return this.#events >= this.#limit;
  }

  /** How many more entries there must be for it, as those before were. */
  get entries(): number {
    if (this.#entries === 0) return Math.min(this.#limit, MAX_FIRST) + MARGIN;
    if (this.#events === 0) return LARGEST_BATCH;
    return Math.ceil((this.#limit - this.#events) * this.#entries / this.#events) + MARGIN;
  }
}

/** The most entries that are read to learn how many events an entry has. */
const MAX_FIRST = 32;
/** The entry of the place that is read on from, or behind the last one. */
const MARGIN = 2;

/** The most that a batch should hold, in bytes, so that large values do not fill the memory. */
const BATCH_BYTES = 8 * 1024 * 1024;
/**
 * How many entries a batch has at first, and the most that it has. A quarter of what the backend gives at once: while one batch is
 * decoded here, the next one is read there.
 */
const FIRST_BATCH = 100;
const LARGEST_BATCH = MAX_LIST_BATCH / 4;

/** Reads a range in batches. While a batch is worked on, the next one is read. */
export async function* scan(
  kv: Deno.Kv,
  range: KeyRange,
  { reverse = false, need }: ScanOptions = {},
): AsyncGenerator<readonly Deno.KvEntry<unknown>[]> {
  let size = Math.min(LARGEST_BATCH, need?.entries ?? FIRST_BATCH);
  let ahead: Promise<Deno.KvEntry<unknown>[]> | undefined;
  try {
    for (;;) {
      const batch = await (ahead ?? fetch(kv, range, size, reverse));
      ahead = undefined;
      const more = batch.length === size;
      if (more) {
        const { key } = batch.at(-1)!;
        range = reverse ? { start: range.start, end: key } : { start: following(key), end: range.end };
        size = batchSize(batch);
        if (!need) ahead = fetch(kv, range, size, reverse);
        ahead?.catch(() => {}); // it is awaited above, or given up below
      }
      if (batch.length > 0) yield batch;
      if (!more) return;
      if (need?.isMet) need = undefined;
      if (need) size = Math.min(size, need.entries);
    }
  } finally {
    await ahead?.catch(() => {});
  }
}

function fetch(
  kv: Deno.Kv,
  range: KeyRange,
  size: number,
  reverse: boolean,
): Promise<Deno.KvEntry<unknown>[]> {
  return whileBusy(async () => {
    const entries: Deno.KvEntry<unknown>[] = [];
    for await (const entry of kv.list(range, { limit: size, batchSize: size, reverse })) entries.push(entry);
    return entries;
  });
}

function batchSize(batch: readonly Deno.KvEntry<unknown>[]): number {
  let bytes = 1;
  for (const { value } of batch) if (value instanceof Uint8Array) bytes += value.length;
  return Math.max(1, Math.min(LARGEST_BATCH, Math.floor(BATCH_BYTES * batch.length / bytes)));
}

/** The first entry of a range, or its last one. */
export async function firstEntry(
  kv: Deno.Kv,
  range: KeyRange,
  reverse = false,
): Promise<Deno.KvEntry<unknown> | undefined> {
  const [entry] = await fetch(kv, range, 1, reverse);
  return entry;
}

/** The entries of keys, as many at a time as the backend allows; each group of them is one snapshot. */
export async function getAll(
  kv: Deno.Kv,
  keys: readonly Deno.KvKey[],
): Promise<Deno.KvEntryMaybe<unknown>[]> {
  const groups: Promise<Deno.KvEntryMaybe<unknown>[]>[] = [];
  for (let from = 0; from < keys.length; from += MAX_GET_MANY) {
    groups.push(whileBusy(() => kv.getMany<unknown[]>(keys.slice(from, from + MAX_GET_MANY))));
  }
  return (await Promise.all(groups)).flat();
}
