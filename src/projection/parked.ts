/**
 * What projections have set aside: listing it, trying it again, dropping it.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import { sleep } from "../sleep.ts";
import type { EventStore } from "../store/types.ts";
import type { ProjectionReference } from "./checkpoints.ts";
import { CheckpointConflictError, NotParkedError, ProjectionStoppedError } from "./errors.ts";
import type { Guard } from "./progress.ts";
import { compileProjection, type Projection } from "./projection.ts";
import {
  type ParkedEvent,
  parseRecord,
  type ProjectionRecord,
  type Resolution,
  shortError,
} from "./record.ts";
import { Worker } from "./worker.ts";
import { untyped } from "./untyped_store.ts";

/** How a parked event is dealt with. */
export interface ParkedOptions {
  /** Ends the work with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Resolutions that are remembered. */
const MOST_RESOLUTIONS = 100;

/**
 * The events that a projection has set aside, oldest first.
 *
 * @example Look at what was set aside
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, parked, type Projection, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * let printerWorks = false;
 * const receipts: Projection = {
 *   name: "receipts",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle() {
 *     if (!printerWorks) throw new Error("out of paper");
 *   },
 *   failure: { retries: 0, then: "park" },
 * };
 * await projectOnce(store, receipts);
 * for (const { actorId, error, attempts } of await parked(receipts)) {
 *   assert.deepEqual([actorId, attempts], ["order-1", 1]);
 *   assert.match(error, /out of paper/);
 * }
 * ```
 */
export async function parked(projection: ProjectionReference): Promise<readonly ParkedEvent[]> {
  const { name, version = 1, checkpoints } = projection;
  const stored = await checkpoints.load({ name, version });
  return stored ? parseRecord({ name, version }, stored).parked : [];
}

/**
 * Tries a parked event again, and, where later events of its actor wait behind it, those too, in order. What fails is parked
 * in its place. A worker that runs meanwhile reads its checkpoint again; see {@linkcode projectOnce}.
 *
 * @param store Where the events are.
 * @param projection The projection.
 * @param position The position of the parked event.
 * @throws {NotParkedError} If no event is parked there.
 * @throws {ProjectionStoppedError} If a handler failed again. What was handled before is no longer parked.
 *
 * @example Mend the cause, and try again
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, parked, type Projection, projectOnce, retryParked } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * let printerWorks = false;
 * const receipts: Projection = {
 *   name: "receipts",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle() {
 *     if (!printerWorks) throw new Error("out of paper");
 *   },
 *   failure: { retries: 0, then: "park" },
 * };
 * await projectOnce(store, receipts);
 * printerWorks = true;
 * for (const { position } of await parked(receipts)) await retryParked(store, receipts, position);
 * assert.deepEqual(await parked(receipts), []);
 * ```
 */
export async function retryParked<E extends Event, Tx = undefined>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
  position: string,
  options: ParkedOptions = {},
): Promise<void> {
  const log = untyped(store);
  const compiled = compileProjection({ ...projection, failure: { ...projection.failure, retries: 0 } });
  await repeated(log, compiled, options, async (worker) => {
    const entry = findParked(worker.record, position);
    const { actorId, eventVersion } = entry;
    const last = entry.blocksActor ? worker.record.position : entry.position;
    let next: ParkedEvent | undefined = entry;
    if (entry.refused) {
      // Its handler was called, and must not be again.
      next = { ...entry, refused: undefined, eventVersion: eventVersion + 1 };
      await worker.repeatRefused(entry, next);
    }
    for await (const event of log.readEvents(actorId, { fromVersion: next.eventVersion })) {
      if (last === undefined || event.position > last) break;
      if (!compiled.chooses(event)) continue;
      try {
        // Each event is noted as it is done, so that a failure behind it repeats nothing.
        await worker.handle(event, (draft, { position: handled, id: eventId, eventType, version }) => {
          const rest = {
            ...entry,
            refused: undefined,
            position: handled,
            eventId,
            eventType,
            eventVersion: version + 1,
          };
          draft.parked = draft.parked.map((other) => other.position === next!.position ? rest : other);
          next = rest;
        });
      } catch (error) {
        if (!(error instanceof ProjectionStoppedError)) throw error;
        const failed = {
          ...next!,
          ...error.event,
          error: shortError(error.cause),
          attempts: entry.attempts + 1,
        };
        worker.amend((draft) => {
          // What the store has refused is parked again already, with what it is.
          draft.parked = draft.parked.map((other) =>
            other.position === next!.position && !other.refused ? failed : other
          );
          draft.failing = undefined;
          if (failed.position !== position) draft.resolved = noted(draft.resolved, position, "retried");
        });
        await worker.flush();
        throw error;
      }
    }
    worker.amend((draft) => {
      draft.parked = draft.parked.filter((other) => other.position !== next!.position);
      draft.resolved = noted(draft.resolved, position, "retried");
    });
    await worker.flush();
  });
}

