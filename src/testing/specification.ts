/**
 * Specifications of deciders and projections: given what has happened, when this comes, then that follows.
 *
 * @module
 */

import { deepStrictEqual, fail } from "node:assert/strict";
import { newEventId } from "../event/id.ts";
import type { Event, NewEvent } from "../event/types.ts";
import { projectOnce } from "../projection/once.ts";
import type { Projection } from "../projection/projection.ts";
import { ProjectionStoppedError } from "../projection/errors.ts";
import type { Decider } from "../store/decider.ts";
import { InMemoryEventStore } from "../store/memory/mod.ts";
import type { EventStore } from "../store/types.ts";
import { untyped } from "../projection/untyped_store.ts";

/** What followed when a command came to an actor with a history. */
export interface DeciderOutcome<S, E extends Event> {
  /** Asserts which events it led to: their types and data, and metadata where it is named. None: it decided nothing. */
  thenEvents(events: readonly NewEvent<E>[]): DeciderOutcome<S, E>;
  /** Asserts the state after those events. */
  thenState(state: S): DeciderOutcome<S, E>;
  /** Asserts that it was refused with an error of this class, or whose text matches. */
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
  /** Says what has happened to the actor. */
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
    given: (history) => {
      const fold = (events: readonly NewEvent<E>[]): S => {
        const numbered = events.map((event, index) => stamped(event, index + 1));
        return numbered.reduce((state, event) => decider.evolve(state, event), decider.initialState());
      };
      return {
        when: (command) => {
          let decided: readonly NewEvent<E>[] | undefined;
          let thrown: { readonly error: unknown } | undefined;
          try {
            decided = decider.decide(command, fold(history));
          } catch (error) {
            thrown = { error };
          }
          const events = (): readonly NewEvent<E>[] => {
            if (thrown) throw thrown.error;
            return decided!;
          };
          const outcome: DeciderOutcome<S, E> = {
            thenEvents: (expected) => {
              assertEvents(events(), expected);
              return outcome;
            },
            thenState: (expected) => {
              deepStrictEqual(fold([...history, ...events()]), expected);
              return outcome;
            },
            thenThrows: (expected) => {
              if (!thrown) return fail(`the command was not refused: it led to ${JSON.stringify(decided)}`);
              const { error } = thrown;
              const matches = expected instanceof RegExp
                ? expected.test(String(error))
                : error instanceof expected;
              if (!matches) throw error;
            },
          };
          return outcome;
        },
        thenState: (expected) => deepStrictEqual(fold(history), expected),
      };
    },
  };
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
  /** Says what is in the log before. */
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
          name: `specified ${newEventId()}`,
          failure: { retries: 0, then: "stop" },
        };
        const log = untyped(store);
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

/** An event as a store would hand it back. */
function stamped<E extends Event>(event: NewEvent<E>, version: number): E {
  const timestamp = event.timestamp === undefined ? new Date() : new Date(event.timestamp);
  return {
    id: newEventId(),
    actorId: "specified",
    ...event,
    version,
    timestamp: timestamp.toISOString(),
  } as unknown as E;
}
