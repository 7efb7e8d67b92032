/**
 * How actors are called.
 *
 * @module
 */

import type { Event, StoredEvent } from "../event/types.ts";
import type { LogStart, LogSubscription } from "../store/types.ts";
import type { CallResult } from "./call.ts";
import type { ActorDefinition } from "./definition.ts";

/**
 * What {@linkcode ActorCaller.call} takes.
 *
 * @category Actors
 */
export interface CallOptions {
  /**
   * Names the command, so that it can be repeated: a repetition is answered with what the first one led to, without
   * deciding again, as long as the command is among the latest 1,000 of the actor. A text of 1 to 128 UTF-8 bytes that does
   * not begin with `timer/`.
   *
   * @default {none}
   */
  readonly id?: string;
  /** How long the answer may take, in milliseconds. @default {5_000} */
  readonly timeout?: number;
  /** Gives up the call. It counts until the command's events are sent to the store. */
  readonly signal?: AbortSignal;
}

/**
 * What {@linkcode ActorReference.events} takes.
 *
 * @category Actors
 */
export interface ActorEventsOptions {
  /** Where to begin. @default {"start"} */
  readonly after?: LogStart;
  /** Ends the subscription: its loop throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Something that takes commands.
 *
 * @typeParam S The state.
 * @typeParam C The commands.
 */
export interface ActorCaller<S, C> {
  /**
   * Sends a command, and waits until what it decided is stored.
   *
   * @throws {ActorFailedError} If the decider threw an error that the definition does not declare. A declared error is
   * thrown as it is, and so is an error of the store.
   * @throws {ActorBusyError} If too many calls wait: nothing of this one was taken.
   * @throws {ActorUnavailableError} If the actor did not come to it in time: nothing of it was stored.
   * @throws {OutcomeUnknownError} If nothing could be learned of a command that was sent: no answer came in time, or, as its
   * `cause` then shows, the connection, the client or the permission ended before. Call again with the same id.
   * @throws {InvalidArgumentError} If the command is not JSON or over 256 KiB, or an option is out of range.
   * @throws {ClosedError} If the host, or the NATS connection, is closed: nothing of it was stored.
   * @throws {BackendError} If the NATS user has no permission to call actors, or the command is larger than the server's
   * `max_payload`.
   */
  call(command: C, options?: CallOptions): Promise<CallResult<S>>;
}

/**
 * An actor, by its id. It costs nothing until it is called.
 *
 * @typeParam S The state.
 * @typeParam C The commands.
 * @typeParam E The union of the actor's events.
 * @typeParam A The answers of the queries, by name.
 *
 * @category Actors
 */
export interface ActorReference<S, C, E extends Event, A> extends ActorCaller<S, C> {
  /** The actor's id. */
  readonly id: string;
  /**
   * Asks one of the definition's queries, after the commands that were sent before.
   *
   * @throws {ActorFailedError} If the query threw an error that the definition does not declare.
   * @throws {ActorBusyError | ActorUnavailableError} If the actor has no time for it.
   * @throws {InvalidArgumentError} If there is no such query.
   * @throws {ClosedError} If the host is closed.
   */
  query<N extends keyof A & string>(name: N): Promise<A[N]>;
  /** The actor's events: its history, then live. */
  events(options?: ActorEventsOptions): LogSubscription<StoredEvent<E>>;
}

/**
 * Finds actors, to call them.
 *
 * @category Actors
 */
export interface ActorFinder {
  /**
   * Finds an actor.
   *
   * @throws {InvalidArgumentError} If the id does not begin with the definition's name, or the definition is not one of
   * this client's.
   */
  get<S, C, E extends Event, A>(
    definition: ActorDefinition<S, C, E, A>,
    actorId: string,
  ): ActorReference<S, C, E, A>;
}
