/**
 * Opens what is kept in NATS: by connection or by URL.
 *
 * @module
 */
import { abortable } from "../../abortable.ts";
import { InvalidArgumentError } from "../../errors.ts";
import { describe } from "../../text.ts";
import { type ConnectOptions, openConnection, type OpenedConnection } from "../../nats/connect.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import {
  type JetStreamAddress,
  jetStreamAddress,
  type JetStreamAddressOptions,
} from "../../nats/jetstream/address.ts";
import { checkFunction, checkKnown, type OptionNames, readOptions } from "../../options.ts";
import { warner, type Warning } from "../../warning.ts";
import { isFirstBucket } from "../first_bucket.ts";
import { JetStreamBucket } from "./bucket.ts";
import { type BucketConfig, checkAsked } from "./bucket_config.ts";
import { bucketStream } from "../../nats/jetstream/kv_bucket.ts";
import { replicasLeftOut } from "../../nats/jetstream/streams.ts";

/** Leases must notice soon that a server is suspended. */
const LIVELINESS = { pingInterval: 2_000, maxPingOut: 2 };
/** The server's default. */
const DEFAULT_MAX_PAYLOAD = 1024 * 1024;
const REPLICAS: readonly number[] = [1, 3, 5];
/** The bucket that keeps which bucket of each cluster was the first. */
const REGISTER = "aether_clusters";
/** How long its servers may elect a leader, in milliseconds: a cluster starts without it too, only later. */
const REGISTER_PATIENCE = 2_000;

/** How a bucket in NATS is made, and reached. */
export interface BucketOptions extends JetStreamAddressOptions {
  /**
   * The number of NATS servers that keep the bucket: 1, 3 or 5. One that exists with another number is refused; without
   * this option it is used as it is.
   *
   * @default {1, when it is made}
   */
  readonly replicas?: number;
  /**
   * Where the bucket is kept. One that is kept elsewhere is refused; without this option it is used as it is.
   *
   * @default {"file", when it is made}
   */
  readonly storage?: "file" | "memory";
  /** How to connect, if a URL is given: credentials, for one. */
  readonly connect?: ConnectOptions;
  /**
   * Called with what goes wrong in the background, such as `credentials-refused`.
   *
   * @default {console.warn, once for each code and minute}
   */
  readonly onWarning?: (warning: Warning) => void;
}

/** Which bucket of the NATS system a cluster is kept in. */
export interface ClusterBucketOptions extends BucketOptions {
  /**
   * The name of the cluster: letters, digits, `_` and `-`. Its bucket is `aether_cluster_<name>`.
   *
   * @default {"default"}
   */
  readonly cluster?: string;
}

/** Which bucket of the NATS system is meant, by its name. */
export interface NamedBucketOptions extends BucketOptions {
  /** The name of the bucket: letters, digits, `_` and `-`. */
  readonly bucket?: string;
}

const BUCKET_OPTIONS: OptionNames<BucketOptions> = {
  replicas: true,
  storage: true,
  connect: true,
  onWarning: true,
  domain: true,
  apiPrefix: true,
};
/** The names of {@linkcode ClusterBucketOptions}. */
export const CLUSTER_BUCKET_OPTIONS: OptionNames<ClusterBucketOptions> = { ...BUCKET_OPTIONS, cluster: true };
const NAMED_BUCKET_OPTIONS: OptionNames<NamedBucketOptions> = { ...BUCKET_OPTIONS, bucket: true };

/** An open bucket. */
export interface OpenBucket {
  /** The bucket. */
  readonly bucket: JetStreamBucket;
  /** The most bytes that a message may have there. */
  readonly maxPayload: number;
  /** Ends the use of the bucket, and closes the connection if it was opened here. */
  close(): Promise<void>;
}

/**
 * Opens the bucket of a cluster, or makes it.
 *
 * @param signal Ends the opening with the signal's reason.
 */
export async function openClusterBucket(
  target: string | readonly string[] | NatsConnection,
  given: ClusterBucketOptions,
  signal?: AbortSignal,
): Promise<OpenBucket> {
  const { cluster = "default", ...options } = checkClusterBucket(given);
  const rest = { isRegistered: true, ...(signal && { signal }) };
  return await open("cluster", target, `aether_cluster_${cluster}`, options, rest);
}

/**
 * Checks which bucket of a NATS system is meant, also for a cluster in memory: what is refused in production is refused in
 * a test.
 *
 * @throws {InvalidArgumentError} If an option cannot work.
 */
export function checkClusterBucket(options: ClusterBucketOptions): ClusterBucketOptions {
  checkName("options.cluster", options.cluster ?? "default");
  checkBucket(options);
  return options;
}

