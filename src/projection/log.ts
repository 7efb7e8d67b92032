/**
 * Working a log off.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { takeBuffered } from "../store/buffered_iteration.ts";
import type { EventStore, LogStart } from "../store/types.ts";
import type { CompiledProjection } from "./compile.ts";
import type { Guard } from "./attempt.ts";
import type { Worker } from "./worker.ts";

/**
 * Hands the log, from the worker's checkpoint to its end, to the worker.
 *
 * @param end The last position at the time of the call.
 * @param answering Ends the waiting for the log, with the signal's reason.
 * @returns Whether it came to the end, rather than to that of its right to work.
 */
export async function workOff<Tx>(
  store: EventStore,
  projection: CompiledProjection<Tx>,
  worker: Worker<Tx>,
  guard: Guard,
  end: string | undefined,
  answering?: AbortSignal,
): Promise<boolean> {
  if (needsEnd(projection, worker)) {
    worker.amend((draft) => {
      if (end === undefined) draft.isBegun = true;
      else draft.position = end;
    });
    await worker.flush();
  }
  for (;;) {
    try {
      return await readOn(store, projection, worker, guard, end, answering);
    } catch (error) {
      await worker.refused(error);
    }
  }
}

/** Whether it is to begin at the end, and has not done so yet: which end is recorded before anything is handled. */
function needsEnd<Tx>({ from }: CompiledProjection<Tx>, { record }: Worker<Tx>): boolean {
  return from === "end" && record.position === undefined && !record.isBegun;
}

/** Where a projection reads on. */
export function placeOf<Tx>({ from }: CompiledProjection<Tx>, { place }: Worker<Tx>): LogStart {
  return place ?? (from === "end" ? "start" : from);
}

async function readOn<Tx>(
  store: EventStore,
  projection: CompiledProjection<Tx>,
  worker: Worker<Tx>,
  guard: Guard,
  end: string | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const after = placeOf(projection, worker);
  const events = store.readAll({ ...projection.filter, after, ...(signal && { signal }) })
    [Symbol.asyncIterator]();
  const take = takeBuffered(events);
  try {
    for (;;) {
      const result = await events.next();
      if (result.done) break;
      await handleAll(worker, result.value, take, guard);
      if (!guard.isOver()) continue;
      await worker.endLog();
      return worker.record.position === end;
    }
  } finally {
    await events.return?.();
  }
  worker.skipTo(end);
  return await worker.endLog();
}

/** Hands an event, and those that have arrived after it, to the worker, until its right to work is over. */
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
