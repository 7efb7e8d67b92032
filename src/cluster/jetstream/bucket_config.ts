/**
 * The stream behind a bucket: how it is made, and what an existing one must be like.
 *
 * @module
 */
import { ConfigurationMismatchError, type SettingDifference } from "../../errors.ts";
import type { Clock } from "../clock.ts";
import type { BucketOrigin } from "../bucket.ts";
import { randomToken } from "../../nats/connection.ts";
import { bucketStream } from "../../nats/jetstream/kv_bucket.ts";
import type { JetStreamRequests } from "../../nats/jetstream/requests.ts";
import type { StreamConfig, StreamInfo } from "../../nats/jetstream/api_types.ts";
import { findOrCreateStream, isOnOneOfMany } from "../../nats/jetstream/streams.ts";

const NANOSECONDS_PER_MS = 1_000_000;
const MICROSECONDS_PER_MS = 1000;
/** How long the server keeps the mark of a value that expired or was removed, in ms. */
export const TOMBSTONE_TTL_MS = 60_000;

/** How a bucket is made, if it does not exist. */
export interface BucketConfig {
  /** The name of the bucket. */
  readonly bucket: string;
  /** The number of servers that keep it: 1, 3 or 5. */
  readonly replicas: number;
  /** Its storage. */
  readonly storage: "file" | "memory";
}

/** The key in the stream's metadata under which the bucket's id is kept. */
const BUCKET_ID = "aether-bucket";

/** A stream behind a bucket. */
export interface BucketStream extends BucketOrigin {
  /** The first levels of the subject of every key, with a dot at the end. */
  readonly base: string;
  /** Whether one server of a cluster keeps it. */
  readonly isOnOneOfMany: boolean;
  /** How it is configured. */
  readonly config: StreamConfig;
}

/**
 * Finds the stream. An existing one is never changed.
 *
 * @throws {StreamNotFoundError} If there is none.
 * @throws {ConfigurationMismatchError} If it has settings that cannot work.
 */
export async function findStream(
  requests: JetStreamRequests,
  { bucket }: BucketConfig,
  clock: Clock,
): Promise<BucketStream> {
  return streamOf(bucket, await requests.streamInfo(bucketStream(bucket)), clock);
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
 * @param options.patience How long each request may wait for a leader or a connection, in ms.
 * @param options.above The highest sequence that is known of an earlier bucket.
 * @param options.signal Ends the opening with the signal's reason.
 * @throws {ConfigurationMismatchError} If it exists with settings that cannot work.
 */
export async function openStream(
  requests: JetStreamRequests,
  config: BucketConfig,
  clock: Clock,
  { patience = 0, above = 0, signal }: {
    readonly patience?: number;
    readonly above?: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<BucketStream> {
  const { bucket } = config;
  const create = (): StreamConfig => streamConfig(config, clock, above);
  const info = await findOrCreateStream(requests, bucketStream(bucket), patience, create, signal);
  return streamOf(bucket, info, clock);
}

function streamConfig(
  { bucket, storage, replicas }: BucketConfig,
  clock: Clock,
  above: number,
): StreamConfig {
  const id = randomToken();
  return {
    name: bucketStream(bucket),
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
    first_seq: Math.max(Math.floor(clock.wall()) * MICROSECONDS_PER_MS, above + 1),
    metadata: { aether: "cluster", [BUCKET_ID]: id },
  };
}

function streamOf(bucket: string, info: StreamInfo, clock: Clock): BucketStream {
  const { config, created, ts = "" } = info;
  // An operator may have made it, without an id of ours.
  const id = (config.metadata as Readonly<Record<string, string>> | undefined)?.[BUCKET_ID];
  const base = id === undefined ? `$KV.${bucket}.` : `$KV.${bucket}.${id}.`;
  compare(bucket, config, [`${base}>`]);
  const age = Math.max(0, Date.parse(ts) - Date.parse(created)) || 0;
  const madeBefore = clock.monotonic() - age;
  return { id: id ?? created, base, madeBefore, isOnOneOfMany: isOnOneOfMany(info), config };
}

/**
 * Refuses a bucket that exists with other settings than its user asks for.
 *
 * @throws {ConfigurationMismatchError} If the number of replicas or the storage is given, and is another one.
 */
export function checkAsked(
  bucket: string,
  { num_replicas = 1, storage: found = "file" }: StreamConfig,
  { replicas, storage }: Partial<Pick<BucketConfig, "replicas" | "storage">>,
): void {
  const differences: SettingDifference[] = [];
  if (replicas !== undefined && replicas !== num_replicas) {
    differences.push({ setting: "num_replicas", expected: replicas, actual: num_replicas });
  }
  if (storage !== undefined && storage !== found) {
    differences.push({ setting: "storage", expected: storage, actual: found });
  }
  if (differences.length > 0) throw new ConfigurationMismatchError("bucket", bucket, differences);
}

function compare(bucket: string, actual: StreamConfig, subjects: readonly string[]): void {
  const differences: SettingDifference[] = [];
  const need = (setting: string, holds: boolean, expected: unknown, value: unknown): void => {
    if (!holds) differences.push({ setting, expected, actual: value });
  };
  const marker = Number(actual["subject_delete_marker_ttl"] ?? 0);
  need("allow_msg_ttl", actual["allow_msg_ttl"] === true, true, actual["allow_msg_ttl"] ?? false);
  need("subject_delete_marker_ttl", marker >= 1000 * NANOSECONDS_PER_MS, "at least 1 s", `${marker} ns`);
  need("max_msgs_per_subject", actual["max_msgs_per_subject"] === 1, 1, actual["max_msgs_per_subject"]);
  need("max_age", actual.max_age === 0, 0, actual.max_age);
  need("max_msgs", actual["max_msgs"] === -1, -1, actual["max_msgs"]);
  need("discard", actual["discard"] === "new", "new", actual["discard"]);
  need("subjects", String(actual["subjects"]) === String(subjects), subjects, actual["subjects"]);
  if (differences.length > 0) throw new ConfigurationMismatchError("bucket", bucket, differences);
}
