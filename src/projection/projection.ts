/**
 * Projections: named handlers of the events of the global log.
 *
 * @module
 */

import type { Event, EventFilter, EventOf, NewEvent, StoredEvent } from "../event/types.ts";
import type { LogStart } from "../store/method_options.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import type { CommandReaction, ReactionOptions } from "./command.ts";

/**
 * What a handler is given with its event.
 *
 * @typeParam Tx What it writes a read model with that commits together with the checkpoint.
 *
 * @category Projections
 */
export interface HandlerContext<Tx = undefined> {
  /**
   * Writes to the read model. They are committed together with the checkpoint: an event's writes are stored exactly once,
   * also if a process was killed or suspended, or an attempt repeated. Without such a store it is `undefined`.
   */
  readonly transaction: Tx;
  /** The version of the projection: keep the read models of versions apart by it. */
  readonly version: number;
  /** Which attempt at the event it is, from 1. */
  readonly attempt: number;
  /** Fires when the handler's work has no effect any more: its time is over, the lease is lost, or the run was aborted. */
  readonly signal: AbortSignal;
}

/**
 * Events that a handler wants appended to an actor.
 *
 * @typeParam E The union of the store's events.
 *
 * @category Projections
 */
export interface EventReaction<E extends Event = Event> extends ReactionOptions {
  /** The actor. */
  readonly actorId: string;
  /**
   * The events. Ids, and the causation and correlation ids of their metadata, are filled in if they are missing. An event
   * whose id is found in the actor's history is not appended again.
   */
  readonly events: readonly NewEvent<E>[];
}

/**
 * What a handler may return in its list: events for an actor, or what {@linkcode command} makes.
 *
 * @typeParam E The union of the store's events.
 *
 * @category Projections
 */
export type Reaction<E extends Event = Event> = EventReaction<E> | CommandReaction<E>;

/**
 * What a handler may return: nothing, or events and commands for other actors. Each is stored once, also after a failure: their
 * ids come from the projection's name, the event and the place in the result, and are looked for in the actor's history before
 * the append. So a rebuild, a lost checkpoint, a second place for checkpoints or a move to another store repeats none. An append
 * that the store will never take (a fenced actor, a schema) and a command that its decider refuses are subject to the failure
 * policy.
 *
 * @typeParam E The union of the store's events.
 *
 * @category Projections
 */
export type HandlerResult<E extends Event = Event> = void | readonly Reaction<E>[];

/**
 * Handles an event. If it throws, the projection's failure policy applies.
 *
 * @typeParam S The stored event.
 * @typeParam Tx What it writes with.
 * @typeParam E The union of the store's events, which its reactions are of.
 *
 * @category Projections
 */
export type Handler<S, Tx = undefined, E extends Event = Event> = {
  // The type of a method, whose parameters are compared both ways: in Handlers, where a store's event types are any
  // strings, the compiler takes a handler's event to be of the very type that the handler is named after.
  handle(event: S, context: HandlerContext<Tx>): HandlerResult<E> | Promise<HandlerResult<E>>;
}["handle"];

/**
 * Handlers by event type.
 *
 * @example With a store whose events have no types
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 * const placed: string[] = [];
 * await projectOnce(store, {
 *   name: "placed-orders",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle: { OrderPlaced: ({ actorId }) => void placed.push(actorId) },
 * });
 * assert.deepEqual(placed, ["order-1"]);
 * ```
 *
 * @category Projections
 */
export type Handlers<E extends Event, Tx = undefined> = {
  readonly [T in E["eventType"]]?: Handler<StoredEvent<EventOf<E, T>>, Tx, E>;
};

/**
 * What happens when a handler fails.
 *
 * @category Projections
 */
export interface FailurePolicy {
  /** How often a failed event is tried again. @default {5} */
  readonly retries?: number;
  /** The bound of the random wait before the first retry, in ms; it doubles with each. @default {100} */
  readonly firstDelay?: number;
  /** The bound after many retries, in ms. @default {10000} */
  readonly longestDelay?: number;
  /** Then: stop before the event with an error, or set it aside in a durable list and go on. @default {"stop"} */
  readonly then?: "stop" | "park";
  /** Whether later events of a parked event's actor wait until it is retried or discarded. @default {"wait"} */
  readonly laterEvents?: "wait" | "go-on";
  /** How many events may be parked before the projection stops all the same. @default {100} */
  readonly maxParked?: number;
}

