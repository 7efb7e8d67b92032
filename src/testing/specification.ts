/**
 * Specifications of deciders and projections: given what has happened, when this comes, then that follows.
 *
 * @module
 */

import { AssertionError, deepStrictEqual, fail } from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { type DraftContext, draftEvent } from "../event/draft.ts";
import type { Event, NewEvent } from "../event/types.ts";
import { projectOnce } from "../projection/once.ts";
import type { Projection } from "../projection/projection.ts";
import { ProjectionStoppedError } from "../projection/errors.ts";
import type { Decider } from "../store/decider.ts";
import { InMemoryEventStore } from "../store/memory/mod.ts";
import type { EventStore } from "../store/types.ts";

/**
 * What an assertion returns: the outcome, for the next assertion. It is also a valid result of a function that returns
 * nothing, so that a whole specification can be the body of a test:
 * `Deno.test("...", () => specifyDecider(account).given([]).when(command).thenEvents([]))`.
 *
 * @typeParam T The outcome.
 */
export type Asserted<T> = T & void;

/** The outcome of a command for an actor with a history. At least one assertion must follow in the same turn of the event loop. */
export interface DeciderOutcome<S, E extends Event> {
  /**
   * Asserts which events the command led to: their types and data, and metadata if it is named. An empty list: none.
   *
   * @throws {InvalidEventError} If no store would take one of the events, such as one with a `Date` in its data.
   */
  thenEvents(events: readonly NewEvent<E>[]): Asserted<DeciderOutcome<S, E>>;
  /** Asserts the state after those events. */
  thenState(state: S): Asserted<DeciderOutcome<S, E>>;
  /** Asserts that the command was refused with an error of this class, or whose text matches. */
  thenThrows(error: RegExp | (abstract new (...parameters: never[]) => Error)): void;
}

/** An actor with a history. */
export interface DeciderHistory<S, C, E extends Event> {
  /** Lets a command come. */
  when(command: C): DeciderOutcome<S, E>;
  /** Asserts the state that the history leads to. */
  thenState(state: S): void;
}

/** A decider that is being specified. */
export interface DeciderSpecification<S, C, E extends Event> {
  /** Describes what has happened to the actor. */
  given(events: readonly NewEvent<E>[]): DeciderHistory<S, C, E>;
}

/**
 * Specifies a decider.
 *
 * @example
 * ```ts
 * import type { Decider, Event } from "@flowmade-one/aether";
 * import { specifyDecider } from "@flowmade-one/aether/testing";
 *
 * type Moved = Event<"Deposited" | "Withdrawn", { amount: number }>;
 * const account: Decider<number, { withdraw: number }, Moved> = {
 *   initialState: () => 0,
 *   evolve: (balance, { eventType, data }) => balance + (eventType === "Deposited" ? data.amount : -data.amount),
 *   decide: ({ withdraw }, balance) => {
 *     if (withdraw > balance) throw new RangeError("not enough money");
 *     return [{ eventType: "Withdrawn", data: { amount: withdraw } }];
 *   },
 * };
 * const deposited = [{ eventType: "Deposited", data: { amount: 10 } }] as const;
 *
 * specifyDecider(account).given(deposited).when({ withdraw: 3 })
 *   .thenEvents([{ eventType: "Withdrawn", data: { amount: 3 } }])
 *   .thenState(7);
 * specifyDecider(account).given([]).when({ withdraw: 3 }).thenThrows(/not enough/);
 * ```
 */
export function specifyDecider<S, C, E extends Event>(
  decider: Decider<S, C, E>,
): DeciderSpecification<S, C, E> {
  return {
    given: (history) => ({
      when: (command) => outcomeOf(decider, history, command),
      thenState: (expected) => deepStrictEqual(foldEvents(decider, history), expected),
    }),
  };
}

function outcomeOf<S, C, E extends Event>(
  decider: Decider<S, C, E>,
  history: readonly NewEvent<E>[],
  command: C,
): DeciderOutcome<S, E> {
  const state = foldEvents(decider, history);
  let decided: readonly NewEvent<E>[] | undefined;
  let thrown: { readonly error: unknown } | undefined;
  try {
    decided = withoutChange("decide", state, () => decider.decide(command, state));
  } catch (error) {
    if (error instanceof AssertionError) throw error;
    thrown = { error };
  }
  let isAsserted = false;
  queueMicrotask(() => {
    if (!isAsserted) fail("given().when() asserts nothing: add thenEvents(), thenState() or thenThrows()");
  });
  const events = (): readonly NewEvent<E>[] => {
    isAsserted = true;
    if (thrown) throw thrown.error;
    for (const event of decided!) stamped(event, history.length + 1);
    return decided!;
  };
  const outcome: DeciderOutcome<S, E> = {
    thenEvents: (expected) => {
      assertEvents(events(), expected);
      return outcome as Asserted<DeciderOutcome<S, E>>;
    },
    thenState: (expected) => {
      deepStrictEqual(foldEvents(decider, [...history, ...events()]), expected);
      return outcome as Asserted<DeciderOutcome<S, E>>;
    },
    thenThrows: (expected) => {
      isAsserted = true;
      if (!thrown) return fail(`the command was not refused: it led to ${JSON.stringify(decided)}`);
      const { error } = thrown;
      const matches = expected instanceof RegExp ? expected.test(String(error)) : error instanceof expected;
      if (!matches) throw error;
    },
  };
  return outcome;
}

/** The state that events lead to, each prepared as a store does. */
export function foldEvents<S, C, E extends Event>(
  decider: Decider<S, C, E>,
  events: readonly NewEvent<E>[],
): S {
  return events.reduce((state, event, index) => {
    const stored = stamped(event, index + 1);
    return withoutChange("evolve", state, () => decider.evolve(state, stored));
  }, decider.initialState());
}

