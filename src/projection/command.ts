/**
 * Commands that a handler returns: the decider of their actor decides what they lead to.
 *
 * @module
 */

import type { Event, NewEvent } from "../event/types.ts";
import type { Decider } from "../store/decider.ts";

/**
 * Under which fencing token a reaction is stored where its actor is owned under one.
 *
 * @category Projections
 */
export interface ReactionOptions {
  /** Stores without a token also if the actor has one. @default {false} */
  readonly unfenced?: boolean;
  /** The token of the lease under which the author of the projection owns the actor. */
  readonly fencingToken?: number;
}

/**
 * A command for an actor, in the list that a handler returns; {@linkcode command} makes it.
 *
 * @typeParam E A union that the decider's events are among.
 *
 * @category Projections
 */
export interface CommandReaction<E extends Event = Event> extends ReactionOptions {
  /** The actor. */
  readonly actorId: string;
  /** What is to happen. */
  readonly command: unknown;
  /** Decides what it leads to. */
  readonly decider: {
    /** The state of an actor without events. */
    initialState(): unknown;
    /** The state after an event. */
    evolve(state: never, event: never): unknown;
    /** The events that the command leads to. */
    decide(command: never, state: never): readonly NewEvent<E>[];
  };
}

/**
 * A command that a handler returns: it is decided by the actor's decider, on the actor's state, and what it leads to is stored
 * once, also after a failure: events of an earlier attempt are recognised by their `commandId`. It is tried again after a
 * conflict. A command that the decider refuses, by throwing, is the handler's failure. A command that leads to no events leaves
 * no trace: a rebuild has it decided again.
 *
 * @typeParam S The decider's state.
 * @typeParam C Its commands.
 * @typeParam E The union of its events.
 * @param decider Decides it.
 * @param actorId The actor.
 * @param command What is to happen.
 * @param options Under which fencing token it is stored.
 *
 * @example Money that arrives on an account
 * ```ts
 * import { command, type Decider, type Event, InMemoryCheckpoints, InMemoryEventStore, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * type Transferred = Event<"Transferred", { to: string; amount: number }>;
 * type Deposited = Event<"Deposited", { amount: number }>;
 * const account: Decider<number, { deposit: number }, Deposited> = {
 *   initialState: () => 0,
 *   evolve: (balance, { data }) => balance + data.amount,
 *   decide: ({ deposit }) => [{ eventType: "Deposited", data: { amount: deposit } }],
 * };
 *
 * await using store = new InMemoryEventStore<Transferred | Deposited>();
 * const transferred = { eventType: "Transferred" as const, data: { to: "account-7", amount: 5 } };
 * await store.append("transfer-1", [transferred], { expectedVersion: 0 });
 * await projectOnce(store, {
 *   name: "transfers",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle: { Transferred: ({ data }) => [command(account, data.to, { deposit: data.amount })] },
 * });
 * assert.equal((await store.getEvents("account-7"))[0]!.eventType, "Deposited");
 * ```
 *
 * @category Projections
 */
export function command<S, C, E extends Event>(
  decider: Decider<S, C, E>,
  actorId: string,
  command: NoInfer<C>,
  options: ReactionOptions = {},
): CommandReaction<E> {
  return { ...options, actorId, command, decider };
}
