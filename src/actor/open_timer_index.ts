/**
 * Where the index of a store's timers is kept: in the storage that the store has open.
 *
 * @module
 */

import { sideOf } from "../side_storage.ts";
import { InMemoryTimerIndex, type TimerIndex } from "./timer_index.ts";

/** Opens the index of a store. That of a store that is not the library's is in memory, and is built at each start. */
// deno-lint-ignore require-await -- others have to be opened
export async function openTimerIndex(store: object): Promise<TimerIndex> {
  const storage = sideOf(store)?.storage;
  return new InMemoryTimerIndex(storage?.type === "memory" ? storage.owner : store);
}
