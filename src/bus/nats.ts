/**
 * The bus over NATS.
 *
 * @module
 */

import { BackendError, ClosedError } from "../errors.ts";
import { EventTooLargeError } from "../event/errors.ts";
import { type EventStored, type INTERNAL_NAMESPACE, publishInternally } from "../event/event_stored.ts";
import { validateNamespace, validateUserNamespace } from "../event/namespace.ts";
import { requireSubjectPrefix } from "../event/subject.ts";
import type { Event, EventInput, EventOf } from "../event/types.ts";
import { checkFunction, checkKnown, type OptionNames, readOptions } from "../options.ts";
import { telemetry } from "../telemetry.ts";
import { type Warn, warner } from "../warning.ts";
import { compilePattern } from "./namespaces.ts";
import {
  type NatsConnection,
  type NatsMessage,
  type NatsSubscription,
  requireConnection,
} from "../nats/connection.ts";
import type { ConnectOptions } from "../nats/connect.ts";
import { refusalOf, refusalText } from "../nats/refusals.ts";
import { connectionClosed, type Interruptible, NatsLink } from "./nats_link.ts";
import {
  decodePayload,
  encodePayload,
  namespaceOf,
  subjectOf,
  subjectsOf,
  traceHeaders,
  traceparentOf,
} from "./nats_message.ts";
import { observePublication } from "./observation.ts";
import { type Delivery, draftPublication } from "./publication.ts";
import { readSubscribe } from "./options.ts";
import { BufferedSubscription } from "./subscription.ts";
import type {
  BusSubscribeOptions,
  BusSubscription,
  EventBus,
  EventBusOptions,
  NamespacedEvent,
} from "./types.ts";

/**
 * What a bus over NATS can be made with.
 *
 * @category Bus
 */
export interface NatsEventBusOptions extends EventBusOptions {
  /**
   * The first levels of every subject: letters, digits, `_` and `-`, levels separated by dots. It must not be under
   * the subjects of a stream, which would store what is published.
   *
   * @default {"aether-bus"}
   */
  readonly prefix?: string;
}

const OPTIONS: OptionNames<NatsEventBusOptions> = { prefix: true, onWarning: true };

/**
 * What a bus can be opened with.
 *
 * @category Bus
 */
export interface NatsEventBusOpenOptions extends NatsEventBusOptions {
  /** How to connect: credentials, for one. */
  readonly connect?: ConnectOptions;
}

const OPEN_OPTIONS: OptionNames<NatsEventBusOpenOptions> = { ...OPTIONS, connect: true };

/** The most bytes of a header block with a trace context. */
const HEADER_BYTES = 256;

/** What the bus does to a subscription in addition to offering events. */
type Subscriber = Interruptible & Pick<BufferedSubscription<unknown>, "drain">;

/**
 * A bus between processes: core NATS publish and subscribe, on a connection that stays the caller's to close.
 *
 * Core NATS delivers at most once. While the connection is down, while a server restarts, or when a server cuts off a
 * client that reads too slowly, events are missed: the subscription counts an interruption and calls `onLoss`; and
 * `publish` rejects, though what was handed to the connection in the instant before it broke may be lost unnoticed.
 * What must not be missed is read by `store.subscribe` or a projection.
 *
 * `ready` counts for the server that the bus is connected to: in a cluster the others learn of a subscription some
 * milliseconds later.
 *
 * Every client of a NATS account can publish and subscribe to every subject that its permissions allow: a namespace
 * separates only clients that respect it. Give each tenant an account of its own.
 *
 * @typeParam E The union of the events that users publish.
 *
 * @example Publish and subscribe
 * ```ts ignore
 * import { connect } from "@nats-io/transport-node";
 * import { NatsEventBus } from "@flowmade-one/aether/bus";
 *
 * const connection = await connect({ servers: "nats://127.0.0.1:4222" });
 * await using bus = new NatsEventBus(connection);
 * const orders = bus.subscribe("orders", { actorPrefix: "order-" });
 * await orders.ready;
 * await bus.publish("orders", { eventType: "OrderPlaced", actorId: "order-1", version: 1, data: { total: 5 } });
 * for await (const event of orders) {
 *   console.log(event.actorId);
 *   break;
 * }
 * await connection.close();
 * ```
 *
 * @category Bus
 */