/**
 * A named handler with a durable checkpoint.
 *
 * @typeParam E The union of the store's events.
 * @typeParam Tx What handlers write with; it comes with the checkpoints.
 *
 * @example A read model, and an event that follows from another
 * ```ts
 * import { type Event, InMemoryCheckpoints, InMemoryEventStore, type Projection, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * type ShopEvent = Event<"OrderPlaced", { total: number }> | Event<"InvoiceSent", { total: number }>;
 *
 * const invoicing: Projection<ShopEvent> = {
 *   name: "invoicing",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle: {
 *     OrderPlaced: ({ actorId, data }) => [
 *       { actorId: `invoice-of-${actorId}`, events: [{ eventType: "InvoiceSent", data: { total: data.total } }] },
 *     ],
 *   },
 *   failure: { then: "park" },
 * };
 * await using store = new InMemoryEventStore<ShopEvent>();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * await projectOnce(store, invoicing);
 * assert.equal(await store.getLatestVersion("invoice-of-order-1"), 1);
 * ```
 *
 * @category Projections
 */
export interface Projection<E extends Event = Event, Tx = undefined> {
  /** Its name, 1 to 128 UTF-8 bytes. */
  readonly name: string;
  /** Its version: raise it to build the read model again from the start, next to the old one. Reactions are not repeated. @default {1} */
  readonly version?: number;
  /** Where its checkpoint is kept. */
  readonly checkpoints: CheckpointStore<Tx>;
  /**
   * Only events of these types, of this actor, or of actors whose id begins with a string. It belongs to the name: to change
   * it, raise the version. @default {all, or the types of a map of handlers}
   */
  readonly filter?: EventFilter<E["eventType"]>;
  /**
   * One handler for all events, or one for each type; types without one are left out. In an instance of a class every method
   * is the handler of the type that it is named after.
   */
  readonly handle: Handler<StoredEvent<E>, NoInfer<Tx>, E> | Handlers<E, NoInfer<Tx>>;
  /**
   * Stores all reactions without a fencing token, also for actors that are owned under one, and also those that were refused
   * before because of it.
   *
   * @default {false}
   */
  readonly unfenced?: boolean;
  /**
   * Where it begins, if it has no checkpoint: at the `"start"`, which is refused if retention has removed it, with the
   * `"first-kept"` event, at the present `"end"`, or behind a position.
   *
   * @default {"start"}
   */
  readonly from?: LogStart;
  /**
   * The version whose checkpoint it continues, if it has none of its own yet: it goes on where that version is, with what that one
   * has parked, and calls its handlers for nothing before. The read model stays that of the version before. Its own version lets
   * it continue with another filter, such as that of a map of handlers with one more type; earlier events of that type are not
   * handled.
   *
   * @default {none: a new version begins at `from`, and another filter is refused}
   */
  readonly continueFrom?: number;
  /**
   * How many handlers may work at once in this process, up to 1024: of different keys only. The events of one key are handled in order,
   * also over retries, while other keys go on. The checkpoint is the place before which every event is done, so that
   * `waitFor` waits for all keys. Handlers that do not wait for anything gain nothing, nor do those that write in PostgreSQL: a
   * transaction has one connection. Declare `segments` there.
   *
   * What two keys share must not be read and written back by handlers without the transaction of their checkpoints.
   *
   * @default {1: all events are handled in order, one after the other}
   */
  readonly lanes?: number;
  /**
   * In how many segments several processes share it, 1 to 1,024: an event belongs to the segment that the hash of its key is of,
   * and each segment has one worker. It needs leases, and is for `runProjection`. `changeSegments()` changes the number.
   *
   * @default {none: one worker has all events}
   */
  readonly segments?: number;
  /**
   * The key of an event: events of one key are handled in order, and wait behind one of them that was parked. It must follow
   * from the event alone. If it throws or returns no string, that is a failure of the handler. The events that one stored event is
   * turned into have the key of the first.
   *
   * @default {the actor's id}
   */
  key?(event: StoredEvent<E>): string;
  /** What happens when a handler fails. */
  readonly failure?: FailurePolicy;
  /** How long a handler may take, in ms. @default {30000} */
  readonly handlerTimeout?: number;
  /** The most events between two writes of the checkpoint. @default {10000} */
  readonly checkpointEvents?: number;
  /** The most time between an event's handling and the write of the checkpoint, in ms. @default {200} */
  readonly checkpointInterval?: number;
}
