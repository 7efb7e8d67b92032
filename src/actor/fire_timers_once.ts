/**
 * Firing timers once, for a function that a schedule calls.
 *
 * @module
 */

import { unanswered } from "../cluster/errors.ts";
import { ClosedError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { sleep } from "../sleep.ts";
import { type AnyActor, definitionOf } from "./definition.ts";
import { withTimerIndex } from "./open_timer_index.ts";
import {
  checkCommon,
  checkMilliseconds,
  type RunTimersOptions,
  timersHere,
  type TimerStore,
} from "./run_timers.ts";
import { IndexConflict, type PendingTimer, pendingWhere, type TimerIndex } from "./timer_index.ts";
import { type OnceResult, TimerSession } from "./timer_session.ts";
import { kindsWithTimers, type TimerSetup } from "./timers.ts";

/**
 * How timers are fired once.
 *
 * @category Actors
 */
export interface FireTimersOnceOptions extends Pick<RunTimersOptions, "signal" | "now" | "onWarning"> {
  /** How long it may take, in milliseconds: what was begun has 2 seconds more to end. @default {10_000} */
  readonly budgetMs?: number;
}

/**
 * What {@linkcode fireTimersOnce} has done.
 *
 * @category Actors
 */
export interface FireTimersOnceResult {
  /** Timers whose command took effect. */
  readonly fired: number;
  /** Timers whose command the decider refused: they are not fired again. */
  readonly refused: number;
  /** Timers that the state of the actor did not name any more. */
  readonly dropped: number;
  /** Timers that could not be fired: the next call tries again. */
  readonly failed: number;
  /** When the next timer of the given kinds is due; `undefined` if there is none. */
  readonly next: Date | undefined;
  /** Whether everything that was due is done: otherwise call it again. */
  readonly isComplete: boolean;
}

const ONCE_OPTIONS: OptionNames<FireTimersOnceOptions> = {
  signal: true,
  now: true,
  onWarning: true,
  budgetMs: true,
};
/** How long to wait when another process has written to the index, in milliseconds. */
const CONFLICT_WAIT = 20;
/** How long what was begun within the budget may take to end, in milliseconds. */
const LAST_ANSWERS = 2_000;
/** How many timers are looked at together to find the next one of the given kinds. */
const PENDING_AT_ONCE = 100;

/**
 * Fires the timers that are due, and returns: for a function that is called by a schedule, such as `Deno.cron` on Deno
 * Deploy. What fell due since the last call is fired. It may be called by several processes at once.
 *
 * @example On Deno Deploy
 * ```ts
 * import { type AnyActor, type EventStore, fireTimersOnce } from "@flowmade-one/aether/actor";
 *
 * function fireEveryMinute(store: EventStore, actors: AnyActor[]): void {
 *   Deno.cron("timers", "* * * * *", async () => {
 *     const { fired, isComplete, next } = await fireTimersOnce(store, actors, { budgetMs: 30_000 });
 *     console.log({ fired, isComplete, next });
 *   });
 * }
 * ```
 *
 * @param store Where the events are.
 * @param actors The kinds of actors.
 * @param options How long it may take.
 * @throws {InvalidArgumentError} If something is not sound.
 * @throws {BackendError} If the store, or the index of timers, cannot be reached.
 *
 * @category Actors
 */
export async function fireTimersOnce<E extends Event>(
  store: TimerStore<E>,
  actors: readonly AnyActor<E>[],
  options?: FireTimersOnceOptions,
): Promise<FireTimersOnceResult> {
  const { budgetMs, signal, ...terms } = readOptions(options, checkOnce);
  signal?.throwIfAborted();
  const { setup, closeActors } = timersHere(store, actors, terms);
  const over = AbortSignal.timeout(budgetMs);
  const late = AbortSignal.timeout(budgetMs + LAST_ANSWERS);
  const asked = signal ? [signal] : [];
  const ending = AbortSignal.any([over, ...asked]);
  try {
    return await withTimerIndex(store, AbortSignal.any([late, ...asked]), (index) => {
      return fireOnce(setup, index, ending, signal);
    });
  } catch (cause) {
    throw cause === late.reason ? unanswered("fire timers", { cause }) : cause;
  } finally {
    const closed = closeActors();
    if (!ending.aborted) await closed;
  }
}

async function fireOnce(
  setup: TimerSetup,
  index: TimerIndex,
  ending: AbortSignal,
  signal: AbortSignal | undefined,
): Promise<FireTimersOnceResult> {
  const counts = { fired: 0, refused: 0, dropped: 0, failed: 0 };
  let isComplete = true;
  for (const kind of kindsWithTimers(setup.definitions)) {
    let result: OnceResult = "conflict";
    while (result === "conflict" && !ending.aborted) {
      const session = new TimerSession(setup, kind, index);
      result = await once(session, ending);
      for (const name of Object.keys(counts) as (keyof typeof counts)[]) {
        counts[name] += session.counts[name];
      }
      if (result === "conflict") await sleep(CONFLICT_WAIT, ending).catch(() => {});
    }
    isComplete &&= result === "complete";
  }
  signal?.throwIfAborted();
  const isOwn = ({ actorId }: PendingTimer): boolean =>
    definitionOf(actorId, setup.definitions.values())?.timers !== undefined;
  const [next] = await pendingWhere(index, { limit: PENDING_AT_ONCE }, isOwn);
  return { ...counts, next: next && new Date(next.at), isComplete };
}

async function once(session: TimerSession, ending: AbortSignal): Promise<OnceResult> {
  try {
    return await session.once(ending);
  } catch (error) {
    if (error instanceof IndexConflict) return "conflict";
    if (ending.aborted && !(error instanceof ClosedError)) return "over";
    throw error;
  }
}

function checkOnce(
  { ...given }: FireTimersOnceOptions,
): FireTimersOnceOptions & { readonly budgetMs: number } {
  checkKnown<FireTimersOnceOptions>(given, ONCE_OPTIONS);
  const { budgetMs = 10_000, ...common } = given;
  checkMilliseconds("options.budgetMs", budgetMs, 1);
  checkCommon(common);
  return { ...common, budgetMs };
}
