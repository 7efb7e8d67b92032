/**
 * Where the index of a store's timers is kept: in the storage that the store has open.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { sideOf } from "../side_storage.ts";
import type { Warn } from "../warning.ts";
import { DenoKvTimerIndex } from "./deno_kv_timer_index.ts";
import { InMemoryTimerIndex, type TimerIndex } from "./timer_index.ts";

/**
 * Opens the index of a store. That of a store that is not the library's is in memory, and is built at each start.
 *
 * @param warn Takes a warning if it is kept less safely than the events.
 */
export async function openTimerIndex(store: object, warn?: Warn): Promise<TimerIndex> {
  const storage = sideOf(store)?.storage;
  if (storage?.type === "deno-kv") return new DenoKvTimerIndex(storage.kv, storage.base);
  if (storage?.type === "jetstream") {
    const { openJetStreamTimerIndex } = await import("./bucket_timer_index.ts");
    return await openJetStreamTimerIndex(storage, warn);
  }
  return new InMemoryTimerIndex(storage?.type === "memory" ? storage.owner : store);
}

/**
 * Works with the index of a store, and closes it afterwards. An abort ends the wait at once, and what still waits for the
 * storage soon after.
 *
 * @throws The signal's reason.
 */
export async function withTimerIndex<T>(
  store: object,
  signal: AbortSignal | undefined,
  work: (index: TimerIndex) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const run = async (): Promise<T> => {
    const index = await openTimerIndex(store);
    const close = (): void => void index.close();
    signal?.addEventListener("abort", close, { once: true });
    try {
      signal?.throwIfAborted();
      return await work(index);
    } finally {
      signal?.removeEventListener("abort", close);
      await index.close();
    }
  };
  return await abortable(run(), signal);
}
