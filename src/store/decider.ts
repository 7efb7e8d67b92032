/**
 * Deciders: a domain in three functions.
 *
 * @module
 */

import type { Event, NewEvent } from "../event/types.ts";

/**
 * How a decider's state is kept in snapshots.
 *
 * @category Deciders
 */
export interface SnapshotPolicy {
  /** Which fold it is of: an actor has one snapshot a kind. */
  readonly kind: string;
  /** The version of the state's shape: raise it when the shape or `evolve` changes. */
  readonly schemaVersion: number;
  /** `execute` takes a snapshot once this many events have come since the last one. @default {100} */
  readonly every?: number;
}

/**
 * A fold over an actor's events: what `replay` needs.
 *
 * @typeParam S The state.
 * @typeParam E The union of the actor's events.
 *
 * @category Deciders
 */
export interface View<S, E extends Event> {
  /** The state of an actor without events. */
  initialState(): S;
  /** The state after an event. It must not change the state it is given. */
  evolve(state: S, event: E): S;
  /** Keeps the state in snapshots, to shorten the replay of long histories. @default {no snapshots} */
  readonly snapshot?: SnapshotPolicy;
}

/**
 * A domain: what its commands decide, given what has happened.
 *
 * @typeParam S The state.
 * @typeParam C The commands.
 * @typeParam E The union of the actor's events.
 *
 * @category Deciders
 */
export interface Decider<S, C, E extends Event> extends View<S, E> {
  /** The events that a command leads to; none if nothing is to happen. It throws to refuse the command. */
  decide(command: C, state: S): readonly NewEvent<E>[];
}
