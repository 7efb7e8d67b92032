/**
 * The contract that every event bus keeps.
 *
 * @module
 */

import type { EventStored, INTERNAL_NAMESPACE } from "../event/event_stored.ts";
import type { Subscription } from "../event/subscription.ts";
import type { Event, EventFilter, EventInput, EventOf } from "../event/types.ts";
import type { Warning } from "../warning.ts";

/**
 * What a subscription does when its buffer is full: loses the oldest event in it, or the one that comes; or ends with
 * {@linkcode SubscriptionOverflowError} once the buffer is delivered.
 *
 * @category Bus
 */
export type OverflowPolicy = "drop-oldest" | "drop-newest" | "error";

/**
 * Events that a subscriber did not get, or may not have got.
 *
 * @category Bus
 */
export interface Loss {
  /**
   * Why: `"overflow"` where the subscriber was too slow, `"interrupted"` if the connection was down and any number
   * of events may have been missed, `"undecodable"` where what came is no event.
   */
  readonly reason: "overflow" | "interrupted" | "undecodable";
  /** The namespace, or the pattern, that was subscribed to. */
  readonly namespace: string;
}

/**
 * What can be asked of a subscription to a bus.
 *
 * @category Bus
 */
export interface BusSubscribeOptions<T extends string = string> extends EventFilter<T> {
  /** Ends the subscription: its loop throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** The most events that wait for the subscriber; 1 to 1,000,000. @default {1_000} */
  readonly buffer?: number;
  /** What happens when they are more. @default {"drop-oldest"} */
  readonly overflow?: OverflowPolicy;
  /**
   * Called at every loss, so that what was built from the events can be built again. After an interruption it is called
   * when events arrive again. What it throws becomes a warning. A loss that it causes itself, by publishing to a full buffer,
   * is counted and not reported to it again.
   *
   * @default {losses are counted, and warned of}
   */
  readonly onLoss?: (loss: Loss) => void;
}

/**
 * Events of a bus as they are published. It is iterated once, or handled by {@linkcode forEach}; `close()`, disposal
 * and a `break` end it.
 *
 * @typeParam T What it delivers.
 *
 * @category Bus
 */
export interface BusSubscription<T> extends Subscription<T> {
  /** Resolves when nothing that is published from then on is missed; rejects where the subscription cannot begin. */
  readonly ready: Promise<void>;
  /** Always undefined: a bus keeps nothing that could be resumed. */
  readonly position: undefined;
  /** How many events were lost: to overflow, or because they could not be decoded. */
  readonly lost: number;
  /** How often the connection was down; each time events may have been missed. Always 0 on a local bus. */
  readonly interruptions: number;
  /** How many events wait to be taken: the subscriber's lag. */
  readonly pending: number;
  /** How many events the handler of {@linkcode forEach} has failed on. */
  readonly failures: number;
  /**
   * Handles each event, one after the other, in place of a loop. An event on which the handler throws is counted and
   * warned of, and the next one comes.
   *
   * @param handler Handles an event; it is waited for.
   * @returns Resolves when the subscription was closed.
   * @throws {SubscriptionOverflowError | ClosedError | BackendError} If that would end a loop.
   * @throws The signal's reason.
   */
  forEach(handler: (delivered: T) => void | PromiseLike<void>): Promise<void>;
}

/**
 * An event, and the namespace it was published to.
 *
 * @typeParam E The events.
 *
 * @category Bus
 */
export interface NamespacedEvent<E extends Event = Event> {
  /** The namespace. */
  readonly namespace: string;
  /** The event. */
  readonly event: E;
}

/**
 * What every bus can be made with.
 *
 * @category Bus
 */
export interface EventBusOptions {
  /** Takes what is counted instead of thrown. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

/**
 * Publishes events to the present subscribers, kept apart by namespace. Nothing is stored, and an event is
 * delivered at most once: what must not be missed is read from a store, by `store.subscribe` or a projection.
 *
 * A namespace is 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`, and is compared byte for byte. Those that begin and end
 * with two underscores are the system's: every application may subscribe, only the library publishes.
 *
 * Events arrive in the order in which one publisher has published them.
 *
 * @typeParam E The union of the events that users publish.
 *
 * @category Bus
 */
export interface EventBus<E extends Event = Event> extends AsyncDisposable {
  /** Resolves when the bus is connected; at once on a local bus. Rejects if it cannot connect. */
  readonly ready: Promise<void>;