/**
 * Calls a function of a decider that must leave the state as it is: a store may use it again, after a conflict or for a
 * snapshot.
 */
function withoutChange<S, R>(name: string, state: S, call: () => R): R {
  const before = cloneOf(state);
  const result = call();
  if (before !== undefined && !isDeepStrictEqual(cloneOf(state), before)) {
    fail(`${name}() has changed the state that it was given: return a new state instead`);
  }
  return result;
}

/** A copy of a state to compare it with later; undefined if it cannot be copied, for it holds a function, say. */
function cloneOf(state: unknown): unknown {
  try {
    return structuredClone(state);
  } catch {
    return undefined;
  }
}

/** An event of an actor, as a specification names it. */
export type ActorEvent<E extends Event> = NewEvent<E> & {
  /** The actor it happens to. */
  readonly actorId: string;
};

/** What followed when events came to a projection. */
export interface ProjectionOutcome<E extends Event> {
  /** Asserts what is read from the read model. */
  thenReads<T>(read: () => T | Promise<T>, expected: Awaited<T>): Promise<ProjectionOutcome<E>>;
  /** Asserts which events its reactions appended, in order. */
  thenEvents(events: readonly ActorEvent<E>[]): ProjectionOutcome<E>;
}

/** A projection with a history. */
export interface ProjectionHistory<E extends Event> {
  /** Lets the projection handle the history, and then these events. */
  when(events: readonly ActorEvent<E>[]): Promise<ProjectionOutcome<E>>;
}

/** A projection that is being specified. */
export interface ProjectionSpecification<E extends Event> {
  /** Describes what is in the log before. */
  given(events: readonly ActorEvent<E>[]): ProjectionHistory<E>;
}

/** Longer than any test. */
const BUDGET_MS = 600_000;

/**
 * Specifies a projection. It handles the events of a log in memory, once, under a checkpoint of its own; an error of its
 * handler is thrown by `when`.
 *
 * @example
 * ```ts
 * import { type Event, InMemoryCheckpoints, type Projection } from "@flowmade-one/aether";
 * import { specifyProjection } from "@flowmade-one/aether/testing";
 *
 * type Sold = Event<"Sold", { price: number }>;
 * let turnover = 0;
 * const projection: Projection<Sold> = {
 *   name: "turnover",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle: { Sold: ({ data }) => void (turnover += data.price) },
 * };
 * const outcome = await specifyProjection(projection)
 *   .given([{ actorId: "shop-1", eventType: "Sold", data: { price: 2 } }])
 *   .when([{ actorId: "shop-2", eventType: "Sold", data: { price: 3 } }]);
 * await outcome.thenReads(() => turnover, 5);
 * outcome.thenEvents([]);
 * ```
 */
export function specifyProjection<E extends Event, Tx = undefined>(
  projection: Projection<E, Tx>,
): ProjectionSpecification<E> {
  return {
    given: (history) => ({
      when: async (events) => {
        await using store = new InMemoryEventStore<E>();
        const specified: Projection<E, Tx> = {
          ...projection,
          name: `specified ${crypto.randomUUID()}`,
          failure: { retries: 0, then: "stop" },
        };
        const log: EventStore = store;
        await fill(log, history as readonly ActorEvent<Event>[]);
        await project(store, specified);
        await fill(log, events as readonly ActorEvent<Event>[]);
        const before = await log.getLastPosition();
        await project(store, specified);
        const appended = await Array.fromAsync(log.readAll({ after: before ?? "start" }));
        const outcome: ProjectionOutcome<E> = {
          thenReads: async (read, expected) => {
            deepStrictEqual(await read(), expected);
            return outcome;
          },
          thenEvents: (expected) => {
            assertEvents(appended, expected as readonly ActorEvent<Event>[]);
            return outcome;
          },
        };
        return outcome;
      },
    }),
  };
}

async function fill(log: EventStore, events: readonly ActorEvent<Event>[]): Promise<void> {
  for (const { actorId, ...event } of events) await log.append(actorId, [event], { expectedVersion: "any" });
}

async function project<E extends Event, Tx>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
): Promise<void> {
  try {
    await projectOnce(store, projection, { budgetMs: BUDGET_MS });
  } catch (error) {
    throw error instanceof ProjectionStoppedError ? error.cause : error;
  }
}

/** Compares what an expectation names. */
function assertEvents(
  actual: readonly object[],
  expected: readonly object[],
): void {
  const shown = actual.map((event, index) => {
    const { eventType, data, ...rest } = event as Record<string, unknown>;
    const named = Object.keys(expected[index] ?? {}).filter((key) => key in rest);
    return { ...Object.fromEntries(named.map((key) => [key, rest[key]])), eventType, data };
  });
  // Stored events are frozen and theirs have other prototypes: JSON is what both are.
  deepStrictEqual(JSON.parse(JSON.stringify(shown)), JSON.parse(JSON.stringify(expected)));
}

const DRAFTING: DraftContext = {
  newId: () => crypto.randomUUID(),
  now: undefined,
  bytesPerEvent: Infinity,
  schemaVersionOf: () => 1,
};

/**
 * An event as a store hands it back: validated, copied and frozen.
 *
 * @throws {InvalidEventError} If no store would take it.
 */
function stamped<E extends Event>(event: NewEvent<E>, version: number): E {
  const { actorId = "specified", ...fields } = event as NewEvent<E> & { readonly actorId?: string };
  const draft = draftEvent(fields, actorId, DRAFTING);
  draft.event.version = version;
  const frozen: Event = Object.freeze(draft.event);
  return frozen as E;
}
