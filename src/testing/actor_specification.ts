/**
 * Specifications of actors: those of their deciders, and of their queries, timers and errors.
 *
 * @module
 */

import { deepStrictEqual, fail } from "node:assert/strict";
import type { ActorDefinition } from "../actor/definition.ts";
import { copyCommand } from "../actor/reference.ts";
import type { ActorTimer } from "../actor/timer.ts";
import { timersOf } from "../actor/timers.ts";
import type { Event, NewEvent } from "../event/types.ts";
import { type Asserted, type DeciderOutcome, foldEvents, specifyDecider } from "./specification.ts";

/** What is asked of a state. */
export interface ActorState<C, A> {
  /** Asserts what a query answers. */
  thenAnswers<N extends keyof A & string>(query: N, answer: A[N]): Asserted<this>;
  /** Asserts which timers wait: by name, their times and commands. An empty object: none. */
  thenTimers(timers: Readonly<Record<string, ActorTimer<C>>>): Asserted<this>;
}

/** The outcome of a command for an actor with a history. At least one assertion must follow in the same turn of the event loop. */
export interface ActorOutcome<S, C, E extends Event, A> extends DeciderOutcome<S, E>, ActorState<C, A> {
  /** Asserts which events the command led to, as {@linkcode DeciderOutcome.thenEvents} does. */
  thenEvents(events: readonly NewEvent<E>[]): Asserted<ActorOutcome<S, C, E, A>>;
  /** Asserts the state after those events. */
  thenState(state: S): Asserted<ActorOutcome<S, C, E, A>>;
  /**
   * Asserts that the command was refused with an error of this class, or whose text matches. A class must be one that the
   * definition declares: else a caller gets an `ActorFailedError`.
   */
  thenThrows(error: RegExp | (abstract new (...parameters: never[]) => Error)): void;
}

/** An actor with a history. */
export interface ActorHistory<S, C, E extends Event, A> extends ActorState<C, A> {
  /** Lets a command come. It must be one that can be sent to another process. */
  when(command: C): ActorOutcome<S, C, E, A>;
  /** Asserts the state that the history leads to. */
  thenState(state: S): Asserted<ActorHistory<S, C, E, A>>;
}

/** An actor that is being specified. */
export interface ActorSpecification<S, C, E extends Event, A> {
  /** Describes what has happened to the actor. */
  given(events: readonly NewEvent<E>[]): ActorHistory<S, C, E, A>;
}

/**
 * Specifies the actors of a definition.
 *
 * @example A booking that is released unless it is paid in time
 * ```ts
 * import { type Decider, defineActor, type Event } from "@flowmade-one/aether/actor";
 * import { specifyActor } from "@flowmade-one/aether/testing";
 *
 * type Booked = Event<"Reserved", { until: string }> | Event<"Paid" | "Released", null>;
 * type Booking = { until?: string };
 * const decider: Decider<Booking, { reserveUntil: string } | "pay" | "release", Booked> = {
 *   initialState: () => ({}),
 *   evolve: (_state, event) => event.eventType === "Reserved" ? { until: event.data.until } : {},
 *   decide(command, { until }) {
 *     if (typeof command === "object") return [{ eventType: "Reserved", data: { until: command.reserveUntil } }];
 *     if (until === undefined) throw new RangeError("nothing is reserved");
 *     return [{ eventType: command === "pay" ? "Paid" : "Released", data: null }];
 *   },
 * };
 * const booking = defineActor("booking", {
 *   decider,
 *   queries: { isReserved: ({ until }) => until !== undefined },
 *   errors: { RangeError },
 *   timers: ({ until }) => until === undefined ? {} : { due: { at: until, command: "release" as const } },
 * });
 *
 * const until = "2026-01-31T09:00:00Z";
 * specifyActor(booking).given([]).when({ reserveUntil: until })
 *   .thenEvents([{ eventType: "Reserved", data: { until } }])
 *   .thenTimers({ due: { at: until, command: "release" } })
 *   .thenAnswers("isReserved", true);
 * specifyActor(booking).given([]).when("pay").thenThrows(RangeError);
 * ```
 */
