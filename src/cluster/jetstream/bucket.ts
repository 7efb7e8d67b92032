/**
 * A bucket in JetStream: a key-value bucket (ADR-8) with a time to live by key and delete markers (ADR-43, ADR-48), used through
 * the wire protocol, because the stock client's update drops the time to live and its reads may be stale.
 *
 * @module
 */
import { type Clock, systemClock } from "../clock.ts";
import type { Bucket, BucketWatch, Entry, PutOptions, WatchUpdate } from "../bucket.ts";
import { RevisionConflictError } from "../errors.ts";
import { ErrorCode, request, unexpected } from "./api.ts";
import { type BucketConfig, openStream, streamName, TOMBSTONE_TTL_MS } from "./bucket_config.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import { type JetStreamAddress, jetStreamAddress } from "../../nats/jetstream_address.ts";
import { StreamWatch } from "./watch.ts";

const MS_PER_SECOND = 1000;

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

/** A bucket in JetStream. */
export class JetStreamBucket implements Bucket {
  readonly #connection: NatsConnection;
  readonly #name: string;
  readonly #timeout: number;
  readonly #heartbeat: number;
  readonly #clock: Clock;
  readonly #address: JetStreamAddress;

  private constructor(connection: NatsConnection, name: string, options: Required<JetStreamBucketOptions>) {
    this.#connection = connection;
    this.#name = name;
    this.#timeout = options.timeout;
    this.#heartbeat = options.heartbeat;
    this.#clock = options.clock;
    this.#address = options.address;
  }

  /**
   * Opens a bucket, or makes it.
   *
   * @throws {BucketMismatchError} If it exists with settings that cannot work.
   */
  static async open(
    connection: NatsConnection,
    config: BucketConfig,
    options: JetStreamBucketOptions = {},
  ): Promise<JetStreamBucket> {
    const { timeout = 2000, heartbeat = 2000, clock = systemClock, address = jetStreamAddress() } = options;
    await openStream(connection, config, { timeout, clock, address });
    return new JetStreamBucket(connection, config.bucket, { timeout, heartbeat, clock, address });
  }

  /** Reads from the stream's leader: direct gets may be stale. */
  async get(key: string): Promise<Entry | undefined> {
    const operation = `get ${key}`;
    const answer = await request<StoredMessage>(
      this.#connection,
      `${this.#address.apiPrefix}.STREAM.MSG.GET.${streamName(this.#name)}`,
      JSON.stringify({ last_by_subj: this.#subject(key) }),
      { timeout: this.#timeout, operation },
    );
    if (answer.error?.err_code === ErrorCode.noMessage) return undefined;
    if (answer.error !== undefined || answer.message === undefined) {
      throw unexpected(operation, answer.error ?? { code: 0, err_code: 0, description: "no message" });
    }
    const { seq, data = "", hdrs = "" } = answer.message;
    const removed = isTombstone(new TextDecoder().decode(Uint8Array.fromBase64(hdrs)));
    const value = removed ? undefined : new TextDecoder().decode(Uint8Array.fromBase64(data));
    return { key, revision: seq, value };
  }

  /** Replaces the entry whose revision is `expected`; the time to live is rounded up to whole seconds. */
  async put(key: string, value: string, { expected, ttl, timeout }: PutOptions): Promise<number> {
    const headers = ttl === undefined ? {} : { "Nats-TTL": `${Math.ceil(ttl / MS_PER_SECOND)}s` };
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
    timeout: number = this.#timeout,
  ): Promise<number> {
    const operation = `write ${key}`;
    const subject = this.#address.writePrefix + this.#subject(key);
    const answer = await request<PublishAnswer>(this.#connection, subject, value, {
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
    return answer.seq;
  }

  #subject(key: string): string {
    return `$KV.${this.#name}.${key}`;
  }

  /** Reports a snapshot and then every change, through a consumer that is set up again whenever it may have missed something. */
  watch(patterns: readonly string[], listener: (update: WatchUpdate) => void): BucketWatch {
    const prefix = this.#subject("");
    return new StreamWatch(this.#connection, {
      stream: streamName(this.#name),
      apiPrefix: this.#address.apiPrefix,
      subjects: patterns.map((pattern) => prefix + pattern),
      timeout: this.#timeout,
      heartbeat: this.#heartbeat,
      clock: this.#clock,
      decode: (message, sequence): Entry => ({
        key: message.subject.slice(prefix.length),
        revision: sequence,
        value: isTombstoneMessage(message.headers) ? undefined : new TextDecoder().decode(message.data),
      }),
      listener,
    });
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
