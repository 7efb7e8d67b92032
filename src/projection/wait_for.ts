/**
 * Waiting until a projection has handled an event: read-your-writes.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { Event } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { MAX_TIMER_MS, sleep } from "../sleep.ts";
import type { EventStore } from "../store/types.ts";
import type { CheckpointStore, ProjectionReference } from "./checkpoints.ts";
import { keyed, type KeyOf } from "./compile.ts";
import type { ProjectionId } from "./errors.ts";
import { Looks } from "./looks.ts";
import { readNamed } from "./reference.ts";
import { describe } from "../text.ts";

/**
 * How long to wait.
 *
 * @category Projections
 */
export interface WaitForOptions {
  /** The most time, in ms, however long a server takes to answer; 0 looks once. @default {10000} */
  readonly timeout?: number;
  /** How often the checkpoint is looked at, in ms: another process may move it. @default {20} */
  readonly pollInterval?: number;
  /** Ends the wait with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What a worker in the same process adds. */
interface Nearby {
  /** Reports every position that has been handled; returns what ends the reports. */
  readonly listen?: (listener: (position: string) => void) => () => void;
  /** Settles when the worker has ended. */
  readonly ended?: Promise<void>;
  /** The key of an event, if the projection has a key of its own. */
  readonly keyOf?: KeyOf | undefined;
}

/**
 * Waits, from any process, until a projection has handled the event at a position.
 *
 * @param store Where the events are.
 * @param projection Its name, version and checkpoints; the projection itself will do.
 * @param position The position that a save returned.
 * @throws {BackendError} If its time is over, and the store or the checkpoint could not be reached at the last look.
 * @throws {ProjectionBehindError} If it takes too long, or if the event was parked or waits behind one that was.
 * @throws {InvalidPositionError} If it is no position of this log, or one that it has not reached, or the checkpoint is
 * none: the log was restored to an earlier state.
 *
 * @example Read your writes, where another process does the work
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, ProjectionBehindError, projectOnce, waitFor } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 * const position = await store.getLastPosition();
 * const projection = { name: "orders", checkpoints: new InMemoryCheckpoints(), handle: () => {} };
 *
 * await assert.rejects(waitFor(store, projection, position!, { timeout: 0 }), ProjectionBehindError);
 * await projectOnce(store, projection); // by the other process
 * await waitFor(store, projection, position!);
 * ```
 *
 * @category Projections
 */
export async function waitFor<E extends Event>(
  store: EventStore<E>,
  projection: ProjectionReference,
  position: string,
  options?: WaitForOptions,
): Promise<void> {
  const { id, checkpoints } = readNamed(projection);
  const keyOf = keyed(projection);
  await waitForPosition(store, checkpoints, id, position, { ...readWaitFor(options), keyOf });
}

const OPTIONS: OptionNames<WaitForOptions> = { timeout: true, pollInterval: true, signal: true };

/**
 * Reads the options of a wait.
 *
 * @throws {InvalidArgumentError} If one is out of range.
 */
export function readWaitFor(options: WaitForOptions | undefined): WaitForOptions {
  return readOptions(options, ({ ...fields }) => {
    checkKnown<WaitForOptions>(fields, OPTIONS);
    const { timeout = 0, pollInterval = 1, signal } = fields;
    if (typeof timeout !== "number" || !(timeout >= 0)) {
      throw new InvalidArgumentError(
        "options.timeout",
        `must be a number of milliseconds, and is ${describe(timeout)}`,
      );
    }
    if (typeof pollInterval !== "number" || !(pollInterval >= 1)) {
      throw new InvalidArgumentError(
        "options.pollInterval",
        `must be at least 1 ms, and is ${describe(pollInterval)}`,
      );
    }
    checkSignal(signal);
    return fields;
  });
}

/** The end of a wait: a worker in this process has handled the event. */
const REACHED = Symbol("reached");
/** The end of a wait: its time is over. */
const LATE = Symbol("late");

/** Waits, helped by a worker in the same process if there is one. */
export async function waitForPosition(
  store: EventStore,
  checkpoints: Pick<CheckpointStore<unknown>, "load">,
  id: ProjectionId,
  position: string,
  options: WaitForOptions & Nearby,
): Promise<void> {
  const { timeout = 10_000, pollInterval = 20, signal, listen, ended, keyOf } = options;
  signal?.throwIfAborted();
  const over = new AbortController();
  const abort = (): void => over.abort(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const looks = new Looks(store, checkpoints, id, position, { keyOf, signal: over.signal });
  const isTimed = timeout > 0 && timeout <= MAX_TIMER_MS;
  const timer = isTimed ? setTimeout(() => over.abort(LATE), timeout) : undefined;
  let isReached = false;
  const unlisten = listen?.((handled) => {
    if (handled < position) return;
    isReached = true;
    if (looks.isOfLog) over.abort(REACHED);
  });
  let failure: { readonly error: unknown } | undefined;
  const failing = new AbortController();
  ended?.catch((error: unknown) => {
    failure = { error };
    failing.abort();
  });
  const waking = AbortSignal.any([over.signal, failing.signal]);
  try {
    for (;;) {
      // What a worker has committed before it ended is seen by a look that begins after that.
      const failed = failure;
      if (await abortable(looks.look(), over.signal) || isReached && looks.isOfLog) return;
      if (failed) throw failed.error;
      if (timeout === 0) throw looks.tooLate(timeout);
      if (!failure) await sleep(pollInterval, waking).catch(() => {});
      over.signal.throwIfAborted();
    }
  } catch (error) {
    if (error === REACHED) return;
    throw error === LATE ? looks.tooLate(timeout) : error;
  } finally {
    clearTimeout(timer);
    unlisten?.();
    signal?.removeEventListener("abort", abort);
  }
}
