/**
 * A watch over the last messages of some subjects of a stream.
 *
 * @module
 */
import { ClosedError } from "../../errors.ts";
import type { BucketWatch, Entry, WatchUpdate } from "../bucket.ts";
import { type Clock, RetryDelay, sleepOn } from "../clock.ts";
import type { ConnectionListener, ConnectionState } from "../../nats/connection_state.ts";
import type { Delivery } from "../../nats/jetstream/delivery.ts";
import { OrderedConsumer } from "../../nats/jetstream/ordered_consumer.ts";
import type { JetStreamRequests } from "../../nats/jetstream/requests.ts";
import { StreamNotFoundError } from "../../nats/jetstream/api_errors.ts";

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
  decode(key: string, message: Delivery): Entry;
  /** All keys that match a pattern, also those whose message the server cannot read. */
  keys(pattern: string): Promise<readonly string[]>;
  /** Reads an entry from the leader. */
  get(key: string): Promise<Entry | undefined>;
  /** Called with every update. */
  listener(update: WatchUpdate): void;
  /** Called if the stream is missing. */
  onMissing(): Promise<void>;
  /** The typed error for one of the server's or the connection's. */
  errorOf(error: unknown): Error;
}

/**
 * Watches until it is closed. Each consumer begins with a snapshot, because a key may expire without a message: it is never
 * continued after a gap, another one takes its place.
 */
export class StreamWatch implements BucketWatch, ConnectionListener {
  readonly #state: ConnectionState;
  readonly #options: StreamWatchOptions;
  readonly #closing = new AbortController();
  readonly #failures = new RetryDelay();
  #consumer: OrderedConsumer | undefined;

  constructor(state: ConnectionState, options: StreamWatchOptions) {
    this.#state = state;
    this.#options = options;
    state.add(this);
    void this.#run();
  }

  /** Stops it. */
  close(): void {
    this.#closing.abort();
    this.#state.remove(this);
    this.#consumer?.close();
  }

  /** Begins again, on what the stream is now. */
  restart(): void {
    this.#consumer?.close();
  }

  /** Begins again: what is reported while the connection is down does not arrive. */
  onDisconnect(): void {
    this.restart();
  }

  async #run(): Promise<void> {
    const { clock, listener, onMissing, errorOf } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted && !this.#state.isClosed) {
      try {
        await this.#follow();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof StreamNotFoundError) await onMissing().catch(() => {});
        if (signal.aborted) return;
        listener({ type: "unavailable", error: errorOf(error) });
        await sleepOn(clock, this.#failures.next(), signal).catch(() => {});
      }
    }
    if (!signal.aborted) listener({ type: "unavailable", error: new ClosedError("connection") });
  }

  /** Reports a snapshot and what changes, until the consumer may have missed something. */
  async #follow(): Promise<void> {
    const { stream, requests, patterns, timeout, heartbeat, decode, listener } = this.#options;
    const base = this.#options.base();
    const consumer = new OrderedConsumer(this.#state, requests, {
      stream,
      filterSubjects: patterns.map((pattern) => base + pattern),
      lastOfEach: true,
      heartbeat,
      patience: timeout,
      reportProgress: true,
      signal: this.#closing.signal,
      onReset: () => consumer.close(),
    });
    this.#consumer = consumer;
    try {
      await consumer.start();
      if (consumer.isClosed) return;
      this.#failures.reset();
      const snapshot: Entry[] = [];
      let isComplete = consumer.expected === 0;
      if (isComplete) listener({ type: "snapshot", entries: snapshot });
      while (!consumer.isClosed) {
        const messages = await consumer.read();
        const entries = messages.map((message) => decode(message.subject.slice(base.length), message));
        if (consumer.isClosed) return;
        if (isComplete) { for (const entry of entries) listener({ type: "entry", entry }); }
        else {
          snapshot.push(...entries);
          isComplete = (messages.at(-1)?.pending ?? consumer.pending) === 0;
          if (isComplete && consumer.leftOut > 0) await this.#addLeftOut(snapshot);
          if (consumer.isClosed) return;
          if (isComplete) listener({ type: "snapshot", entries: snapshot });
        }
      }
    } finally {
      consumer.close();
    }
  }

  /** Adds what the server counts and did not deliver: it cannot read it, and perhaps the leader can. */
  async #addLeftOut(snapshot: Entry[]): Promise<void> {
    const { patterns, keys, get } = this.#options;
    const delivered = new Set(snapshot.map(({ key }) => key));
    for (const pattern of patterns) {
      for (const key of await keys(pattern)) {
        const entry = delivered.has(key) ? undefined : await get(key);
        if (entry) snapshot.push(entry);
      }
    }
  }
}