export function specifyActor<S, C, E extends Event, A>(
  definition: ActorDefinition<S, C, E, A>,
): ActorSpecification<S, C, E, A> {
  const { decider } = definition;
  return {
    given(history): ActorHistory<S, C, E, A> {
      const specified = specifyDecider(decider).given(history);
      const actor: ActorHistory<S, C, E, A> = {
        when: (command) => outcomeOf(definition, history, command),
        thenState(state): Asserted<typeof actor> {
          specified.thenState(state);
          return actor as Asserted<typeof actor>;
        },
        thenAnswers(query, answer): Asserted<typeof actor> {
          assertAnswer(definition, foldEvents(decider, history), query, answer);
          return actor as Asserted<typeof actor>;
        },
        thenTimers(timers): Asserted<typeof actor> {
          assertTimers(definition, foldEvents(decider, history), timers);
          return actor as Asserted<typeof actor>;
        },
      };
      return actor;
    },
  };
}

function outcomeOf<S, C, E extends Event, A>(
  definition: ActorDefinition<S, C, E, A>,
  history: readonly NewEvent<E>[],
  command: C,
): ActorOutcome<S, C, E, A> {
  const { decider } = definition;
  const sent = copyCommand(command) as C;
  let decided: readonly NewEvent<E>[] = [];
  const noting = {
    ...decider,
    decide: (given: C, state: S): readonly NewEvent<E>[] => decided = decider.decide(given, state),
    initialState: () => decider.initialState(),
    evolve: (state: S, event: E): S => decider.evolve(state, event),
  };
  const inner = specifyDecider<S, C, E>(noting).given(history).when(sent);
  const after = (): S => {
    inner.thenEvents(decided); // throws what the decider has thrown
    return foldEvents(decider, [...history, ...decided]);
  };
  const outcome: ActorOutcome<S, C, E, A> = {
    thenEvents(events): Asserted<typeof outcome> {
      inner.thenEvents(events);
      return outcome as Asserted<typeof outcome>;
    },
    thenState(state): Asserted<typeof outcome> {
      inner.thenState(state);
      return outcome as Asserted<typeof outcome>;
    },
    thenThrows(error): void {
      inner.thenThrows(error);
      if (error instanceof RegExp) return;
      const isKnown = Object.values(definition.errors).some((declared) => {
        return error === declared || error.prototype instanceof declared;
      });
      if (!isKnown) fail(`${error.name} is not declared: name it in the errors of "${definition.name}"`);
    },
    thenAnswers(query, answer): Asserted<typeof outcome> {
      assertAnswer(definition, after(), query, answer);
      return outcome as Asserted<typeof outcome>;
    },
    thenTimers(timers): Asserted<typeof outcome> {
      assertTimers(definition, after(), timers);
      return outcome as Asserted<typeof outcome>;
    },
  };
  return outcome;
}

function assertAnswer<S, C, E extends Event, A, N extends keyof A & string>(
  { queries, name }: ActorDefinition<S, C, E, A>,
  state: S,
  query: N,
  expected: A[N],
): void {
  if (!Object.hasOwn(queries, query)) fail(`"${name}" has no query "${query}"`);
  deepStrictEqual(queries[query](state), expected);
}

function assertTimers<S, C, E extends Event, A>(
  definition: ActorDefinition<S, C, E, A>,
  state: S,
  expected: Readonly<Record<string, ActorTimer<C>>>,
): void {
  const { timers, fault } = timersOf(definition, state, 1);
  if (fault) throw fault;
  const actual = Object.fromEntries(
    [...timers].map(([name, { at, command }]) => [name, { at: new Date(at).toISOString(), command }]),
  );
  const wanted = Object.fromEntries(
    Object.entries(expected).map(([name, { at, command }]) => [name, { at: timeOf(at), command }]),
  );
  deepStrictEqual(actual, wanted);
}

function timeOf(at: Date | string | number): string {
  return new Date(at).toISOString();
}
