/**
 * Firing timers without a host.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { MAX_TIMER_MS } from "../sleep.ts";
import type { EventStore, SnapshotStore } from "../store/types.ts";
import { describe } from "../text.ts";
import { warner, type Warning } from "../warning.ts";
import { ActiveActors } from "./active_actors.ts";
import { TimerCall } from "./call.ts";
import type { AnyActor } from "./definition.ts";
import { checkActors } from "./reference.ts";
import type { TimerOutcome } from "./timer.ts";
import { DEFAULT_LEASE_TTL, timerClock, TimerRunners } from "./timer_runner.ts";
import type { TimerSetup } from "./timers.ts";

/** A store that has actors with timers. */
export type TimerStore<E extends Event> = EventStore<E> & Partial<SnapshotStore>;

/**
 * How timers are fired without a host.
 *
 * @category Actors
 */
export interface RunTimersOptions {
  /** Ends the run. */
  readonly signal?: AbortSignal;
  /** How long another process waits after this one has died, in milliseconds, at least 2,000. @default {3_000} */
  readonly leaseTtl?: number;
  /** The time by which timers are due. @default {the store's own `now`, or the machine's clock} */
  readonly now?: () => Date;
  /** Receives warnings. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

/**
 * A run that fires timers.
 *
 * @category Actors
 */
export interface TimerRun extends AsyncDisposable {
  /**
   * Resolves when the run has ended: it was closed, its signal has fired, or its store was closed. Rejects with a
   * {@linkcode LogReplacedError} if the log was deleted or another one has replaced it.
   */
  readonly finished: Promise<void>;
  /** Finishes what is being fired, and hands over to another process at once. */
  close(): Promise<void>;
}

const RUN_OPTIONS: OptionNames<RunTimersOptions> = {
  signal: true,
  leaseTtl: true,
  now: true,
  onWarning: true,
};
const MIN_LEASE_TTL = 2_000;
/** How many actors a run keeps in memory, and for how long: a timer seldom comes alone. */
const ACTIVE = { maxActive: 10_000, idleTimeout: 5_000, maxWaiting: 1_000 };
/** How long a timer may take, in milliseconds; then it is tried again. */
const TIMER_TIMEOUT = 5_000;
/**
 * Fires the timers of actors in a process without a host: for programs that use `execute`, or a worker of its own.
 * Several processes may run it: one of them works on a kind of actors at a time, and another takes over when it has ended. Actors that a
 * cluster of hosts owns are left to their hosts, which fire their timers themselves.
 *
 * @example Release what is not paid in time
 * ```ts
 * import { type Decider, defineActor, type Event, execute, runTimers } from "@flowmade-one/aether/actor";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 *
 * type Seat = { readonly dueAt?: number };
 * type SeatEvent = Event<"Reserved", { dueAt: number }> | Event<"Released", null>;
 * type SeatCommand = { reserve: number } | { release: true };
 * const decider: Decider<Seat, SeatCommand, SeatEvent> = {
 *   initialState: () => ({}),
 *   evolve: (_seat, event) => event.eventType === "Reserved" ? { dueAt: event.data.dueAt } : {},
 *   decide: (command) =>
 *     "reserve" in command
 *       ? [{ eventType: "Reserved", data: { dueAt: command.reserve } }]
 *       : [{ eventType: "Released", data: null }],
 * };
 * const seat = defineActor("seat", {
 *   decider,
 *   timers: ({ dueAt }) => dueAt === undefined ? {} : { "payment-due": { at: dueAt, command: { release: true } } },
 * });
 *
 * await using store = new InMemoryEventStore<SeatEvent>();
 * await using timers = runTimers(store, [seat]);
 * await execute(store, "seat-12A", decider, { reserve: Date.now() + 50 });
 * for await (const { eventType } of store.subscribe({ actorId: "seat-12A" })) {
 *   if (eventType === "Released") break;
 * }
 * ```
 *
 * @param store Where the events are.
 * @param actors The kinds of actors.
 * @param options How it is run.
 * @throws {InvalidArgumentError} If something is not sound.
 *
 * @category Actors
 */
export function runTimers<E extends Event>(
  store: TimerStore<E>,
  actors: readonly AnyActor<E>[],
  options?: RunTimersOptions,
): TimerRun {
  const { leaseTtl, signal, ...terms } = readOptions(options, checkRun);
  const { setup, closeActors } = timersHere(store, actors, terms);
  const runner = new TimerRunners(setup, leaseTtl);
  const close = (): void => void runner.close();
  if (signal?.aborted) close();
  else signal?.addEventListener("abort", close, { once: true });
  const finished = runner.finished.finally(async () => {
    signal?.removeEventListener("abort", close);
    await closeActors();
  });
  finished.catch(() => {}); // a warning reports it too
  const end = async (): Promise<void> => {
    await runner.close();
    await finished.catch(() => {});
  };
  return { finished, close: end, [Symbol.asyncDispose]: end };
}

/** Fires timers by the actors of this process. */
export function timersHere(
  store: unknown,
  given: unknown,
  { now, onWarning }: Pick<RunTimersOptions, "now" | "onWarning">,
): { readonly setup: TimerSetup; closeActors(): Promise<void> } {
  const events = checkStore(store);
  const definitions = checkActors(given, "actors");
  const clock = timerClock(events, now);
  const warn = warner(onWarning);
  const actors = new ActiveActors({ store: events, warn, now: clock.wall, ...ACTIVE });
  const fire: TimerSetup["fire"] = async (definition, actorId, timer, id, signal) => {
    const call = new TimerCall(actorId, timer, id, TIMER_TIMEOUT, signal, { chain: [] });
    return await actors.call(definition, call) as TimerOutcome;
  };
  const stateOf: TimerSetup["stateOf"] = (actorId) => actors.stateOf(actorId);
  return {
    setup: { store: events, definitions, clock, fire, stateOf, warn },
    closeActors: () => actors.close(),
  };
}

/** Refuses what is no event store. */
export function checkStore(store: unknown): EventStore & Partial<SnapshotStore> {
  const events = store as EventStore & Partial<SnapshotStore>;
  if (typeof events?.append === "function") return events;
  throw new InvalidArgumentError("store", `must be an event store, and is ${describe(store)}`);
}

/** Checks the options that both ways of firing have. */
export function checkCommon({ signal, now, onWarning }: Omit<RunTimersOptions, "leaseTtl">): void {
  checkSignal(signal);
  checkFunction("options.now", now);
  checkFunction("options.onWarning", onWarning);
}

function checkRun({ ...given }: RunTimersOptions): RunTimersOptions & { readonly leaseTtl: number } {
  checkKnown<RunTimersOptions>(given, RUN_OPTIONS);
  const { leaseTtl = DEFAULT_LEASE_TTL, ...common } = given;
  checkMilliseconds("options.leaseTtl", leaseTtl, MIN_LEASE_TTL);
  checkCommon(common);
  return { ...common, leaseTtl };
}

/** Refuses what is no time from a least one on. */
export function checkMilliseconds(argument: string, value: unknown, least: number): void {
  if (typeof value === "number" && value >= least && value <= MAX_TIMER_MS) return;
  throw new InvalidArgumentError(
    argument,
    `must be ${least} to ${MAX_TIMER_MS} milliseconds, and is ${describe(value)}`,
  );
}
