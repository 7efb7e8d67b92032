/**
 * The stream behind a bucket: how it is made, and what an existing one must be like.
 *
 * @module
 */
import { ConfigurationMismatchError, type SettingDifference } from "../../errors.ts";
import type { Clock } from "../clock.ts";
import type { BucketOrigin } from "../bucket.ts";
import { BucketLostError, JetStreamUnavailableError } from "../errors.ts";
import { type ApiError, asError, ErrorCode, request, unexpected } from "./api.ts";
import { type NatsConnection, randomToken } from "../../nats/connection.ts";
import type { JetStreamAddress } from "../../nats/jetstream/address.ts";

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
  readonly metadata?: Readonly<Record<string, string>>;
}

interface StreamAnswer {
  readonly config?: StreamConfig;
  /** When the stream was made, RFC 3339. */
  readonly created?: string;
  /** The time by the server's clock, RFC 3339. */
  readonly ts?: string;
}

/** The key in the stream's metadata under which the bucket's id is kept. */
const BUCKET_ID = "aether-bucket";

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

/** A stream behind a bucket. */
export interface BucketStream extends BucketOrigin {
  /** The first levels of the subject of every key, with a dot at the end. */
  readonly base: string;
}

/**
 * Finds the stream. An existing one is never changed.
 *
 * @throws {BucketLostError} If there is none.
 */
export async function findStream(
  connection: NatsConnection,
  { bucket }: BucketConfig,
  options: OpenStreamOptions,
): Promise<BucketStream> {
  checkServer(connection);
  const answer = await ask(connection, bucket, "INFO", "", options);
  if (answer.error?.err_code === ErrorCode.streamNotFound) {
    throw new BucketLostError(`open bucket ${bucket}`, { cause: asError(answer.error) });
  }
  return streamOf(bucket, answer, options);
}

/**
 * Opens the stream, or makes it.
 *
 * Its first sequence is the time in microseconds: sequences are the fencing tokens, and those of a bucket that is made again must
 * be above all earlier ones. A bucket would have to take more than a million writes a second for as long as it
 * exists to get ahead of the clock, so it is enough that the clock is never set back to before the old bucket was made.
 * 2^53 microseconds end in the year 2255.
 *
 * A random id is a level of every subject: what was meant for an earlier bucket of the same name finds no stream.
 *
 * @param above The highest sequence that is known of an earlier bucket.
 */
export async function openStream(
  connection: NatsConnection,
  config: BucketConfig,
  options: OpenStreamOptions,
  above = 0,
): Promise<BucketStream> {
  try {
    return await findStream(connection, config, options);
  } catch (error) {
    if (!(error instanceof BucketLostError)) throw error;
  }
  const { bucket, storage, replicas } = config;
  const id = randomToken();
  const first = Math.max(Math.floor(options.clock.wall()) * MICROSECONDS_PER_MS, above + 1);
  const answer = await ask(
    connection,
    bucket,
    "CREATE",
    JSON.stringify({
      name: streamName(bucket),
      subjects: [`$KV.${bucket}.${id}.>`],
      retention: "limits",
      storage,
      num_replicas: replicas,
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
      first_seq: first,
      metadata: { aether: "cluster", [BUCKET_ID]: id },
    }),
    options,
  );
  // Another process was faster.
  if (answer.error?.err_code === ErrorCode.streamNameInUse) {
    return await findStream(connection, config, options);
  }
  return streamOf(bucket, answer, options);
}

async function ask(
  connection: NatsConnection,
  bucket: string,
  verb: "INFO" | "CREATE",
  body: string,
  { address, timeout }: OpenStreamOptions,
): Promise<StreamAnswer & { readonly error?: ApiError }> {
  const subject = `${address.apiPrefix}.STREAM.${verb}.${streamName(bucket)}`;
  return await request<StreamAnswer>(connection, subject, body, {
    timeout,
    operation: `open bucket ${bucket}`,
  });
}

function streamOf(
  bucket: string,
  { error, config, created = "", ts = "" }: StreamAnswer & { readonly error?: ApiError },
  { clock }: OpenStreamOptions,
): BucketStream {
  if (error !== undefined || config === undefined) {
    throw unexpected(
      `open bucket ${bucket}`,
      error ?? { code: 0, err_code: 0, description: "no configuration" },
    );
  }
  // An operator may have made it, without an id of ours.
  const id = config.metadata?.[BUCKET_ID];
  const base = id === undefined ? `$KV.${bucket}.` : `$KV.${bucket}.${id}.`;
  compare(bucket, config, [`${base}>`]);
  const age = Math.max(0, Date.parse(ts) - Date.parse(created)) || 0;
  return { id: id ?? created, base, madeBefore: clock.monotonic() - age };
}

function compare(bucket: string, actual: StreamConfig, subjects: readonly string[]): void {
  const differences: SettingDifference[] = [];
  const need = (setting: string, holds: boolean, expected: unknown, value: unknown): void => {
    if (!holds) differences.push({ setting, expected, actual: value });
  };
  const marker = actual.subject_delete_marker_ttl ?? 0;
  need("allow_msg_ttl", actual.allow_msg_ttl === true, true, actual.allow_msg_ttl ?? false);
  need("subject_delete_marker_ttl", marker >= 1000 * NANOSECONDS_PER_MS, "at least 1 s", `${marker} ns`);
  need("max_msgs_per_subject", actual.max_msgs_per_subject === 1, 1, actual.max_msgs_per_subject);
  need("max_age", actual.max_age === 0, 0, actual.max_age);
  need("max_msgs", actual.max_msgs === -1, -1, actual.max_msgs);
  need("discard", actual.discard === "new", "new", actual.discard);
  need("subjects", String(actual.subjects) === String(subjects), subjects, actual.subjects);
  if (differences.length > 0) throw new ConfigurationMismatchError("bucket", bucket, differences);
}

function checkServer({ info }: NatsConnection): void {
  if (info === undefined) return; // the connection is away, and the request says so
  if (info.jetstream === false) {
    throw new JetStreamUnavailableError(
      `The NATS server "${info.server_name}" does not run JetStream for this account. Enable it in the server`,
    );
  }
  const [major = 0, minor = 0] = info.version.split(".").map(Number);
  if (major > MIN_SERVER[0] || (major === MIN_SERVER[0] && minor >= MIN_SERVER[1])) return;
  throw new JetStreamUnavailableError(
    `NATS server ${
      MIN_SERVER.join(".")
    } or newer is needed for leases, this one is "${info.version}": update it`,
  );
}
