/**
 * Projections where nothing runs in the background: progress within a time budget.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { Event } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { MAX_TIMER_MS, sleep } from "../sleep.ts";
import type { EventStore } from "../store/types.ts";
import { type Warn, warner, type Warning } from "../warning.ts";
import { knownEnd, outcomeOf } from "./ends.ts";
import { BackendError } from "../store/errors.ts";
import { CheckpointConflictError } from "./errors.ts";
import { workOff } from "./log.ts";
import type { Guard } from "./attempt.ts";
import { type CompiledProjection, compileProjection } from "./compile.ts";
import type { Projection } from "./projection.ts";
import { parseRecord, type ProjectionRecord } from "./record.ts";
import { Worker } from "./worker.ts";
import { describe } from "../text.ts";

/**
 * How much is to be done.
 *
 * @category Projections
 */
export interface ProjectOnceOptions {
  /**
   * The time to work in, in ms. The event in hand when it is over is finished; an answer of the store or the checkpoints is
   * waited for two more seconds.
   *
   * @default {1000}
   */
  readonly budgetMs?: number;
  /** Ends the work with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Takes the warning `projection-parked`: an event was set aside. @default {console.warn, once a call} */
  readonly onWarning?: (warning: Warning) => void;
}

/**
 * What was done.
 *
 * @category Projections
 */
export interface ProjectOnceResult {
  /** Where the checkpoint is now. */
  readonly position: string | undefined;
  /** How many events were handled and committed by this call. */
  readonly handled: number;
  /** Whether the end of the log, as it was when the call began its last round, was reached. */
  readonly caughtUp: boolean;
}

/** How long an answer is waited for after the budget, in milliseconds: a short budget still makes progress. */
const OVERTIME = 2_000;

/** The budget is spent: nothing is wrong. */
class BudgetSpent extends Error {}

const OPTIONS: OptionNames<ProjectOnceOptions> = { budgetMs: true, signal: true, onWarning: true };

/** Returns the options, every default filled in. */
function checkOnce(
  options: ProjectOnceOptions,
): { readonly budgetMs: number; readonly signal: AbortSignal; readonly warn: Warn } {
  checkKnown(options, OPTIONS);
  const { budgetMs = 1000, signal = new AbortController().signal, onWarning } = options;
  if (typeof budgetMs !== "number" || !(budgetMs > 0)) {
    throw new InvalidArgumentError(
      "options.budgetMs",
      `must be a number of milliseconds above 0, and is ${describe(budgetMs)}`,
    );
  }
  checkSignal(signal);
  return { budgetMs, signal, warn: warner(checkFunction("options.onWarning", onWarning)) };
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
 * @throws {BackendError} If the store or the checkpoints do not answer until two seconds after the budget: call it again later.
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
 *
 * @category Projections
 */
export async function projectOnce<E extends Event, Tx = undefined>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
  options?: ProjectOnceOptions,
): Promise<ProjectOnceResult> {
  const { budgetMs, signal, warn } = readOptions(options, checkOnce);
  const deadline = performance.now() + budgetMs;
  const guard: Guard = {
    signal,
    isOver: () => performance.now() >= deadline,
    check: () => signal.throwIfAborted(),
    sleep: async (milliseconds, other) => {
      if (performance.now() + milliseconds >= deadline) throw new BudgetSpent();
      await sleep(milliseconds, other ? AbortSignal.any([signal, other]) : signal);
    },
    warn,
  };
  const compiled = compileProjection(projection);
  if (compiled.segments !== undefined) {
    throw new InvalidArgumentError(
      "projection.segments",
      "are for runProjection(): leave them out for projectOnce()",
    );
  }
  // Only what waits for an answer ends by it: a handler has its own time.
  const answering = new AbortController();
  const timer = setTimeout(
    () => answering.abort(unanswered(budgetMs)),
    Math.min(budgetMs + OVERTIME, MAX_TIMER_MS),
  );
  try {
    return await projectWithin(store, compiled, guard, AbortSignal.any([signal, answering.signal]));
  } catch (error) {
    throw outcomeOf(compiled.id, error);
  } finally {
    clearTimeout(timer);
  }
}

function unanswered(budgetMs: number): BackendError {
  const message =
    `there was no answer of the store or the checkpoints until ${OVERTIME} ms after the budget of ${budgetMs} ms: ` +
    "call it again once they can be reached";
  return new BackendError("projectOnce", message, { reason: "unreachable" });
}

/** Works until the log or the budget is at its end, again if another worker wrote in between. */
async function projectWithin<Tx>(
  store: EventStore,
  projection: CompiledProjection<Tx>,
  guard: Guard,
  answering: AbortSignal,
): Promise<ProjectOnceResult> {
  let handled = 0;
  for (let isFirst = true;; isFirst = false) {
    let worker: Worker<Tx> | undefined;
    let before = 0;
    const result = async (caughtUp: boolean): Promise<ProjectOnceResult> => {
      const record = worker?.record ?? await recordOf(projection);
      if (worker) handled += worker.record.handled - before;
      return { position: record?.position, handled, caughtUp };
    };
    try {
      worker = await abortable(Worker.load(store, projection, guard), answering);
      before = worker.record.handled;
      await worker.finishIntent();
      const end = await abortable(store.getLastPosition(), answering);
      await worker.beginOnce(end, isFirst);
      return await result(await workOff(store, projection, worker, guard, end, answering));
    } catch (error) {
      if (error instanceof BudgetSpent) {
        await worker?.rest();
        return await result(false);
      }
      if (!(error instanceof CheckpointConflictError)) {
        // However the work ends, what was handled is done.
        const isLate = answering.aborted && !guard.signal.aborted;
        const salvaged = worker?.salvage() ?? Promise.resolve();
        await abortable(salvaged, isLate ? AbortSignal.timeout(OVERTIME) : undefined).catch(() => {});
        if (knownEnd(error) === undefined) await worker?.rest();
        throw error;
      }
      worker?.discard();
      worker = undefined;
      if (guard.isOver()) return await result(false);
    } finally {
      worker?.discard();
    }
  }
}

async function recordOf<Tx>(
  { id, checkpoints }: CompiledProjection<Tx>,
): Promise<ProjectionRecord | undefined> {
  const stored = await checkpoints.load(id);
  return stored && parseRecord(id, stored);
}
