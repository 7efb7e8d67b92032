/**
 * What an actor is: a decider with a name.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import { checkFunction, checkKnown, type OptionNames, readOptions } from "../options.ts";
import type { Decider } from "../store/decider.ts";
import { checkView } from "../store/check_options.ts";
import { describe } from "../text.ts";
import type { ActorTimers } from "./timer.ts";

/**
 * Functions that answer from an actor's state, by name. They must not change it.
 *
 * @typeParam S The state.
 * @typeParam A The answers, by the query's name.
 */
export type ActorQueries<S, A> = { readonly [N in keyof A]: (state: S) => A[N] };

/** Classes of the errors with which a decider refuses commands, by name. */
export type ActorErrors = Readonly<Record<string, abstract new (...args: never[]) => Error>>;

/**
 * What {@linkcode defineActor} takes.
 *
 * @typeParam S The state.
 * @typeParam C The commands.
 * @typeParam E The union of the actor's events.
 * @typeParam A The answers of the queries, by name.
 * @typeParam T The timers.
 *
 * @category Actors
 */
export interface ActorOptions<S, C, E extends Event, A, T = ActorTimers<C>> {
  /** The domain. Its functions are pure and synchronous. */
  readonly decider: Decider<S, C, E>;
  /** Functions that answer from the state, such as `{ balance: (state) => state.amount }`. @default {none} */
  readonly queries?: ActorQueries<S, A>;
  /**
   * The classes of the errors with which `decide` refuses a command: a caller gets them as they are. Any other error
   * arrives as an {@linkcode ActorFailedError}. @default {none}
   */
  readonly errors?: ActorErrors;
  /**
   * What is due when, as a function of the state, such as
   * `(state) => state.isPaid ? {} : { "payment-due": { at: state.dueAt, command: { release: true } } }`. It is pure and
   * synchronous: times come from the events, not from the clock. An event that changes the state changes its timers.
   *
   * @default {none}
   */
  readonly timers?: (state: NoInfer<S>) => T;
  /**
   * Which version of the definition this is. Raise it with each new command or query: a host answers calls that were made
   * with its own version and with earlier ones, so update the hosts first. A call with a later version waits until the
   * actor has moved to a host that has it. @default {1}
   */
  readonly version?: number;
}

/**
 * A kind of actors, made by {@linkcode defineActor}.
 *
 * @typeParam S The state.
 * @typeParam C The commands.
 * @typeParam E The union of the actors' events.
 * @typeParam A The answers of the queries, by name.
 *
 * @category Actors
 */
export interface ActorDefinition<S, C, E extends Event, A> {
  /** The name of the kind. The id of each actor begins with it. */
  readonly name: string;
  /** The domain. */
  readonly decider: Decider<S, C, E>;
  /** The queries. */
  readonly queries: ActorQueries<S, A>;
  /** The classes of the errors that callers get as they are. */
  readonly errors: ActorErrors;
  // The type of a method, whose parameters are compared both ways: any definition is one of which only the events are known.
  /** The timers of a state; `undefined` if the kind has none. */
  readonly timers: { timers(state: S): ActorTimers<unknown> }["timers"] | undefined;
  /** The version of the definition. */
  readonly version: number;
}

/** A kind of actors of which only the events are known. */
export type AnyActor<E extends Event = Event> = ActorDefinition<unknown, never, E, unknown>;

const ACTOR_OPTIONS: OptionNames<ActorOptions<unknown, unknown, Event, unknown>> = {
  decider: true,
  queries: true,
  errors: true,
  timers: true,
  version: true,
};

/**
 * Defines a kind of actors. All types are inferred from the decider and the queries.
 *
 * @example
 * ```ts
 * import { ActorHost, defineActor } from "@flowmade-one/aether/actor";
 * import { type Decider, type Event, InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * type Deposited = Event<"Deposited", { amount: number }>;
 * const decider: Decider<number, { deposit: number }, Deposited> = {
 *   initialState: () => 0,
 *   evolve: (balance, { data }) => balance + data.amount,
 *   decide: ({ deposit }) => [{ eventType: "Deposited", data: { amount: deposit } }],
 * };
 * const account = defineActor("account", { decider, queries: { balance: (balance) => balance } });
 *
 * await using store = new InMemoryEventStore<Deposited>();
 * await using host = await ActorHost.start({ store, actors: [account] });
 * const actor = host.client.get(account, "account-7");
 * await actor.call({ deposit: 5 });
 * assert.equal(await actor.query("balance"), 5);
 * ```
 *
 * @param name The name of the kind: letters, digits, `_`, and `-` between them, at most 64. The id of each actor is the
 * name, one of `-`, `.`, `:` and `/`, and a key, as in `account-7`.
 * @param options The decider, and what else there is.
 * @throws {InvalidArgumentError} If the name or an option is not sound.
 *
 * @category Actors
 */
export function defineActor<
  S,
  C,
  E extends Event,
  A = Record<never, never>,
  // A parameter of its own: in the return type of a function the compiler would take `{ release: true }` for a boolean.
  const T extends ActorTimers<NoInfer<C>> = ActorTimers<NoInfer<C>>,
>(
  name: string,
  options: ActorOptions<S, C, E, A, T>,
): ActorDefinition<S, C, E, A> {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new InvalidArgumentError(
      "name",
      `must be 1 to 64 letters, digits and _, with - between them, and is ${describe(name)}`,
    );
  }
  return readOptions(options, ({ ...given }) => {
    checkKnown<ActorOptions<S, C, E, A, T>>(given, ACTOR_OPTIONS);
    const { decider, queries = {} as ActorQueries<S, A>, errors = {}, timers, version = 1 } = given;
    checkView("options.decider", decider);
    if (typeof decider.decide !== "function") {
      throw new InvalidArgumentError(
        "options.decider.decide",
        `must be a function of a command and a state, and is ${describe(decider.decide)}`,
      );
    }
    if (!Number.isSafeInteger(version) || version < 1) {
      throw new InvalidArgumentError(
        "options.version",
        `must be a positive integer, and is ${describe(version)}`,
      );
    }
    return Object.freeze({
      name,
      version,
      decider,
      queries: checkFunctions("options.queries", queries),
      errors: checkFunctions("options.errors", errors),
      timers: checkFunction("options.timers", timers),
    });
  });
}

const NAME = /^(?=.{1,64}$)[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*$/;
const SEPARATORS = "-.:/";

function checkFunctions<T extends object>(argument: string, functions: T): T {
  return readOptions(functions, (given) => {
    for (const [name, value] of Object.entries(given)) {
      if (value === undefined) {
        throw new InvalidArgumentError(
          `${argument}.${name}`,
          `must be a function, and is ${describe(value)}`,
        );
      }
      checkFunction(`${argument}.${name}`, value);
    }
    return Object.freeze({ ...given });
  }, argument);
}

/**
 * Finds the kind that an actor is of: the one with the longest name that its id begins with.
 *
 * @returns `undefined` if it is of none of them.
 */
export function definitionOf<D extends { readonly name: string }>(
  actorId: string,
  definitions: Iterable<D>,
): D | undefined {
  let found: D | undefined;
  for (const definition of definitions) {
    const { name } = definition;
    const isOwn = actorId.startsWith(name) && actorId.length > name.length + 1 &&
      SEPARATORS.includes(actorId[name.length]!);
    if (isOwn && name.length >= (found?.name.length ?? 0)) found = definition;
  }
  return found;
}
