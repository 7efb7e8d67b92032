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
  /** How many entries the caller is likely to take: no more are read ahead. @default {all} */
  readonly expected?: number;
}

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
  { reverse = false, expected = Infinity }: ScanOptions = {},
): AsyncGenerator<readonly Deno.KvEntry<unknown>[]> {
  let size = expected < Infinity ? Math.min(LARGEST_BATCH, Math.max(1, expected)) : FIRST_BATCH;
  let ahead: Promise<Deno.KvEntry<unknown>[]> | undefined;
  try {
    for (let seen = 0;;) {
      const batch = await (ahead ?? fetch(kv, range, size, reverse));
      ahead = undefined;
      seen += batch.length;
      const more = batch.length === size;
      if (more) {
        const { key } = batch.at(-1)!;
        range = reverse ? { start: range.start, end: key } : { start: following(key), end: range.end };
        size = batchSize(batch);
        if (seen < expected) ahead = fetch(kv, range, size, reverse);
        ahead?.catch(() => {}); // it is awaited above, or given up below
      }
      if (batch.length > 0) yield batch;
      if (!more) return;
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