/**
 * Drops a parked event. Later events of its actor that wait behind it are handled then, as by {@linkcode retryParked}.
 *
 * @param store Where the events are.
 * @param projection The projection.
 * @param position The position of the parked event.
 * @throws {NotParkedError} If no event is parked there.
 * @throws {ProjectionStoppedError} If a handler failed on a later event, which is then parked in its place.
 *
 * @example Give an event up
 * ```ts
 * import { discardParked, InMemoryCheckpoints, InMemoryEventStore, parked, type Projection, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * let printerWorks = false;
 * const receipts: Projection = {
 *   name: "receipts",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle() {
 *     if (!printerWorks) throw new Error("out of paper");
 *   },
 *   failure: { retries: 0, then: "park" },
 * };
 * await projectOnce(store, receipts);
 * for (const { position } of await parked(receipts)) await discardParked(store, receipts, position);
 * assert.deepEqual(await parked(receipts), []);
 * ```
 */
export async function discardParked<E extends Event, Tx = undefined>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
  position: string,
  options: ParkedOptions = {},
): Promise<void> {
  const log = untyped(store);
  const compiled = compileProjection(projection);
  let successor: string | undefined;
  await repeated(log, compiled, options, async (worker) => {
    const entry = findParked(worker.record, position);
    successor = undefined;
    let following: ParkedEvent | undefined;
    if (entry.blocksActor) {
      for await (const event of log.readEvents(entry.actorId, { fromVersion: entry.eventVersion + 1 })) {
        if (event.position > (worker.record.position ?? "")) break;
        if (!compiled.chooses(event)) continue;
        const { position, id: eventId, eventType, version: eventVersion } = event;
        following = {
          ...entry,
          refused: undefined,
          position,
          eventId,
          eventType,
          eventVersion,
          error: "waited",
          attempts: 0,
        };
        successor = position;
        break;
      }
    }
    worker.amend((draft) => {
      draft.parked = draft.parked.flatMap((other) =>
        other.position !== position ? [other] : following ? [following] : []
      );
      draft.resolved = noted(draft.resolved, position, "discarded");
    });
    await worker.flush();
  });
  if (successor !== undefined) await retryParked(store, projection, successor, options);
}

/** Does something to the record, again where somebody else wrote in between. */
async function repeated<Tx>(
  store: EventStore,
  compiled: ReturnType<typeof compileProjection<Event, Tx>>,
  { signal = new AbortController().signal }: ParkedOptions,
  work: (worker: Worker<Tx>) => Promise<void>,
): Promise<void> {
  const guard: Guard = {
    signal,
    check: () => signal.throwIfAborted(),
    isOver: () => false,
    sleep: (milliseconds) => sleep(milliseconds, signal),
    warn: () => {}, // a retry that fails rejects
  };
  for (;;) {
    const worker = await Worker.load(store, compiled, guard);
    try {
      await worker.finishIntent();
      return await work(worker);
    } catch (error) {
      if (!(error instanceof CheckpointConflictError)) throw error;
    } finally {
      worker.discard();
    }
  }
}

function findParked(record: ProjectionRecord, position: string): ParkedEvent {
  const { name, version, parked } = record;
  const entry = parked.find((other) => other.position === position);
  if (!entry) throw new NotParkedError({ name, version }, position);
  return entry;
}

function noted(
  resolved: readonly Resolution[],
  position: string,
  action: Resolution["action"],
): readonly Resolution[] {
  return [...resolved, { position, action, at: new Date().toISOString() }].slice(-MOST_RESOLUTIONS);
}
