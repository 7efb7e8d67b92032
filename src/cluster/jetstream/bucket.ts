/**
 * A bucket in JetStream: a key-value bucket (ADR-8) with a time to live by key and delete markers (ADR-43, ADR-48). It is made
 * again if it is lost, and the sequences of its writes are the fencing tokens.
 *
 * @module
 */
import { type Clock, systemClock } from "../clock.ts";
import type { Bucket, BucketWatch, Entry, PutOptions, WatchUpdate } from "../bucket.ts";
import { bucketLost, RevisionConflictError } from "../errors.ts";
import {
  type BucketConfig,
  type BucketStream,
  findStream,
  openStream,
  TOMBSTONE_TTL_MS,
} from "./bucket_config.ts";
import { bucketError, isUnheard, openError } from "./failures.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import { ConnectionState } from "../../nats/connection_state.ts";
import { AcknowledgementReader } from "../../nats/jetstream/acknowledgement.ts";
import { acknowledgedDomain, type JetStreamAddress, jetStreamAddress } from "../../nats/jetstream/address.ts";
import { ErrorCode, isConflict } from "../../nats/jetstream/error_codes.ts";
import { bucketStream, isRemoval, KvBucket, type KvPutOptions } from "../../nats/jetstream/kv_bucket.ts";
import { Publisher } from "../../nats/jetstream/publisher.ts";
import { JetStreamApiError, NoAnswerError, StreamNotFoundError } from "../../nats/jetstream/api_errors.ts";
import { JetStreamRequests } from "../../nats/jetstream/requests.ts";
import { checkServer } from "../../nats/jetstream/server.ts";
import { headerOf, type MessageBytes, payloadOf } from "../../nats/jetstream/stored_message.ts";
import { OPEN_PATIENCE } from "../../nats/patience.ts";
import { utf8 } from "../../text.ts";
import { StreamWatch } from "./watch.ts";

/** How the bucket is used. */
export interface JetStreamBucketOptions {
  /** How long the server may take to answer, in ms. @default {2000} */
  readonly timeout?: number;
  /** How often the server reports that a watch works, in ms; after 2.5 times that it is set up again. @default {2000} */
  readonly heartbeat?: number;
  /** Time. @default {the process's clocks} */
  readonly clock?: Clock;
  /** The JetStream that the bucket is in. @default {that of the server} */
  readonly address?: JetStreamAddress;
  /** Whether a bucket that is lost is made again. @default {true} */
  readonly remake?: boolean;
  /** How long opening waits for servers that elect their leaders, in ms. @default {15_000} */
  readonly patience?: number;
  /**
   * Finds out whether a bucket is the first of its name: by its id, and by whether it may be, as far as is known here.
   *
   * @default {nothing is known of it}
   */
  readonly isFirst?: (id: string, mayBeFirst: boolean, signal?: AbortSignal) => Promise<boolean>;
  /** Ends the opening with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A value that is no text. */
export interface BytesEntry {
  /** The sequence of its write. */
  readonly revision: number;
  /** The value; `undefined` if it was removed. */
  readonly value: Uint8Array | undefined;
}

/** How the bucket is used, every default filled in. */
type Settings = Required<Omit<JetStreamBucketOptions, "signal">>;

const decoder = new TextDecoder();

/** A bucket in JetStream, until `close()`. */
export class JetStreamBucket implements Bucket {
  readonly #connection: NatsConnection;
  readonly #config: BucketConfig;
  readonly #settings: Settings;
  readonly #state: ConnectionState;
  readonly #requests: JetStreamRequests;
  readonly #watches = new Set<StreamWatch>();
  readonly #publisher: Publisher;
  readonly #values: KvBucket;
  #stream: BucketStream;
  /** The highest sequence that was seen. */
  #highest = 0;
  #reopening: Promise<void> | undefined;

  private constructor(
    state: ConnectionState,
    requests: JetStreamRequests,
    config: BucketConfig,
    settings: Settings,
    opened: BucketStream,
  ) {
    const { timeout, address } = settings;
    this.#connection = state.connection;
    this.#config = config;
    this.#settings = settings;
    this.#state = state;
    this.#requests = requests;
    this.#stream = opened;
    const stream = bucketStream(config.bucket);
    const domain = acknowledgedDomain(address, state.connection);
    const publisher = new Publisher(state, new AcknowledgementReader(stream, domain), { timeout });
    this.#publisher = publisher;
    this.#values = new KvBucket({ stream, requests, publisher, address, domain, patience: timeout });
  }