/**
 * Opens a bucket by its name, or makes it.
 *
 * @param remake Whether a bucket that is lost while it is used is made again.
 */
export async function openNamedBucket(
  target: string | readonly string[] | NatsConnection,
  given: NamedBucketOptions | undefined,
  defaultName: string,
  remake = true,
): Promise<OpenBucket> {
  const { bucket: name = defaultName, ...options } = readOptions(given, ({ ...fields }) => {
    checkKnown<NamedBucketOptions>(fields, NAMED_BUCKET_OPTIONS);
    return fields;
  });
  checkName("options.bucket", name);
  return await open("urlOrConnection", target, name, options, { remake });
}

/** What the callers of {@linkcode open} do not share. */
interface OpenSettings {
  readonly remake?: boolean;
  /** Whether it is kept which bucket was the first of its name. */
  readonly isRegistered?: boolean;
  readonly signal?: AbortSignal;
}

async function open(
  argument: string,
  target: string | readonly string[] | NatsConnection,
  bucket: string,
  options: BucketOptions,
  { remake = true, isRegistered = false, signal }: OpenSettings,
): Promise<OpenBucket> {
  const address = checkBucket(options);
  const { replicas, storage, connect = {}, onWarning } = options;
  const warn = warner(onWarning);
  const client = { ...LIVELINESS, ...connect.client };
  const { connection, opened } = await connectUntil(
    openConnection(argument, target, { ...connect, client }, warn),
    signal,
  );
  let open: JetStreamBucket | undefined;
  const close = async (): Promise<void> => {
    open?.close();
    if (opened) await connection.close();
  };
  try {
    const config = { bucket, replicas: replicas ?? 1, storage: storage ?? "file" } as const;
    open = await JetStreamBucket.open(connection, config, {
      address,
      remake,
      ...(signal && { signal }),
      ...(isRegistered && {
        isFirst: (...which) => lookUp(connection, address, config, ...which),
      }),
    });
    signal?.throwIfAborted();
    checkAsked(bucket, open.origin.config, {
      ...(replicas !== undefined && { replicas }),
      ...(storage !== undefined && { storage }),
    });
    if (replicas === undefined && open.origin.isOnOneOfMany) warn(replicasLeftOut(bucketStream(bucket)));
    return { bucket: open, maxPayload: connection.info?.max_payload ?? DEFAULT_MAX_PAYLOAD, close };
  } catch (error) {
    await abortable(close(), signal);
    throw error;
  }
}

/** Checks how a bucket is made and reached, and returns the JetStream that it is in. */
function checkBucket({ replicas, storage, onWarning, ...where }: BucketOptions): JetStreamAddress {
  if (replicas !== undefined && !REPLICAS.includes(replicas)) {
    throw new InvalidArgumentError("options.replicas", `must be 1, 3 or 5, and is ${describe(replicas)}`);
  }
  if (storage !== undefined && storage !== "file" && storage !== "memory") {
    throw new InvalidArgumentError(
      "options.storage",
      `must be "file" or "memory", and is ${describe(storage)}`,
    );
  }
  checkFunction("options.onWarning", onWarning);
  return jetStreamAddress(where);
}

/** Waits for a connection. One that is made after the signal has aborted is closed. */
async function connectUntil(
  connecting: Promise<OpenedConnection>,
  signal: AbortSignal | undefined,
): Promise<OpenedConnection> {
  const waited = abortable(connecting, signal);
  waited.catch(async () => {
    const { connection, opened } = await connecting;
    if (opened) await connection.close();
  }).catch(() => {}); // It could not be made.
  return await waited;
}

/** Whether a bucket is the first of its name; if that cannot be learned, it counts as one that was made again. */
async function lookUp(
  connection: NatsConnection,
  address: JetStreamAddress,
  { bucket, replicas }: BucketConfig,
  id: string,
  mayBeFirst: boolean,
  signal?: AbortSignal,
): Promise<boolean> {
  let register: JetStreamBucket | undefined;
  try {
    const settings = { address, remake: false, patience: REGISTER_PATIENCE, ...(signal && { signal }) };
    register = await JetStreamBucket.open(
      connection,
      { bucket: REGISTER, replicas, storage: "file" },
      settings,
    );
    return await abortable(isFirstBucket(register, bucket, id, mayBeFirst), signal);
  } catch {
    return false;
  } finally {
    register?.close();
  }
}

function checkName(argument: string, name: unknown): void {
  if (typeof name === "string" && /^[A-Za-z0-9_-]{1,128}$/.test(name)) return;
  throw new InvalidArgumentError(
    argument,
    `must be 1 to 128 letters, digits, _ and -, and is ${describe(name)}`,
  );
}
