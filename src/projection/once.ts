/**
 * Projections where nothing runs in the background: progress within a time budget.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkSignal, readOptions } from "../options.ts";
import { sleep } from "../sleep.ts";
import { DamagedHistoryError } from "../store/errors.ts";
import type { EventStore } from "../store/types.ts";
import { CheckpointConflictError } from "./errors.ts";
import { workOff } from "./log.ts";
import type { Guard } from "./progress.ts";
import { compileProjection, type Projection } from "./projection.ts";
import { Worker } from "./worker.ts";
import { untyped } from "./untyped_store.ts";

/** How much is to be done. */
export interface ProjectOnceOptions {
  /** The time to work in, in ms. The event in hand when it is over is finished. @default {1000} */
  readonly budgetMs?: number;
  /** Ends the work with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What was done. */
export interface ProjectedOnce {
  /** Where the checkpoint is now. */
  readonly position: string | undefined;
  /** How many events were handled and committed by this call. */
  readonly handled: number;
  /** Whether the end of the log, as it was when the call began its last round, was reached. */
  readonly caughtUp: boolean;
}

/** The budget is spent: nothing is wrong. */
class BudgetSpent extends Error {}

/** Returns the options, every default filled in. */
function checkOnce(
  { budgetMs = 1000, signal = new AbortController().signal }: ProjectOnceOptions,
): Required<ProjectOnceOptions> {
  if (typeof budgetMs !== "number" || !(budgetMs > 0)) {
    throw new InvalidArgumentError("options.budgetMs", "must be a number of milliseconds above 0");
  }
  checkSignal(signal);
  return { budgetMs, signal };
}

/**
 * Works a projection off for a while and returns: for `Deno.cron`, a request or a queue handler on Deno Deploy. It takes no
 * lease: of calls that overlap, with one another or with a run, the first to write the checkpoint goes on, and the others read
 * it again. They may handle an event twice where handlers are called at least once, and never where the read model commits
 * together with the checkpoint.
 *
 * @param store Where the events are.
 * @param projection What is done with them.
 * @param options The budget.
 * @throws {ProjectionStoppedError} If a handler has failed as often as its policy allows. Attempts are counted over calls.
 *
 * @example A little at a time, as a function on Deno Deploy would
 * ```ts
 * import { DenoKvCheckpoints, DenoKvEventStore, type Event, type KvTransaction, type Projection, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * using kv = await Deno.openKv(":memory:");
 * await using store = await DenoKvEventStore.open(kv);
 * await using checkpoints = await DenoKvCheckpoints.open(kv);
 * const placedOrders: Projection<Event, KvTransaction> = {
 *   name: "placed-orders",
 *   checkpoints,
 *   handle: { OrderPlaced: ({ actorId }, { transaction }) => void transaction.set(["placed", actorId], true) },
 * };
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * // In `Deno.cron`, a request or a queue handler:
 * const { caughtUp } = await projectOnce(store, placedOrders, { budgetMs: 500 });
 * assert(caughtUp);
 * assert.equal((await kv.get(["placed", "order-1"])).value, true);
 * ```
 */
export async function projectOnce<E extends Event, Tx = undefined>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
  options?: ProjectOnceOptions,
): Promise<ProjectedOnce> {
  const { budgetMs, signal } = readOptions(options, checkOnce);
  const deadline = performance.now() + budgetMs;
  const guard: Guard = {
    signal,
    isOver: () => performance.now() >= deadline,
    check: () => signal.throwIfAborted(),
    sleep: async (milliseconds) => {
      if (performance.now() + milliseconds >= deadline) throw new BudgetSpent();
      await sleep(milliseconds, signal);
    },
  };
  const compiled = compileProjection(projection);
  for (let handled = 0;;) {
    const worker = await Worker.load(untyped(store), compiled, guard);
    const before = worker.record.handled;
    try {
      await worker.finishIntent();
      const caughtUp = await workOff(untyped(store), compiled, worker, guard);
      handled += worker.record.handled - before;
      return { position: worker.record.position, handled, caughtUp };
    } catch (error) {
      if (error instanceof BudgetSpent) {
        handled += worker.record.handled - before;
        return { position: worker.record.position, handled, caughtUp: false };
      }
      // Damage ends the log before it, and what was handled of it is done.
      if (error instanceof DamagedHistoryError) await worker.flush();
      if (!(error instanceof CheckpointConflictError)) throw error;
      if (performance.now() >= deadline) {
        const { record } = await Worker.load(untyped(store), compiled, guard);
        return { position: record.position, handled, caughtUp: false };
      }
    } finally {
      worker.discard();
    }
  }
}