  /**
   * Opens a bucket, or makes it; waits for servers that elect their leaders.
   *
   * @throws {ConfigurationMismatchError} If it exists with settings that cannot work.
   */
  static async open(
    connection: NatsConnection,
    config: BucketConfig,
    { signal, ...options }: JetStreamBucketOptions = {},
  ): Promise<JetStreamBucket> {
    const settings: Settings = {
      timeout: 2000,
      heartbeat: 2000,
      clock: systemClock,
      address: jetStreamAddress(),
      remake: true,
      patience: OPEN_PATIENCE,
      isFirst: () => Promise.resolve(false),
      ...options,
    };
    const { address, timeout, clock, patience } = settings;
    checkServer(connection, address);
    const state = new ConnectionState(connection);
    let requests: JetStreamRequests | undefined;
    try {
      requests = new JetStreamRequests(state, { timeout, apiPrefix: address.apiPrefix });
      const stream = await openStream(requests, config, clock, { patience, signal });
      const isFirst = await settings.isFirst(stream.id, true, signal);
      return new JetStreamBucket(state, requests, config, settings, { ...stream, isFirst });
    } catch (error) {
      requests?.close();
      state.close();
      signal?.throwIfAborted();
      throw openError(connection, `open bucket ${config.bucket}`, error);
    }
  }

  /** Ends what waits for an answer. The connection stays open. */
  close(): void {
    for (const watch of this.#watches) watch.close();
    this.#watches.clear();
    this.#publisher.close();
    this.#requests.close();
    this.#state.close();
  }

  /** Which stream the calls are for now. */
  get origin(): BucketStream {
    return this.#stream;
  }

  /** Reads from the stream's leader: direct gets may be stale. What the leader cannot read is not taken for nothing. */
  async get(key: string, signal?: AbortSignal): Promise<Entry | undefined> {
    const message = await this.#find(key, signal);
    if (message === "unreadable") return { key, revision: 0, value: "" };
    return message && this.#entry(key, message);
  }

  #find(key: string, signal?: AbortSignal): ReturnType<KvBucket["find"]> {
    return this.#ask(`get ${key}`, ({ base }) => this.#values.find(base + key, signal), signal);
  }

  #entry(key: string, message: MessageBytes): Entry {
    const isGone = isRemoval((name) => headerOf(message, name));
    const value = isGone ? undefined : decoder.decode(payloadOf(message));
    return { key, revision: this.#seen(message.sequence), value };
  }

  /** Replaces the entry whose revision is `expected`; the time to live is rounded up to whole seconds. */
  async put(key: string, value: string, { expected, ttl, timeout }: PutOptions): Promise<number> {
    return await this.#put(key, value, { expected, ttl, timeout });
  }

  /** Replaces the entry whose revision is `expected` by a tombstone, which goes by itself in the end. */
  async remove(key: string, expected: number): Promise<number> {
    return await this.#put(key, "", { expected, ttl: TOMBSTONE_TTL_MS, isRemoval: true });
  }

  /** Reads a value that is no text. */
  async getBytes(key: string, signal?: AbortSignal): Promise<BytesEntry | undefined> {
    const message = await this.#find(key, signal);
    if (message === "unreadable") return { revision: 0, value: new Uint8Array(0) };
    if (!message) return undefined;
    const isGone = isRemoval((name) => headerOf(message, name));
    return { revision: this.#seen(message.sequence), value: isGone ? undefined : payloadOf(message) };
  }

  /** Replaces a value that is no text, whose revision is `expected`. */
  async putBytes(key: string, value: Uint8Array, expected: number): Promise<number> {
    return await this.#putBytes(key, value, { expected });
  }

  /** Deletes all values whose keys a filter chooses, with what a read would find of them. */
  async purge(filter: string): Promise<void> {
    const stream = bucketStream(this.#config.bucket);
    await this.#ask(
      `purge ${filter}`,
      ({ base }) => this.#requests.request(`STREAM.PURGE.${stream}`, { filter: base + filter }),
    );
  }

  /** Whether there are values whose keys do not begin with a prefix. */
  async hasOthers(prefix: string, signal?: AbortSignal): Promise<boolean> {
    return await this.#ask("list keys", async ({ base }) => {
      for await (const message of this.#values.each(`${base}>`, signal)) {
        const isOther = !message.subject.startsWith(base + prefix);
        if (isOther && !isRemoval((name) => headerOf(message, name))) return true;
      }
      return false;
    }, signal);
  }

