/**
 * Where the index of a store's timers is kept: in the storage that the store has open.
 *
 * @module
 */

import { sideOf } from "../side_storage.ts";
import { DenoKvTimerIndex } from "./deno_kv_timer_index.ts";
import { InMemoryTimerIndex, type TimerIndex } from "./timer_index.ts";

/** Opens the index of a store. That of a store that is not the library's is in memory, and is built at each start. */
export async function openTimerIndex(store: object): Promise<TimerIndex> {
  const storage = sideOf(store)?.storage;
  if (storage?.type === "deno-kv") return new DenoKvTimerIndex(storage.kv, storage.base);
  if (storage?.type === "jetstream") {
    const { openJetStreamTimerIndex } = await import("./bucket_timer_index.ts");
    return await openJetStreamTimerIndex(storage);
  }
  return new InMemoryTimerIndex(storage?.type === "memory" ? storage.owner : store);
}
