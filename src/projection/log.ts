/**
 * Working a log off.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { itemsAtHand } from "../store/batches.ts";
import type { EventStore } from "../store/types.ts";
import type { CompiledProjection } from "./projection.ts";
import type { Guard } from "./progress.ts";
import type { Worker } from "./worker.ts";

/**
 * Hands the log, from the worker's checkpoint to its end, to the worker.
 *
 * @param end The last position at the time of the call.
 * @returns Whether it came to the end, rather than to that of its right to work.
 */
export async function workOff<Tx>(
  store: EventStore,
  projection: CompiledProjection<Tx>,
  worker: Worker<Tx>,
  guard: Guard,
  end: string | undefined,
): Promise<boolean> {
  for (;;) {
    try {
      return await readOn(store, projection, worker, guard, end);
    } catch (error) {
      await worker.refused(error);
    }
  }
}

async function readOn<Tx>(
  store: EventStore,
  { filter, from }: CompiledProjection<Tx>,
  worker: Worker<Tx>,
  guard: Guard,
  end: string | undefined,
): Promise<boolean> {
  const after = worker.record.position ?? from;
  const events = store.readAll({ ...filter, after })[Symbol.asyncIterator]();
  const take = itemsAtHand(events);
  try {
    for (;;) {
      const result = await events.next();
      if (result.done) break;
      await handleAll(worker, result.value, take, guard);
      if (!guard.isOver()) continue;
      await worker.flush();
      return worker.record.position === end;
    }
  } finally {
    await events.return?.();
  }
  worker.skipTo(end);
  await worker.flush();
  return true;
}

/** Hands an event, and those that are at hand behind it, to the worker, until its right to work is over. */
export async function handleAll<Tx>(
  worker: Worker<Tx>,
  first: StoredEvent,
  take: () => StoredEvent | undefined,
  guard: Guard,
): Promise<void> {
  worker.begin();
  for (let event: StoredEvent | undefined = first; event !== undefined; event = take()) {
    const handling = worker.handle(event);
    if (!handling) continue;
    await handling;
    worker.tell();
    if (guard.isOver()) break;
    guard.check();
  }
  worker.tell();
}
