/**
 * Opens what is kept in NATS: by connection or by URL.
 *
 * @module
 */
import { InvalidArgumentError } from "../../errors.ts";
import { BucketUnreachableError } from "../errors.ts";
import { JetStreamBucket } from "./bucket.ts";
import type { NatsConnection } from "./connection.ts";

/** With this a server that stands still silences the client for 5 s, without it for 23 s. */
const CONNECT_TIMEOUT_MS = 2000;
const RECONNECT_WAIT_MS = 200;
const REPLICAS: readonly number[] = [1, 3, 5];

/** Which bucket of the NATS system a cluster is kept in. */
export interface ClusterBucketOptions {
  /**
   * The name of the cluster: letters, digits, `_` and `-`. Its bucket is `aether_cluster_<name>`.
   *
   * @default {"default"}
   */
  readonly cluster?: string;
  /** The number of NATS servers that keep the bucket, when it is made: 1, 3 or 5. @default {1} */
  readonly replicas?: number;
  /** Where the bucket is kept, when it is made. @default {"file"} */
  readonly storage?: "file" | "memory";
}

/** An open bucket. */
export interface OpenBucket {
  /** The bucket. */
  readonly bucket: JetStreamBucket;
  /** Closes the connection, if it was opened here. */
  close(): Promise<void>;
}

/** Opens the bucket of a cluster, or makes it. */
export async function openClusterBucket(
  connection: string | NatsConnection,
  options: ClusterBucketOptions,
): Promise<OpenBucket> {
  const { cluster = "default", replicas = 1, storage = "file" } = options;
  if (typeof cluster !== "string" || !/^[A-Za-z0-9_-]{1,128}$/.test(cluster)) {
    throw new InvalidArgumentError("options.cluster", "must be 1 to 128 letters, digits, _ and -");
  }
  return await openBucket(connection, { bucket: `aether_cluster_${cluster}`, replicas, storage });
}

/** Opens any bucket, or makes it. */
export async function openBucket(
  target: string | NatsConnection,
  config: { readonly bucket: string; readonly replicas: number; readonly storage: "file" | "memory" },
): Promise<OpenBucket> {
  if (!REPLICAS.includes(config.replicas)) {
    throw new InvalidArgumentError("options.replicas", "must be 1, 3 or 5");
  }
  if (config.storage !== "file" && config.storage !== "memory") {
    throw new InvalidArgumentError("options.storage", 'must be "file" or "memory"');
  }
  const opened = typeof target === "string" ? await connectTo(target) : undefined;
  const connection = opened ?? target as NatsConnection;
  const close = async (): Promise<void> => await opened?.close();
  try {
    return { bucket: await JetStreamBucket.open(connection, config), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function connectTo(url: string): Promise<NatsConnection> {
  const { connect } = await import("@nats-io/transport-node");
  try {
    return await connect({
      servers: url.split(","),
      timeout: CONNECT_TIMEOUT_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      pingInterval: 2000,
      maxPingOut: 2,
      noAsyncTraces: true,
    });
  } catch (error) {
    throw new BucketUnreachableError(`connect to ${url}`, { cause: error });
  }
}
