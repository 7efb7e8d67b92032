/**
 * Waiting until a projection has handled an event: read-your-writes.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { compileFilter } from "../event/filter.ts";
import type { Event, EventFilter } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { rawLogOf } from "../store/raw_log.ts";
import type { EventStore } from "../store/types.ts";
import type { CheckpointStore, ProjectionReference } from "./checkpoints.ts";
import { endOf, outcomeOf } from "./ends.ts";
import { heldByParked, notReached, type ProjectionId } from "./errors.ts";
import type { ParkedEvent, ProjectionRecord } from "./record.ts";
import { recordsOf } from "./segment.ts";
import { keyed, type KeyOf } from "./compile.ts";
import { keyIn } from "./progress.ts";
import { describe } from "../text.ts";

/**
 * How long to wait.
 *
 * @category Projections
 */
export interface WaitForOptions {
  /** The most time, in ms. @default {10000} */
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
  const { name, version = 1, checkpoints } = readOptions(projection, checkWaitedFor, "projection");
  const keyOf = keyed(projection);
  await waitForPosition(store, checkpoints, { name, version }, position, { ...readWaitFor(options), keyOf });
}

/** Returns what is waited for as it was read. */
function checkWaitedFor<P extends { readonly checkpoints: Pick<CheckpointStore<unknown>, "load"> }>(
  { ...projection }: P,
): Omit<P, never> {
  if (typeof projection.checkpoints?.load === "function") return projection;
  throw new InvalidArgumentError(
    "projection.checkpoints",
    `must be a place for checkpoints, and is ${describe(projection.checkpoints)}`,
  );
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

/** Waits, helped by a worker in the same process if there is one. */
export async function waitForPosition(
  store: EventStore,
  checkpoints: Pick<CheckpointStore<unknown>, "load">,
  id: ProjectionId,
  position: string,
  options: WaitForOptions & Nearby,
): Promise<void> {
  const { timeout = 10_000, pollInterval = 20, signal, listen, ended, keyOf } = options;
  const log = rawLogOf(store);
  await abortable(log.checkPosition(position), signal);
  const deadline = performance.now() + timeout;
  let failure: { readonly error: unknown } | undefined;
  let wake = (): void => {};
  ended?.catch((error: unknown) => {
    failure = { error };
    wake();
  });
  /** The segments that have handled it. */
  const passed = new Set<string>();
  let isReached = false;
  let reached: string | undefined;
  const unlisten = listen?.((handled) => {
    if (handled < position) return;
    isReached = true;
    wake();
  });
  const abort = (): void => wake();
  signal?.addEventListener("abort", abort);
  try {
    for (;;) {
      signal?.throwIfAborted();
      if (isReached) return;
      try {
        const records = await abortable(recordsOf(id, checkpoints, passed), signal);
        let isBehind = records.length === 0 && passed.size === 0;
        reached = records[0]?.position;
        for (const record of records) {
          if (!await abortable(isHandled(store, { ...record, ...id }, position, keyOf), signal)) {
            isBehind = true;
            reached = record.position;
            continue;
          }
          // A checkpoint of a lost part of the log is ahead of everything that came in its place.
          if (record.position !== position) await abortable(log.checkPosition(record.position!), signal);
          if (record.name !== id.name) passed.add(record.name);
        }
        if (!isBehind) return;
      } catch (error) {
        signal?.throwIfAborted();
        // What cannot be reached now may be in time.
        if (!mayPass(error) || performance.now() >= deadline) throw outcomeOf(id, error);
      }
      if (isReached) return;
      if (failure) throw failure.error;
      const left = deadline - performance.now();
      if (left <= 0) throw notReached(id, position, reached, timeout);
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      const timer = setTimeout(resolve, Math.min(pollInterval, left, MAX_TIMER));
      if (!isReached) await promise;
      clearTimeout(timer);
    }
  } finally {
    unlisten?.();
    signal?.removeEventListener("abort", abort);
  }
}

/** The longest time of a timer, in milliseconds: longer ones fire at once. */
const MAX_TIMER = 2 ** 31 - 1;

/**
 * Whether a record shows that the event at a position was handled, and that what its handler wanted appended is stored.
 *
 * @throws {ProjectionBehindError} If it was parked, or waits behind a parked one.
 */
async function isHandled(
  store: EventStore,
  record: ProjectionRecord,
  position: string,
  keyOf: KeyOf | undefined,
): Promise<boolean> {
  if (record.position === undefined || record.position < position) return false;
  if (record.intent?.length && record.intendedFor?.position === position) return false;
  if (record.reactions?.some(({ event }) => event.position <= position)) return false;
  for (const entry of record.parked) {
    const isHeld = entry.position === position || await waitsBehind(store, record, entry, position, keyOf);
    if (isHeld) throw heldByParked(record, position, entry);
  }
  return true;
}

/** Whether the event at a position is a later one of a parked event's actor, and waits for it. */
async function waitsBehind(
  store: EventStore,
  { filter }: ProjectionRecord,
  { actorId, blocksActor, eventVersion, position: parkedAt, key }: ParkedEvent,
  position: string,
  keyOf: KeyOf | undefined,
): Promise<boolean> {
  if (!blocksActor || position < parkedAt) return false;
  if (key !== undefined) return keyOf !== undefined && await hasKey(store, filter, position, key, keyOf);
  const isChosen = compileFilter(filter) ?? ((): boolean => true);
  for await (const event of store.readEvents(actorId, { fromVersion: eventVersion + 1 })) {
    if (event.position >= position) return event.position === position && isChosen(event);
  }
  return false;
}

/** Whether the event at a position is one of a key, and one that the projection is of. */
async function hasKey(
  store: EventStore,
  filter: EventFilter,
  position: string,
  key: string,
  keyOf: KeyOf,
): Promise<boolean> {
  const at = { direction: "backward", after: "first-kept", until: position, limit: 1 } as const;
  for await (const event of store.readAll({ ...filter, ...at })) {
    return event.position === position && keyIn({ keyOf }, event) === key;
  }
  return false;
}

function mayPass(error: unknown): boolean {
  const end = endOf(error);
  return end === "momentary" || end === "bounded" || end === "superseded";
}
