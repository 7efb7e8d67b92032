/**
 * Following a log: what comes, as it comes.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { BackendError } from "../store/errors.ts";
import { takeBuffered } from "../store/buffered_iteration.ts";
import type { EventStore } from "../store/types.ts";
import { handleAll, placeOf } from "./log.ts";
import type { CompiledProjection } from "./compile.ts";
import type { Guard } from "./attempt.ts";
import type { Worker } from "./worker.ts";

/**
 * Hands what comes to the worker.
 *
 * @param ending Ends it: what was handled is committed.
 */
export async function follow<Tx>(
  store: EventStore,
  projection: CompiledProjection<Tx>,
  worker: Worker<Tx>,
  guard: Guard,
  ending: AbortSignal,
): Promise<void> {
  worker.goLive();
  while (!ending.aborted) {
    try {
      await subscribe(store, projection, worker, guard, ending);
    } catch (error) {
      await worker.refused(error);
    }
  }
}

async function subscribe<Tx>(
  store: EventStore,
  projection: CompiledProjection<Tx>,
  worker: Worker<Tx>,
  guard: Guard,
  ending: AbortSignal,
): Promise<void> {
  const { filter, checkpointInterval } = projection;
  const after = placeOf(projection, worker);
  const { halted } = worker;
  const waiting = halted ? AbortSignal.any([ending, halted]) : ending;
  await using subscription = store.subscribe({ ...filter, after });
  const events = subscription[Symbol.asyncIterator]();
  const take = takeBuffered(events);
  const probe = new Probe(store);
  let leftOut: string | undefined;
  let next = watch(events.next());
  for (;;) {
    if (
      !await settles(next.promise, worker.patience ?? Math.min(checkpointInterval, PROBE_INTERVAL), waiting)
    ) {
      // What the subscription had left out by the last look, and nothing has come since, can come no more.
      if (!next.isSettled) worker.skipTo(leftOut);
      leftOut = subscription.position;
      await worker.flush();
      if (ending.aborted) break;
      probe.look();
      continue;
    }
    leftOut = undefined;
    probe.reset();
    const { done, value } = await next.promise as IteratorResult<StoredEvent, undefined>;
    if (done === true) throw await endingOf(store);
    await handleAll(worker, value!, take, guard);
    if (ending.aborted) break;
    next = watch(events.next());
  }
  await worker.endLog();
}

/** How long a subscription may deliver nothing before its store is asked for a sign of life, in milliseconds. */
export const PROBE_INTERVAL = 2_000;

/**
 * Whether the store of a subscription that delivers nothing can be reached. A subscription waits until it can be, and reports
 * nothing meanwhile.
 */
export class Probe {
  readonly #store: EventStore;
  #askedAt = performance.now();
  #isAsking = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(store: EventStore) {
    this.#store = store;
  }

  /** An event has come. */
  reset(): void {
    this.#askedAt = performance.now();
    this.#failure = undefined;
  }

  /**
   * Asks the store, if it was not asked for a while.
   *
   * @throws What the store answered the last time, if it could not be reached.
   */
  look(): void {
    if (this.#failure) throw this.#failure.error;
    if (this.#isAsking || performance.now() - this.#askedAt < PROBE_INTERVAL) return;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const asked = this.#askedAt = performance.now();
    try {
      await this.#store.getLastPosition();
    } catch (error) {
      // An event that came meanwhile shows more.
      if (this.#askedAt === asked) this.#failure = { error };
    }
    this.#isAsking = false;
  }
}

/** Why a subscription has ended by itself: its store throws the reason if it was closed. */
export async function endingOf(store: EventStore): Promise<unknown> {
  try {
    await store.getLastPosition();
  } catch (error) {
    return error;
  }
  return new BackendError("subscribe", "the subscription has ended, and a new one is made");
}

/** A promise, and whether it has settled. */
export interface Watched<T> {
  readonly promise: Promise<T>;
  isSettled: boolean;
}

export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched = { promise, isSettled: false };
  const settle = (): void => {
    watched.isSettled = true;
  };
  promise.then(settle, settle);
  return watched;
}

/** Waits for a promise, a time or a signal; answers whether it was the promise. */
export async function settles(
  promise: Promise<unknown>,
  milliseconds: number,
  signal: AbortSignal,
): Promise<boolean> {
  if (signal.aborted) return false;
  const { promise: over, resolve } = Promise.withResolvers<boolean>();
  const end = (): void => resolve(false);
  signal.addEventListener("abort", end, { once: true });
  // After the listener: the first timer of a Deno process runs waiting microtasks before it returns.
  const timer = setTimeout(end, milliseconds);
  const settled = (): boolean => true;
  try {
    return await Promise.race([promise.then(settled, settled), over]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}
