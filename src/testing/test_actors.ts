/**
 * Actors in a test: hosts in this process on one log in memory, with a clock that the test sets, and with faults on demand.
 *
 * @module
 */

import { ActiveActors } from "../actor/active_actors.ts";
import { type CallOrigin, CommandCall, QueryCall, TimerCall } from "../actor/call.ts";
import type { ActorEventsOptions, ActorFinder, ActorReference } from "../actor/client.ts";
import { MovedError } from "../actor/commit.ts";
import type { ActorDefinition, AnyActor } from "../actor/definition.ts";
import { openTimerIndex } from "../actor/open_timer_index.ts";
import { type ActorRequest, checkActors, referTo } from "../actor/reference.ts";
import type { TimerOutcome, TimerReference } from "../actor/timer.ts";
import { timerClock } from "../actor/timer_runner.ts";
import { TimerSession } from "../actor/timer_session.ts";
import { kindsWithTimers } from "../actor/timers.ts";
import { queryOf, typedEvents } from "../actor/untyped.ts";
import { InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import { InMemoryEventStore, InMemoryStorage } from "../store/memory/mod.ts";
import type { EventStore } from "../store/types.ts";
import { describe } from "../text.ts";
import { warner } from "../warning.ts";

/** What actors are tested with. */
export interface TestActorsOptions<E extends Event> {
  /** The kinds of actors. */
  readonly actors: readonly ActorDefinition<never, never, E, never>[] | readonly AnyActor[];
  /** The time at first. @default {2026-01-01T00:00:00Z} */
  readonly now?: Date;
}

const HOST = { maxActive: 1_000, idleTimeout: 3_600_000, maxWaiting: 1_000 } as const;
/** How long the command of a timer may take, in milliseconds. */
const TIMEOUT = 5_000;
/** How many timers of an actor may fire at one instant: those of one that is always due would fire forever. */
const MAX_FIRED = 200;
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** A host, and what is known of its ownership. */
class TestHost {
  readonly actors: ActiveActors;
  readonly owner: { isHeld: boolean; readonly fencingToken: number };
  /** What is sent to it while it is suspended; `undefined` if it is not. */
  held: (() => Promise<void>)[] | undefined;
  /** Rejects when it is killed. */
  readonly lost: PromiseWithResolvers<never> = Promise.withResolvers<never>();

  constructor(actors: ActiveActors, fencingToken: number) {
    this.actors = actors;
    this.owner = { isHeld: true, fencingToken };
    this.lost.promise.catch(() => {});
  }
}

/** No answer came: the caller sends the command again, under the same id. */
class NoAnswer extends Error {}

/**
 * Actors in a test. Calls are what they are in a cluster: they are sent again under the same id when no answer comes or the
 * actor has moved, and a host whose ownership is over can neither store nor answer.
 *
 * @typeParam E The union of the actors' events.
 *
 * @example A deadline, and a host that is killed
 * ```ts
 * import { type Decider, defineActor, type Event } from "@flowmade-one/aether/actor";
 * import { TestActors } from "@flowmade-one/aether/testing";
 * import assert from "node:assert/strict";
 *
 * type Rang = Event<"Set", { at: number }> | Event<"Rang", null>;
 * const decider: Decider<number, { set: number } | "ring", Rang> = {
 *   initialState: () => 0,
 *   evolve: (_at, event) => event.eventType === "Set" ? event.data.at : 0,
 *   decide: (command) =>
 *     command === "ring" ? [{ eventType: "Rang", data: null }] : [{ eventType: "Set", data: { at: command.set } }],
 * };
 * const timers = (at: number) => at === 0 ? {} : { bell: { at, command: "ring" as const } };
 * const clock = defineActor("clock", { decider, timers });
 *
 * await using system = await TestActors.start({ actors: [clock] });
 * const alarm = system.client.get(clock, "clock-1");
 * await alarm.call({ set: system.now.getTime() + 60_000 });
 * system.kill();
 * await system.advance("59 s");
 * assert.equal(await system.store.getLatestVersion("clock-1"), 1);
 * await system.advance("1 s");
 * assert.deepEqual((await system.store.getEvents("clock-1")).map(({ eventType }) => eventType), ["Set", "Rang"]);
 * ```
 */
export class TestActors<E extends Event> implements AsyncDisposable {
  readonly #definitions: ReadonlyMap<string, AnyActor>;
  readonly #hosts: TestHost[] = [];
  #now: number;
  #answersToLose = 0;
  #requestsToRepeat = 0;

  /** The log. */
  readonly store: InMemoryEventStore<E>;
  /** Calls the actors. */
  readonly client: ActorFinder;

  private constructor(definitions: ReadonlyMap<string, AnyActor>, now: Date) {
    this.#definitions = definitions;
    this.#now = now.getTime();
    this.store = new InMemoryEventStore<E>({ storage: new InMemoryStorage(), now: () => this.now });
    this.#begin();
    const log: EventStore = this.store;
    this.client = {
      get: <S, C, F extends Event, A>(
        definition: ActorDefinition<S, C, F, A>,
        actorId: string,
      ): ActorReference<S, C, F, A> => ({
        ...referTo(definitions, definition, actorId, (request) => this.#send(request)),
        events: (options?: ActorEventsOptions) => typedEvents<F>(log.subscribe({ ...options, actorId })),
      }),
    };
  }

  /**
   * Starts a host on an empty log.
   *
   * @throws {InvalidArgumentError} If the actors are no definitions, or the time is none.
   */
  static start<E extends Event>(options: TestActorsOptions<E>): Promise<TestActors<E>> {
    return Promise.try(() => {
      const { actors, now = new Date("2026-01-01T00:00:00Z") } = options;
      if (!(now instanceof Date) || Number.isNaN(now.getTime())) {
        throw new InvalidArgumentError("options.now", `must be a valid Date, and is ${describe(now)}`);
      }
      return new TestActors<E>(checkActors(actors), now);
    });
  }

  /** What the clock shows. */
  get now(): Date {
    return new Date(this.#now);
  }

  /**
   * Sets the clock forward, and fires each timer that becomes due, at its time.
   *
   * @param duration Milliseconds, or a text such as `"15 min"`, with `ms`, `s`, `min`, `h` or `d`.
   * @throws {InvalidArgumentError} If it is no duration, or timers of an actor are due again each time that one has fired.
   */
  async advance(duration: number | string): Promise<void> {
    const end = this.#now + millisecondsOf(duration);
    for (;;) {
      const next = await this.#fireDue();
      if (next === undefined || next > end) break;
      this.#now = Math.max(this.#now, next);
    }
    this.#now = end;
  }

  /** Ends the host at once, as a killed process does. What it had not stored is lost, and another host goes on. */
  kill(): void {
    const host = this.#host;
    host.owner.isHeld = false;
    host.lost.reject(new NoAnswer());
    this.#begin();
  }

  /** Moves all actors to another host, as planned: calls that were taken are finished before. */
  async move(): Promise<void> {
    const host = this.#host;
    await host.actors.releaseOf(host.owner);
    host.owner.isHeld = false;
    this.#begin();
  }

  /**
   * Suspends the host: the next calls reach it when it goes on, and callers turn to another host meanwhile.
   *
   * @returns Lets it go on. It does not know yet that its ownership is over, and works on what has reached it; resolves when
   * it has noticed.
   */
  suspend(): () => Promise<void> {
    const host = this.#host;
    host.held = [];
    this.#begin();
    return async () => {
      const held = host.held ?? [];
      host.held = undefined;
      await Promise.all(held.map((deliver) => deliver()));
      host.owner.isHeld = false;
    };
  }

  /** Loses the answer to the next call: its caller sends it again. */
  loseAnswer(): void {
    this.#answersToLose++;
  }

  /** Delivers the next call twice. */
  deliverTwice(): void {
    this.#requestsToRepeat++;
  }

  /** Closes the hosts and the log. */
  async close(): Promise<void> {
    await Promise.all(this.#hosts.map(({ actors }) => actors.close()));
    await this.store.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #host(): TestHost {
    return this.#hosts.at(-1)!;
  }

  #begin(): void {
    const setup = { store: this.store, warn: warner(undefined), now: () => this.#now, ...HOST };
    this.#hosts.push(new TestHost(new ActiveActors(setup), this.#hosts.length + 1));
  }

  async #send(request: ActorRequest): Promise<unknown> {
    const named = "query" in request.content
      ? request
      : { ...request, id: request.id ?? crypto.randomUUID() };
    for (const host of this.#hosts) {
      host.held?.push(() => this.#deliver(host, named).then(() => {}, () => {}));
    }
    for (;;) {
      const host = this.#host;
      try {
        const answer = this.#deliver(host, named);
        if (this.#requestsToRepeat > 0) {
          this.#requestsToRepeat--;
          await Promise.allSettled([this.#deliver(host, named)]);
        }
        if (this.#answersToLose > 0) {
          this.#answersToLose--;
          await Promise.allSettled([answer]);
          throw new NoAnswer();
        }
        return await Promise.race([answer, host.lost.promise]);
      } catch (error) {
        if (!(error instanceof MovedError || error instanceof NoAnswer)) throw error;
      }
    }
  }

  async #deliver(host: TestHost, request: ActorRequest): Promise<unknown> {
    return await host.actors.call(request.definition, callOf(request), host.owner);
  }

  /**
   * Fires what is due now.
   *
   * @returns When the next timer is due; nothing without one.
   */
  async #fireDue(): Promise<number | undefined> {
    const store: EventStore = this.store;
    const index = await openTimerIndex(store);
    try {
      const failures: unknown[] = [];
      const fired = new Map<string, number>();
      const fire = async (
        definition: AnyActor,
        actorId: string,
        timer: TimerReference,
        id: string,
        signal: AbortSignal,
      ): Promise<TimerOutcome> => {
        const count = (fired.get(actorId) ?? 0) + 1;
        fired.set(actorId, count);
        if (count > MAX_FIRED) throw endless(actorId);
        const origin: CallOrigin = { chain: [] };
        const request = { definition, actorId, content: { timer }, id, timeout: TIMEOUT, signal, origin };
        return await this.#send(request) as TimerOutcome;
      };
      const warn = warner(({ cause, message }) => failures.push(cause ?? new Error(message)));
      const clock = timerClock(store, () => this.now);
      const setup = { store, definitions: this.#definitions, clock, fire, warn };
      for (const kind of kindsWithTimers(this.#definitions)) {
        await new TimerSession(setup, kind, index).once(AbortSignal.timeout(TIMEOUT));
      }
      if (failures.length > 0) throw failures[0];
      return (await index.pending({ limit: 1 }))[0]?.at;
    } finally {
      await index.close();
    }
  }
}

function endless(actorId: string): InvalidArgumentError {
  return new InvalidArgumentError(
    "duration",
    `is never over: timers of "${actorId}" were due ${MAX_FIRED} times at one instant. The command of a timer must lead ` +
      "to a state that names it no more, or at a later time",
  );
}

function callOf(request: ActorRequest): CommandCall | QueryCall {
  const { definition, actorId, content, id, timeout, signal, origin } = request;
  if ("timer" in content) return new TimerCall(actorId, content.timer, id!, timeout, signal, origin);
  if ("command" in content) return new CommandCall(actorId, content.command, id, timeout, signal, origin);
  return new QueryCall(actorId, queryOf(definition, content.query)!, timeout, signal, origin);
}

function millisecondsOf(duration: number | string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?(ms|s|min|h|d)$/.exec(String(duration)) ?? [];
  const milliseconds = typeof duration === "number" ? duration : Number(amount) * UNITS[unit ?? ""]!;
  if (milliseconds >= 0 && milliseconds < Infinity) return milliseconds;
  throw new InvalidArgumentError(
    "duration",
    `must be milliseconds, or a text such as "15 min", and is ${describe(duration)}`,
  );
}