  /**
   * Publishes an event. It is validated and copied as a store does it; `id` and `timestamp` are stamped if they are
   * absent, a `position` is left out.
   *
   * @returns Resolves when the event is handed to the subscribers' buffers, or to the connection. It may not be
   * handled by then.
   * @throws {InvalidArgumentError} If the namespace is no name, or the system's.
   * @throws {InvalidEventError | EventTooLargeError} If the event cannot be published as it is.
   * @throws {ClosedError | BackendError} If nothing can be published any more, or for now: nothing is
   * kept for later.
   *
   * @example Publish to the subscribers
   * ```ts
   * import { LocalEventBus } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using bus = new LocalEventBus();
   * const greetings = bus.subscribe("greetings");
   * await bus.publish("greetings", {
   *   eventType: "Greeted",
   *   actorId: "world",
   *   version: 1,
   *   data: "hello",
   * });
   * for await (const { actorId, data } of greetings) {
   *   assert.deepEqual([data, actorId], ["hello", "world"]);
   *   break;
   * }
   * ```
   */
  publish(namespace: string, event: EventInput<E>): Promise<void>;

  /**
   * The library's own events: what the stores that were given this bus have stored.
   *
   * @throws {InvalidArgumentError} If an option is out of range.
   * @throws {ClosedError} If the bus is closed.
   */
  subscribe(
    namespace: typeof INTERNAL_NAMESPACE,
    options?: BusSubscribeOptions,
  ): BusSubscription<EventStored>;

  /**
   * The events of one namespace, from when the subscription is `ready`.
   *
   * @throws {InvalidArgumentError} If the namespace is no name, or an option is out of range.
   * @throws {ClosedError} If the bus is closed.
   *
   * @example Lose the oldest events rather than memory, and know it
   * ```ts
   * import { LocalEventBus } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using bus = new LocalEventBus();
   * let losses = 0;
   * await using greetings = bus.subscribe("greetings", { buffer: 1, overflow: "drop-oldest", onLoss: () => losses++ });
   * await bus.publish("greetings", {
   *   eventType: "Greeted",
   *   actorId: "world",
   *   version: 1,
   *   data: "hello",
   * });
   * await bus.publish("greetings", {
   *   eventType: "Greeted",
   *   actorId: "world",
   *   version: 1,
   *   data: "hello",
   * });
   * assert.deepEqual([greetings.pending, greetings.lost], [1, losses]);
   * ```
   */
  subscribe<T extends E["eventType"] = E["eventType"]>(
    namespace: string,
    options?: BusSubscribeOptions<T>,
  ): BusSubscription<EventOf<E, T>>;

  /**
   * The events of every namespace that fits a pattern: for operators and logs. An application listens to the
   * namespaces that it can name.
   *
   * @param pattern A namespace in which each `*` matches any characters, or none: `"tenant-*"`, `"*"`. The system's
   * namespaces fit too.
   * @throws {InvalidArgumentError} If it is no pattern, or an option is out of range.
   * @throws {ClosedError} If the bus is closed.
   *
   * @example Log what all tenants do
   * ```ts
   * import { LocalEventBus } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using bus = new LocalEventBus();
   * await using all = bus.subscribePattern("tenant-*");
   * await bus.publish("tenant-7", { eventType: "OrderPlaced", actorId: "order-1", version: 1, data: null });
   * for await (const { namespace, event } of all) {
   *   assert.deepEqual([namespace, event.actorId], ["tenant-7", "order-1"]);
   *   break;
   * }
   * ```
   */
  subscribePattern<T extends E["eventType"] = E["eventType"]>(
    pattern: string,
    options?: BusSubscribeOptions<T>,
  ): BusSubscription<NamespacedEvent<EventOf<E, T>>>;

  /**
   * Refuses what comes after. Loops end normally once they have taken what has arrived. It can be called again.
   */
  close(): Promise<void>;
}
