/**
 * A bucket in JetStream: a key-value bucket (ADR-8) with a time to live by key and delete markers (ADR-43, ADR-48), used through
 * the wire protocol, because the stock client's update drops the time to live and its reads may be stale.
 *
 * @module
 */
import { type Clock, systemClock } from "../clock.ts";
import type { Bucket, BucketOrigin, BucketWatch, Entry, PutOptions, WatchUpdate } from "../bucket.ts";
import {
  BucketLostError,
  BucketUnreachableError,
  EntryTooLargeError,
  RevisionConflictError,
} from "../errors.ts";
import {
  type ApiError,
  asError,
  ErrorCode,
  isUnheard,
  request,
  type RequestOptions,
  unexpected,
} from "./api.ts";
import {
  type BucketConfig,
  type BucketStream,
  findStream,
  openStream,
  streamName,
  TOMBSTONE_TTL_MS,
} from "./bucket_config.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import { type JetStreamAddress, jetStreamAddress } from "../../nats/jetstream/address.ts";
import { utf8 } from "../../text.ts";
import { OPEN_PATIENCE, retryWhile } from "../../nats/patience.ts";
import { StreamWatch } from "./watch.ts";

const MS_PER_SECOND = 1000;
/** What the headers of a write take at most, in bytes. */
const HEADER_BYTES = 256;

/** How the bucket is used. */
export interface JetStreamBucketOptions {
  /** How long the server may take to answer, in ms. @default {2000} */
  readonly timeout?: number;
  /** How often the server says that a watch is alive, in ms; after 2.5 times that it is set up again. @default {2000} */
  readonly heartbeat?: number;
  /** Time. @default {the process's clocks} */
  readonly clock?: Clock;
  /** The JetStream that the bucket is in. @default {that of the server} */
  readonly address?: JetStreamAddress;
  /** Whether a bucket that is lost is made again. @default {true} */
  readonly remake?: boolean;
  /** How long opening waits for servers that elect their leaders, in ms. @default {15_000} */
  readonly patience?: number;
}

interface PublishAnswer {
  readonly seq?: number;
}

interface StoredMessage {
  readonly message?: {
    readonly seq: number;
    readonly data?: string;
    readonly hdrs?: string;
  };
}

/** How the bucket is used, every default filled in. */
type Settings = Required<JetStreamBucketOptions>;

/** A bucket in JetStream. */
export class JetStreamBucket implements Bucket {
  readonly #connection: NatsConnection;
  readonly #config: BucketConfig;
  readonly #settings: Settings;
  readonly #watches = new Set<StreamWatch>();
  #stream: BucketStream;
  /** The highest sequence that was seen. */
  #highest = 0;
  #reopening: Promise<void> | undefined;

  private constructor(
    connection: NatsConnection,
    config: BucketConfig,
    settings: Settings,
    stream: BucketStream,
  ) {
    this.#connection = connection;
    this.#config = config;
    this.#settings = settings;
    this.#stream = stream;
  }

  /**
   * Opens a bucket, or makes it; waits for servers that elect their leaders.
   *
   * @throws {ConfigurationMismatchError} If it exists with settings that cannot work.
   */
  static async open(
    connection: NatsConnection,
    config: BucketConfig,
    options: JetStreamBucketOptions = {},
  ): Promise<JetStreamBucket> {
    const settings: Settings = {
      timeout: 2000,
      heartbeat: 2000,
      clock: systemClock,
      address: jetStreamAddress(),
      remake: true,
      patience: OPEN_PATIENCE,
      ...options,
    };
    const { patience } = settings;
    const stream = await retryWhile(
      { patience, isMomentary: (error) => error instanceof BucketUnreachableError },
      () => openStream(connection, config, settings),
    );
    return new JetStreamBucket(connection, config, settings, stream);
  }

  /** Which stream the calls are for now. */
  get origin(): BucketOrigin {
    return this.#stream;
  }

  /** Reads from the stream's leader: direct gets may be stale. */
  async get(key: string): Promise<Entry | undefined> {
    const operation = `get ${key}`;
    const stream = this.#stream;
    const { address, timeout } = this.#settings;
    const answer = await this.#request<StoredMessage>(
      stream,
      `${address.apiPrefix}.STREAM.MSG.GET.${streamName(this.#config.bucket)}`,
      JSON.stringify({ last_by_subj: stream.base + key }),
      { timeout, operation },
    );
    if (answer.error?.err_code === ErrorCode.noMessage) return undefined;
    if (answer.error !== undefined || answer.message === undefined) {
      throw unexpected(operation, answer.error ?? { code: 0, err_code: 0, description: "no message" });
    }
    const { seq, data = "", hdrs = "" } = answer.message;
    const removed = isTombstone(new TextDecoder().decode(Uint8Array.fromBase64(hdrs)));
    const value = removed ? undefined : new TextDecoder().decode(Uint8Array.fromBase64(data));
    return { key, revision: this.#seen(seq), value };
  }