export class NatsEventBus<E extends Event = Event> implements EventBus<E> {
  readonly #connection: NatsConnection;
  readonly #prefix: string;
  readonly #warn: Warn;
  /** The subscriptions, and what each consists of on the connection. */
  readonly #attached = new Map<Subscriber, readonly NatsSubscription[]>();
  readonly #link: NatsLink;
  #opened: NatsConnection | undefined;
  #closed: Promise<void> | undefined;
  #ready: Promise<void> | undefined;

  /**
   * Makes a bus on a connection that is open.
   *
   * @throws {InvalidArgumentError} If it is no connection, or an option is out of range.
   */
  constructor(connection: NatsConnection, options?: NatsEventBusOptions) {
    const { prefix = "aether-bus", onWarning } = readOptions(options, ({ ...fields }) => {
      checkKnown<NatsEventBusOptions>(fields, OPTIONS);
      return fields;
    });
    requireSubjectPrefix(prefix);
    checkFunction("options.onWarning", onWarning);
    this.#connection = requireConnection("connection", connection);
    this.#prefix = prefix;
    this.#warn = warner(onWarning);
    this.#link = new NatsLink(connection, {
      subscribers: () => [...this.#attached.keys()],
      isClosed: () => this.#closed !== undefined,
    });
  }

  /**
   * Connects to a server, or to one of several, and makes a bus that closes the connection with itself.
   *
   * @param urlOrConnection A server's URL, several of them, or a connection, which stays the caller's to close.
   * @param options How it is reached, and the rest.
   * @throws {BackendError} If the connection cannot be made.
   * @throws {InvalidArgumentError} If a URL or an option is out of range.
   *
   * @example Publish to other processes
   * ```ts
   * import { NatsEventBus } from "@flowmade-one/aether/bus";
   *
   * // With the URL of a NATS server, such as nats://127.0.0.1:4222.
   * async function announce(url: string) {
   *   await using bus = await NatsEventBus.open(url);
   *   await bus.publish("orders", { eventType: "OrderPlaced", actorId: "order-1", version: 1, data: { total: 5 } });
   * }
   * ```
   */
  static async open<E extends Event = Event>(
    urlOrConnection: string | readonly string[] | NatsConnection,
    options?: NatsEventBusOpenOptions,
  ): Promise<NatsEventBus<E>> {
    const { connect, ...rest } = readOptions(options, ({ ...fields }) => {
      checkKnown<NatsEventBusOpenOptions>(fields, OPEN_OPTIONS);
      return fields;
    });
    const { openConnection } = await import("../nats/connect.ts");
    const { connection, opened } = await openConnection(
      "urlOrConnection",
      urlOrConnection,
      connect,
      warner(rest.onWarning),
    );
    try {
      const bus = new NatsEventBus<E>(connection, rest);
      if (opened) bus.#opened = connection;
      return bus;
    } catch (error) {
      if (opened) await connection.close();
      throw error;
    }
  }

  /** Resolves once the server has answered; rejects where the connection is closed. */
  get ready(): Promise<void> {
    if (!this.#ready) {
      this.#ready = this.#link.confirm();
      this.#ready.catch(() => {});
    }
    return this.#ready;
  }

  /** Publishes an event: hands it to the connection. */
  publish(namespace: string, event: EventInput<E>): Promise<void> {
    try {
      this.#publish(validateUserNamespace(namespace), draftPublication(event));
      return Promise.resolve();
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
    return this.#subscribe(name, name, options, () => true, ({ event }) => event);
  }

  /** The events of every namespace that fits a pattern. The server sends those of all; we choose among them. */
  subscribePattern<T extends E["eventType"] = E["eventType"]>(
    pattern: string,
    options?: BusSubscribeOptions<T>,
  ): BusSubscription<NamespacedEvent<EventOf<E, T>>> {
    const matches = compilePattern(pattern);
    return this.#subscribe(pattern, "*", options, matches, ({ namespace, event }) => {
      return { namespace, event: event as EventOf<E, T> };
    });
  }

  /**
   * Refuses what comes after, and waits, for a bounded time, for what was published to be sent and for what the server
   * has sent to arrive. Loops end once they have taken that.
   */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  /** Closes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #finish(): Promise<void> {
    const subscribers = [...this.#attached.keys()];
    await this.#link.settle([...this.#attached.values()].flat());
    for (const subscriber of subscribers) subscriber.drain();
    this.#link.close();
    await this.#opened?.close();
  }

  #publish(namespace: string, event: Event): void {
    if (this.#closed) throw new ClosedError("bus");
    if (this.#connection.isClosed()) throw connectionClosed();
    // The client would take it, and throw it away when it dials again (measured, @nats-io/nats-core 3.4.0).
    if (this.#link.isAway) {
      const refusal = refusalOf(this.#connection);
      const why = refusal ? `is down: ${refusalText(refusal)}` : "is down.";
      throw new BackendError("publish", `The NATS connection ${why} The event was not sent.`, {
        reason: refusal ? "denied" : "unreachable",
        cause: refusal,
      });
    }
    const observed = telemetry();
    if (!observed) {
      this.#send(namespace, event, undefined);
      return;
    }
    const send = (traceparent: string | undefined): void => this.#send(namespace, event, traceparent);
    observePublication(observed, "nats", namespace, event, send);
  }

  #send(namespace: string, event: Event, traceparent: string | undefined): void {
    const payload = encodePayload(event);
    const limit = this.#connection.info?.max_payload;
    if (limit !== undefined && payload.length + HEADER_BYTES > limit) {
      throw new EventTooLargeError(payload.length, limit - HEADER_BYTES, event.actorId);
    }
    const subject = subjectOf(this.#prefix, namespace, event);
    try {
      if (traceparent === undefined) this.#connection.publish(subject, payload);
      else this.#connection.publish(subject, payload, { headers: traceHeaders(traceparent) });
    } catch (cause) {
      throw new BackendError("publish", "The NATS connection did not take the event.", {
        reason: "unreachable",
        cause,
      });
    }
  }

  #subscribe<T>(
    name: string,
    token: string,
    options: BusSubscribeOptions | undefined,
    matches: (namespace: string) => boolean,
    select: (delivery: Delivery) => T,
  ): BufferedSubscription<T> {
    const checked = readSubscribe(options);
    if (this.#closed) throw new ClosedError("bus");
    if (this.#connection.isClosed()) throw connectionClosed();
    const subscription = new BufferedSubscription<T>({
      namespace: name,
      bus: "nats",
      options: checked,
      select,
      warn: this.#warn,
      onEnd: (ended) => this.#detach(ended),
    });
    if (subscription.hasEnded) return subscription;
    const receive = (error: Error | null, message: NatsMessage): void => {
      if (error) subscription.fail(refused(name, error));
      else this.#receive(subscription, matches, message);
    };
    const sources = subjectsOf(this.#prefix, token, checked)
      .map((subject) => this.#connection.subscribe(subject, { callback: receive }));
    this.#attached.set(subscription, sources);
    this.#link.confirmSubscriptions().then(() => subscription.begin(), (error) => subscription.fail(error));
    return subscription;
  }

  #receive<T>(
    subscription: BufferedSubscription<T>,
    matches: (namespace: string) => boolean,
    message: NatsMessage,
  ): void {
    const namespace = namespaceOf(this.#prefix, message.subject);
    if (!matches(namespace)) return;
    let event: Event;
    try {
      event = decodePayload(message.data);
    } catch (error) {
      subscription.reject(error);
      return;
    }
    const traceparent = message.headers && traceparentOf(message);
    subscription.offer({ namespace, event, traceparent });
  }

  #detach(subscriber: Subscriber): void {
    const sources = this.#attached.get(subscriber) ?? [];
    this.#attached.delete(subscriber);
    if (this.#connection.isClosed()) return;
    for (const source of sources) source.unsubscribe();
  }
}

function refused(namespace: string, cause: Error): BackendError {
  return new BackendError(
    "subscribe",
    `The NATS server ended the subscription to "${namespace}". Check the permissions of its user.`,
    { reason: "denied", cause },
  );
}