  #keys(pattern: string): Promise<string[]> {
    return this.#ask(`list ${pattern}`, async ({ base }) => {
      return (await this.#values.keys(base + pattern)).map((subject) => subject.slice(base.length));
    });
  }

  #put(key: string, value: string, options: KvPutOptions): Promise<number> {
    return this.#putBytes(key, utf8(value), options);
  }

  async #putBytes(key: string, value: Uint8Array, options: KvPutOptions): Promise<number> {
    return await this.#ask(`write ${key}`, async ({ base }) => {
      const subject = base + key;
      const outcome = await this.#values.put(subject, value, options);
      if (outcome.status === "stored") return this.#seen(outcome.sequence);
      if (outcome.status === "unknown") throw new NoAnswerError(subject, outcome.cause);
      if (isConflict(outcome.code)) throw new RevisionConflictError(key, options.expected);
      throw new JetStreamApiError(subject, outcome.code, outcome.description);
    });
  }

  #seen(sequence: number): number {
    this.#highest = Math.max(this.#highest, sequence);
    return sequence;
  }

  /** Asks about one stream. If nothing listens, or the stream is missing, looks which one there is now. */
  async #ask<T>(
    operation: string,
    run: (stream: BucketStream) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const stream = this.#stream;
    try {
      return await run(stream);
    } catch (error) {
      signal?.throwIfAborted();
      if (isUnheard(error) || error instanceof StreamNotFoundError) await this.#reopen(stream, operation);
      throw bucketError(this.#connection, operation, error);
    }
  }

  /**
   * Finds the stream that exists now, or makes one.
   *
   * @throws {BackendError} If it is another one, and must not be used in its place.
   */
  async #reopen(lost: BucketStream, operation: string): Promise<void> {
    if (this.#stream !== lost) return;
    this.#reopening ??= this.#look(operation).finally(() => this.#reopening = undefined);
    await this.#reopening;
  }

  async #look(operation: string): Promise<void> {
    const { remake, clock, isFirst } = this.#settings;
    let stream: BucketStream;
    try {
      stream = remake
        ? await openStream(this.#requests, this.#config, clock, { above: this.#highest })
        : await findStream(this.#requests, this.#config, clock);
    } catch (error) {
      throw bucketError(this.#connection, `open bucket ${this.#config.bucket}`, error);
    }
    if (stream.id === this.#stream.id) return; // it has no leader at the moment
    if (!remake) {
      const cause = new StreamNotFoundError(
        bucketStream(this.#config.bucket),
        ErrorCode.streamNotFound,
        "the stream was deleted, and another one is in its place",
      );
      throw bucketLost(operation, { cause });
    }
    await isFirst(stream.id, false); // other processes learn that it is not
    this.#stream = stream;
    for (const watch of this.#watches) watch.restart();
  }

  /** Reports a snapshot and then every change, through a consumer that is set up again whenever it may have missed something. */
  watch(patterns: readonly string[], listener: (update: WatchUpdate) => void): BucketWatch {
    const { timeout, heartbeat, clock } = this.#settings;
    const operation = `watch ${patterns.join(", ")}`;
    const watch = new StreamWatch(this.#state, {
      requests: this.#requests,
      stream: bucketStream(this.#config.bucket),
      patterns,
      base: () => this.#stream.base,
      timeout,
      heartbeat,
      clock,
      decode: (key, message): Entry => this.#entry(key, message),
      keys: (pattern) => this.#keys(pattern),
      get: (key) => this.get(key),
      listener,
      onMissing: () => this.#reopen(this.#stream, "watch"),
      errorOf: (error) => bucketError(this.#connection, operation, error),
    });
    this.#watches.add(watch);
    return {
      close: () => {
        this.#watches.delete(watch);
        watch.close();
      },
    };
  }
}
