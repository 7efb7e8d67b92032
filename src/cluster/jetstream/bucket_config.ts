/**
 * The stream behind a bucket: how it is made, and what an existing one must be like.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import { type BucketDifference, BucketMismatchError, JetStreamUnavailableError } from "../errors.ts";
import { type ApiError, ErrorCode, request, unexpected } from "./api.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import type { JetStreamAddress } from "../../nats/jetstream_address.ts";

const NANOSECONDS_PER_MS = 1_000_000;
const MICROSECONDS_PER_MS = 1000;
/** How long the server keeps the mark of a value that expired or was removed, in ms. */
export const TOMBSTONE_TTL_MS = 60_000;
/** Markers and message TTLs came with 2.11; the library is tested from 2.12. */
const MIN_SERVER: readonly [number, number] = [2, 12];

/** How a bucket is made, if it is not there. */
export interface BucketConfig {
  /** The name of the bucket. */
  readonly bucket: string;
  /** The number of servers that keep it: 1, 3 or 5. */
  readonly replicas: number;
  /** Where it is kept. */
  readonly storage: "file" | "memory";
}

interface StreamConfig {
  readonly name: string;
  readonly subjects?: readonly string[];
  readonly max_msgs_per_subject: number;
  readonly max_age: number;
  readonly max_msgs: number;
  readonly max_bytes: number;
  readonly allow_msg_ttl?: boolean;
  readonly subject_delete_marker_ttl?: number;
  readonly retention?: string;
  readonly discard?: string;
  readonly mirror?: unknown;
  readonly sources?: readonly unknown[];
}

interface StreamAnswer {
  readonly config?: StreamConfig;
}

/** How the stream is opened. */
export interface OpenStreamOptions {
  /** How long the server may take to answer, in ms. */
  readonly timeout: number;
  /** Time. */
  readonly clock: Clock;
  /** The JetStream that it is in. */
  readonly address: JetStreamAddress;
}

/** The name of the stream behind a bucket (ADR-8). */
export function streamName(bucket: string): string {
  return `KV_${bucket}`;
}

/**
 * Opens the stream, or makes it. An existing one is never changed.
 *
 * Its first sequence is the time in microseconds: sequences are the fencing tokens, and those of a bucket that is made again must
 * be above all earlier ones. A bucket would have to take more than a million writes a second for as long as it
 * exists to get ahead of the clock, so it is enough that the clock is never set back to before the old bucket was made.
 * 2^53 microseconds end in the year 2255.
 */
export async function openStream(
  connection: NatsConnection,
  config: BucketConfig,
  { timeout, clock, address }: OpenStreamOptions,
): Promise<void> {
  checkVersion(connection);
  const name = streamName(config.bucket);
  const wanted = {
    name,
    subjects: [`$KV.${config.bucket}.>`],
    retention: "limits",
    storage: config.storage,
    num_replicas: config.replicas,
    discard: "new",
    max_msgs_per_subject: 1,
    max_msgs: -1,
    max_bytes: -1,
    max_msg_size: -1,
    max_age: 0,
    allow_msg_ttl: true,
    subject_delete_marker_ttl: TOMBSTONE_TTL_MS * NANOSECONDS_PER_MS,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_direct: true,
    first_seq: Math.floor(clock.wall()) * MICROSECONDS_PER_MS,
    metadata: { aether: "cluster" },
  };
  const ask = (
    verb: "INFO" | "CREATE",
    body: string,
  ): Promise<StreamAnswer & { readonly error?: ApiError }> =>
    request<StreamAnswer>(connection, `${address.apiPrefix}.STREAM.${verb}.${name}`, body, {
      timeout,
      operation: `open bucket ${config.bucket}`,
    });
  let answer = await ask("INFO", "");
  if (answer.error?.err_code === ErrorCode.streamNotFound) {
    answer = await ask("CREATE", JSON.stringify(wanted));
  }
  if (answer.error?.err_code === ErrorCode.streamNameInUse) answer = await ask("INFO", "");
  if (answer.error !== undefined) throw unexpected(`open bucket ${config.bucket}`, answer.error);
  if (answer.config !== undefined) compare(config.bucket, answer.config, wanted.subjects);
}

function compare(bucket: string, actual: StreamConfig, subjects: readonly string[]): void {
  const differences: BucketDifference[] = [];
  const need = (setting: string, holds: boolean, expected: unknown, value: unknown): void => {
    if (!holds) differences.push({ setting, expected: String(expected), actual: String(value) });
  };
  const marker = actual.subject_delete_marker_ttl ?? 0;
  need("allow_msg_ttl", actual.allow_msg_ttl === true, true, actual.allow_msg_ttl ?? false);
  need("subject_delete_marker_ttl", marker >= 1000 * NANOSECONDS_PER_MS, "at least 1 s", `${marker} ns`);
  need("max_msgs_per_subject", actual.max_msgs_per_subject === 1, 1, actual.max_msgs_per_subject);
  need("max_age", actual.max_age === 0, 0, actual.max_age);
  need("max_msgs", actual.max_msgs === -1, -1, actual.max_msgs);
  need("discard", actual.discard === "new", "new", actual.discard);
  need("subjects", String(actual.subjects) === String(subjects), subjects, actual.subjects);
  if (differences.length > 0) throw new BucketMismatchError(bucket, differences);
}

function checkVersion(connection: NatsConnection): void {
  const version = connection.info?.version ?? "";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > MIN_SERVER[0] || (major === MIN_SERVER[0] && minor >= MIN_SERVER[1])) return;
  throw new JetStreamUnavailableError(
    `NATS server ${MIN_SERVER.join(".")} or newer is needed for leases, this one is "${version}": update it`,
  );
}
