/**
 * A watch over the last messages of some subjects of a stream: a push consumer of our own, because the stock ordered
 * consumer stays silent for more than a minute when the server that hosts it dies.
 *
 * @module
 */
import type { BucketWatch, Entry, WatchUpdate } from "../bucket.ts";
import { type Clock, RetryDelay } from "../clock.ts";
import {
  createInbox,
  type NatsConnection,
  type NatsMessage,
  type NatsSubscription,
} from "../../nats/connection.ts";
import {
  type ConsumerConfig,
  type ConsumerInfo,
  type JetStreamRequests,
  StreamNotFoundError,
} from "../../nats/jetstream/requests.ts";
import { retryTransient } from "../../nats/jetstream/retry.ts";

const NANOSECONDS_PER_MS = 1_000_000;
/** After how many missed heartbeats the consumer counts as dead. */
const MISSED_HEARTBEATS = 2.5;
/** How long the server keeps a consumer without a subscription, in ms. */
const INACTIVE_MS = 30_000;

/** What is watched, and how. */
export interface StreamWatchOptions {
  /** The API. */
  readonly requests: JetStreamRequests;
  /** The stream. */
  readonly stream: string;
  /** What is watched: keys, or `level.>`. */
  readonly patterns: readonly string[];
  /** The first levels of the subject of every key, as they are now. */
  readonly base: () => string;
  /** How long to wait for a leader or a connection, in ms. */
  readonly timeout: number;
  /** How often the server reports that the consumer works, in ms. */
  readonly heartbeat: number;
  /** Time. */
  readonly clock: Clock;
  /** Makes an entry of a message. */
  decode(key: string, message: NatsMessage, sequence: number): Entry;
  /** Called with every update. */
  listener(update: WatchUpdate): void;
  /** Called if the stream is missing. */
  onMissing(): Promise<void>;
  /** The typed error for one of the server's or the connection's. */
  errorOf(error: unknown): Error;
}

/** One consumer. */
interface Consumer {
  readonly name: string;
  readonly base: string;
  readonly subscription: NatsSubscription;
  /** Fires when another one takes its place, or none. */
  readonly dropped: AbortController;
  /** What has arrived of the first snapshot; `undefined` once it was complete. */
  snapshot: Entry[] | undefined;
  /** The sequence of the last delivery. */
  delivered: number;
  heardAt: number;
}

/** Watches until it is closed. */
export class StreamWatch implements BucketWatch {
  readonly #connection: NatsConnection;
  readonly #options: StreamWatchOptions;
  #consumer: Consumer | undefined;
  readonly #failures = new RetryDelay();
  #cancelTimer: () => void = () => {};
  #closed = false;

  constructor(connection: NatsConnection, options: StreamWatchOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#start();
  }

  /** Stops it. */
  close(): void {
    this.#closed = true;
    this.#drop();
  }

  /** Begins again, on what the stream is now. */
  restart(): void {
    this.#start();
  }

  #drop(): void {
    this.#cancelTimer();
    const consumer = this.#consumer;
    this.#consumer = undefined;
    consumer?.dropped.abort();
    if (consumer === undefined || this.#connection.isClosed()) return;
    consumer.subscription.unsubscribe();
    this.#connection.publish(
      `${this.#options.requests.apiPrefix}.CONSUMER.DELETE.${this.#options.stream}.${consumer.name}`,
    );
  }

  #start(): void {
    this.#drop();
    if (this.#closed || this.#connection.isClosed()) return;
    const { clock, heartbeat, patterns } = this.#options;
    const base = this.#options.base();
    const name = `aether-${crypto.randomUUID()}`;
    const inbox = createInbox(this.#connection);
    const consumer: Consumer = {
      name,
      base,
      subscription: this.#connection.subscribe(inbox, {
        callback: (error, message) => {
          if (this.#consumer !== consumer) return;
          if (error === null) this.#take(consumer, message);
          else this.#fail(error);
        },
      }),
      dropped: new AbortController(),
      snapshot: [],
      delivered: 0,
      heardAt: clock.monotonic(),
    };
    this.#consumer = consumer;
    const config = {
      name,
      deliver_subject: inbox,
      deliver_policy: "last_per_subject",
      ack_policy: "none",
      replay_policy: "instant",
      filter_subjects: patterns.map((pattern) => base + pattern),
      idle_heartbeat: heartbeat * NANOSECONDS_PER_MS,
      flow_control: true,
      inactive_threshold: INACTIVE_MS * NANOSECONDS_PER_MS,
      mem_storage: true,
      num_replicas: 1,
    };
    void this.#create(consumer, config);
  }

  async #create(consumer: Consumer, config: ConsumerConfig): Promise<void> {
    const { requests, stream, timeout, onMissing } = this.#options;
    const { signal } = consumer.dropped;
    const isReplaced = (): boolean => signal.aborted;
    try {
      const create = (): Promise<ConsumerInfo> => requests.createConsumer(stream, config);
      const { num_pending, delivered } = await retryTransient(timeout, create, undefined, signal);
      if (isReplaced()) return;
      this.#failures.reset();
      if (num_pending + (delivered?.consumer_seq ?? 0) === 0) this.#complete(consumer);
      this.#watchHeartbeat(consumer);
    } catch (error) {
      if (isReplaced()) return;
      if (error instanceof StreamNotFoundError) await onMissing().catch(() => {});
      if (!isReplaced()) this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#drop();
    if (this.#closed) return;
    this.#cancelTimer = this.#options.clock.setTimer(() => this.#start(), this.#failures.next());
    this.#options.listener({ type: "unavailable", error: this.#options.errorOf(error) });
  }

  #watchHeartbeat(consumer: Consumer): void {
    const { clock, heartbeat } = this.#options;
    const silence = clock.monotonic() - consumer.heardAt;
    if (silence >= heartbeat * MISSED_HEARTBEATS) return this.#start();
    this.#cancelTimer();
    this.#cancelTimer = clock.setTimer(
      () => this.#watchHeartbeat(consumer),
      Math.ceil(heartbeat * MISSED_HEARTBEATS - silence),
    );
  }

  #take(consumer: Consumer, message: NatsMessage): void {
    consumer.heardAt = this.#options.clock.monotonic();
    const status = message.headers?.code ?? 0;
    if (status !== 0) return this.#takeStatus(consumer, message);
    // $JS.ACK.<...>.<stream sequence>.<consumer sequence>.<time>.<pending>: counted from the end, the start may grow.
    const tokens = (message.reply ?? "").split(".");
    const sequence = Number(tokens.at(-4));
    const delivery = Number(tokens.at(-3));
    if (delivery !== consumer.delivered + 1) return this.#start();
    consumer.delivered = delivery;
    const entry = this.#options.decode(message.subject.slice(consumer.base.length), message, sequence);
    if (consumer.snapshot === undefined) this.#options.listener({ type: "entry", entry });
    else {
      consumer.snapshot.push(entry);
      if (tokens.at(-1) === "0") this.#complete(consumer);
    }
  }

  /** A heartbeat reports how far the consumer is; flow control requires an answer. */
  #takeStatus(consumer: Consumer, message: NatsMessage): void {
    if (message.reply) return this.#connection.publish(message.reply);
    const stalled = message.headers?.get("Nats-Consumer-Stalled");
    if (stalled) this.#connection.publish(stalled);
    if (Number(message.headers?.get("Nats-Last-Consumer") || 0) > consumer.delivered) this.#start();
  }

  #complete(consumer: Consumer): void {
    const entries = consumer.snapshot ?? [];
    consumer.snapshot = undefined;
    this.#options.listener({ type: "snapshot", entries });
  }
}