  /** Replaces the entry whose revision is `expected`; the time to live is rounded up to whole seconds. */
  async put(key: string, value: string, { expected, ttl, timeout }: PutOptions): Promise<number> {
    const headers: Record<string, string> = ttl === undefined
      ? {}
      : { "Nats-TTL": `${Math.ceil(ttl / MS_PER_SECOND)}s` };
    return await this.#publish(key, value, expected, headers, timeout);
  }

  /** Replaces the entry whose revision is `expected` by a tombstone, which goes by itself in the end. */
  async remove(key: string, expected: number): Promise<number> {
    return await this.#publish(key, "", expected, {
      "KV-Operation": "DEL",
      "Nats-TTL": `${TOMBSTONE_TTL_MS / MS_PER_SECOND}s`,
    });
  }

  async #publish(
    key: string,
    value: string,
    expected: number,
    headers: Record<string, string>,
    timeout: number = this.#settings.timeout,
  ): Promise<number> {
    const operation = `write ${key}`;
    const stream = this.#stream;
    const limit = this.#connection.info?.max_payload ?? Infinity;
    const size = utf8(value).length + HEADER_BYTES;
    if (size > limit) throw new EntryTooLargeError(key, size, limit);
    const subject = this.#settings.address.writePrefix + stream.base + key;
    const answer = await this.#request<PublishAnswer>(stream, subject, value, {
      timeout,
      operation,
      headers: { ...headers, "Nats-Expected-Last-Subject-Sequence": String(expected) },
    });
    const code = answer.error?.err_code;
    if (code === ErrorCode.wrongLastSequence || code === ErrorCode.writeInFlight) {
      throw new RevisionConflictError(key, expected);
    }
    if (answer.error !== undefined) throw unexpected(operation, answer.error);
    if (answer.seq === undefined || answer.seq === 0) {
      throw unexpected(operation, {
        code: 0,
        err_code: 0,
        description: "an acknowledgement without a sequence",
      });
    }
    return this.#seen(answer.seq);
  }

  #seen(sequence: number): number {
    this.#highest = Math.max(this.#highest, sequence);
    return sequence;
  }

  /** Asks about one stream. If nothing hears the question, or the stream is missing, looks which one there is now. */
  async #request<T>(
    stream: BucketStream,
    subject: string,
    payload: string,
    options: RequestOptions,
  ): Promise<T & { readonly error?: ApiError }> {
    let answer: T & { readonly error?: ApiError };
    try {
      answer = await request<T>(this.#connection, subject, payload, options);
    } catch (error) {
      if (!isUnheard(error)) throw error;
      await this.#reopen(stream, options.operation);
      throw error;
    }
    if (answer.error?.err_code === ErrorCode.streamNotFound) {
      await this.#reopen(stream, options.operation);
      throw new BucketLostError(options.operation, { cause: asError(answer.error) });
    }
    return answer;
  }

  /**
   * Finds the stream that is there now, or makes one.
   *
   * @throws {BucketLostError} If it is another one, and must not be used in its place.
   */
  async #reopen(lost: BucketStream, operation: string): Promise<void> {
    if (this.#stream !== lost) return;
    this.#reopening ??= this.#look(operation).finally(() => this.#reopening = undefined);
    await this.#reopening;
  }

  async #look(operation: string): Promise<void> {
    const { remake } = this.#settings;
    const stream = remake
      ? await openStream(this.#connection, this.#config, this.#settings, this.#highest)
      : await findStream(this.#connection, this.#config, this.#settings);
    if (stream.id === this.#stream.id) return; // it has no leader at the moment
    if (!remake) {
      const cause = new Error(
        "JetStream error 10059: the stream was deleted, and another one is in its place",
      );
      throw new BucketLostError(operation, { cause });
    }
    this.#stream = stream;
    for (const watch of this.#watches) watch.restart();
  }

  /** Reports a snapshot and then every change, through a consumer that is set up again whenever it may have missed something. */
  watch(patterns: readonly string[], listener: (update: WatchUpdate) => void): BucketWatch {
    const { address, timeout, heartbeat, clock } = this.#settings;
    const watch = new StreamWatch(this.#connection, {
      stream: streamName(this.#config.bucket),
      apiPrefix: address.apiPrefix,
      patterns,
      base: () => this.#stream.base,
      timeout,
      heartbeat,
      clock,
      decode: (key, message, sequence): Entry => ({
        key,
        revision: this.#seen(sequence),
        value: isTombstoneMessage(message.headers) ? undefined : new TextDecoder().decode(message.data),
      }),
      listener,
      onMissing: () => this.#reopen(this.#stream, "watch"),
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

/** Removals carry an operation, expiries the marker's reason. */
function isTombstone(headers: string): boolean {
  return /^(KV-Operation: *(DEL|PURGE)|Nats-Marker-Reason:)/mi.test(headers);
}

function isTombstoneMessage(headers: { get(name: string): string } | undefined): boolean {
  if (headers === undefined) return false;
  return headers.get("KV-Operation") !== "" || headers.get("Nats-Marker-Reason") !== "";
}
