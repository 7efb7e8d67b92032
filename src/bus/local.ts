/**
 * The bus within one process.
 *
 * @module
 */

import { ClosedError } from "../errors.ts";
import { type EventStored, type INTERNAL_NAMESPACE, publishInternally } from "../event/event_stored.ts";
import { validateNamespace, validateUserNamespace } from "../event/namespace.ts";
import type { Event, EventInput, EventOf } from "../event/types.ts";
import { checkFunction, checkKnown, type OptionNames, readOptions } from "../options.ts";
import { telemetry } from "../telemetry.ts";
import { type Warn, warner } from "../warning.ts";
import { compilePattern } from "./namespaces.ts";
import { readSubscribe } from "./options.ts";
import { observePublication } from "./observation.ts";
import { type Delivery, draftPublication } from "./publication.ts";
import { BufferedSubscription } from "./subscription.ts";
import type {
  BusSubscribeOptions,
  BusSubscription,
  EventBus,
  EventBusOptions,
  NamespacedEvent,
} from "./types.ts";

const OPTIONS: OptionNames<EventBusOptions> = { onWarning: true };

type Subscriber = Pick<BufferedSubscription<unknown>, "offer" | "drain">;

/** A subscription to a pattern. */
interface PatternSubscriber {
  readonly matches: (namespace: string) => boolean;
  readonly subscriber: Subscriber;
}

/**
 * A bus within one process: nothing to connect to, nothing to wait for. A published event is in the buffers of the
 * subscribers when `publish` returns; each takes it at its own pace.
 *
 * @typeParam E The union of the events that users publish.
 *
 * @example Publish and subscribe
 * ```ts
 * import { LocalEventBus } from "@flowmade-one/aether/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new LocalEventBus();
 * const orders = bus.subscribe("orders", { eventTypes: ["OrderPlaced"] });
 * await bus.publish("orders", { eventType: "OrderPlaced", actorId: "order-1", version: 1, data: { total: 5 } });
 * for await (const event of orders) {
 *   assert.equal(event.actorId, "order-1");
 *   break;
 * }
 * ```
 *
 * @category Bus
 */
export class LocalEventBus<E extends Event = Event> implements EventBus<E> {
  /** Resolved from the beginning. */
  readonly ready: Promise<void> = Promise.resolve();
  readonly #warn: Warn;
  readonly #subscribers = new Map<string, Set<Subscriber>>();
  readonly #patterns = new Set<PatternSubscriber>();
  #closed = false;

  /** Makes a bus. */
  constructor(options?: EventBusOptions) {
    this.#warn = readOptions(
      options,
      (given) => {
        checkKnown(given, OPTIONS);
        return warner(checkFunction("options.onWarning", given.onWarning));
      },
    );
  }

  /** Publishes an event. */
  publish(namespace: string, event: EventInput<E>): Promise<void> {
    try {
      const name = validateUserNamespace(namespace);
      if (this.#closed) throw new ClosedError("bus");
      this.#publish(name, draftPublication(event));
      return this.ready; // resolved: one promise for all publications
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Publishes the library's own events.
   *
   * @internal
   */
  [publishInternally]<T>(namespace: string, source: T, make: (source: T) => Event): void {
    if (this.#closed) throw new ClosedError("bus");
    if (this.#patterns.size === 0 && !this.#subscribers.has(namespace)) return;
    this.#publish(namespace, make(source));
  }

  /** The library's own events. */
  subscribe(
    namespace: typeof INTERNAL_NAMESPACE,
    options?: BusSubscribeOptions,
  ): BusSubscription<EventStored>;
  /** The events of one namespace. */
  subscribe<T extends E["eventType"] = E["eventType"]>(
    namespace: string,
    options?: BusSubscribeOptions<T>,
  ): BusSubscription<EventOf<E, T>>;
  subscribe(namespace: string, options?: BusSubscribeOptions): unknown {
    const name = validateNamespace(namespace);
    const checked = readSubscribe(options);
    if (this.#closed) throw new ClosedError("bus");
    const subscription = new BufferedSubscription<Event>({
      namespace: name,
      bus: "local",
      options: checked,
      select: ({ event }) => event,
      warn: this.#warn,
      onEnd: (ended) => this.#remove(name, ended),
    });
    if (subscription.hasEnded) return subscription;
    const others = this.#subscribers.get(name);
    if (others) others.add(subscription);
    else this.#subscribers.set(name, new Set([subscription]));
    subscription.begin();
    return subscription;
  }

  /** The events of every namespace that fits a pattern. */
  subscribePattern<T extends E["eventType"] = E["eventType"]>(
    pattern: string,
    options?: BusSubscribeOptions<T>,
  ): BusSubscription<NamespacedEvent<EventOf<E, T>>> {
    const matches = compilePattern(pattern);
    const checked = readSubscribe(options);
    if (this.#closed) throw new ClosedError("bus");
    const subscription = new BufferedSubscription<NamespacedEvent<EventOf<E, T>>>({
      namespace: pattern,
      bus: "local",
      options: checked,
      select: ({ namespace, event }) => ({ namespace, event: event as EventOf<E, T> }),
      warn: this.#warn,
      onEnd: (ended) => {
        for (const entry of this.#patterns) if (entry.subscriber === ended) this.#patterns.delete(entry);
      },
    });
    if (subscription.hasEnded) return subscription;
    this.#patterns.add({ matches, subscriber: subscription });
    subscription.begin();
    return subscription;
  }

  /** Refuses what comes after; loops end once they have taken what has arrived. */
  close(): Promise<void> {
    this.#closed = true;
    for (const subscribers of [...this.#subscribers.values()]) {
      for (const subscriber of [...subscribers]) subscriber.drain();
    }
    for (const { subscriber } of [...this.#patterns]) subscriber.drain();
    return Promise.resolve();
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #remove(namespace: string, subscriber: Subscriber): void {
    const subscribers = this.#subscribers.get(namespace);
    subscribers?.delete(subscriber);
    if (subscribers?.size === 0) this.#subscribers.delete(namespace);
  }

  #publish(namespace: string, event: Event): void {
    const observed = telemetry();
    if (!observed) {
      this.#offer({ namespace, event, traceparent: undefined });
      return;
    }
    const offer = (traceparent: string | undefined): void => this.#offer({ namespace, event, traceparent });
    observePublication(observed, "local", namespace, event, offer);
  }

  #offer(delivery: Delivery): void {
    const subscribers = this.#subscribers.get(delivery.namespace);
    if (subscribers) { for (const subscriber of subscribers) subscriber.offer(delivery); }
    if (this.#patterns.size === 0) return;
    for (const { matches, subscriber } of this.#patterns) {
      if (matches(delivery.namespace)) subscriber.offer(delivery);
    }
  }
}
