/**
 * Checkpoints in a JetStream key-value bucket. Nothing of NATS is loaded before one is opened.
 *
 * @module
 */

import { RevisionConflictError } from "../cluster/errors.ts";
import { BucketLeaseStore, type LeaseStore } from "../cluster/lease.ts";
import { escapeName } from "../cluster/names.ts";
import { InvalidArgumentError } from "../errors.ts";
import type { NatsConnection } from "../cluster/jetstream/connection.ts";
import type { OpenBucket } from "../cluster/jetstream/open.ts";
import type { CheckpointStore, StoredCheckpoint } from "./checkpoints.ts";
import { CheckpointConflictError, type ProjectionId } from "./errors.ts";

/** Which bucket the checkpoints are kept in. */
export interface JetStreamCheckpointsOptions {
  /** The name of the bucket: letters, digits, `_` and `-`. @default {"aether_projections"} */
  readonly bucket?: string;
  /** The number of NATS servers that keep the bucket, when it is made: 1, 3 or 5. @default {1} */
  readonly replicas?: number;
  /** Where the bucket is kept, when it is made. @default {"file"} */
  readonly storage?: "file" | "memory";
}

/**
 * Checkpoints in a JetStream key-value bucket, by compare-and-set on the leader of its stream. Handlers are called at least once:
 * NATS has no transaction over a checkpoint and a read model elsewhere.
 */
export class JetStreamCheckpoints implements CheckpointStore {
  readonly #open: OpenBucket;
  readonly #leases: BucketLeaseStore;

  private constructor(open: OpenBucket) {
    this.#open = open;
    this.#leases = new BucketLeaseStore(open.bucket);
  }

  /**
   * Opens the bucket, or makes it.
   *
   * @param connection A URL, or a connection, which stays the caller's to close.
   * @throws {BucketMismatchError} If it exists with settings that cannot work.
   * @throws {BucketUnreachableError} If there is no answer.
   * @throws {JetStreamUnavailableError} If the server has no JetStream, or is too old.
   * @throws {PermissionDeniedError} If the NATS user may not use the bucket.
   */
  static async open(
    connection: string | NatsConnection,
    options: JetStreamCheckpointsOptions = {},
  ): Promise<JetStreamCheckpoints> {
    const { bucket = "aether_projections", replicas = 1, storage = "file" } = options;
    if (typeof bucket !== "string" || !/^[A-Za-z0-9_-]{1,128}$/.test(bucket)) {
      throw new InvalidArgumentError("options.bucket", "must be 1 to 128 letters, digits, _ and -");
    }
    const { openBucket } = await import("../cluster/jetstream/open.ts");
    return new JetStreamCheckpoints(await openBucket(connection, { bucket, replicas, storage }));
  }

  /** Reads a checkpoint, from the leader. */
  async load(id: ProjectionId): Promise<StoredCheckpoint | undefined> {
    const entry = await this.#open.bucket.get(keyOf(id));
    if (entry?.value === undefined) return undefined;
    return { value: entry.value, revision: String(entry.revision) };
  }

  /** Replaces a checkpoint. */
  async save(id: ProjectionId, value: string, expected: string | undefined): Promise<string> {
    try {
      const revision = await this.#open.bucket.put(keyOf(id), value, { expected: Number(expected ?? 0) });
      return String(revision);
    } catch (cause) {
      throw cause instanceof RevisionConflictError ? new CheckpointConflictError(id, { cause }) : cause;
    }
  }

  /** All checkpoints. */
  async list(): Promise<readonly StoredCheckpoint[]> {
    const { promise, resolve } = Promise.withResolvers<readonly StoredCheckpoint[]>();
    const watch = this.#open.bucket.watch([PREFIX + ">"], (update) => {
      if (update.type !== "snapshot") return;
      resolve(
        update.entries.flatMap(({ value, revision }) =>
          value === undefined ? [] : [{ value, revision: String(revision) }]
        ),
      );
    });
    try {
      return await promise;
    } finally {
      watch.close();
    }
  }

  /** Leases in the same bucket. */
  leases(): Promise<LeaseStore> {
    return Promise.resolve(this.#leases);
  }

  /** Releases its leases, and closes the connection if it was opened here. */
  async close(): Promise<void> {
    await this.#leases.close();
    await this.#open.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const PREFIX = "checkpoint.";

function keyOf({ name, version }: ProjectionId): string {
  return `${PREFIX}${escapeName(name)}.${version}`;
}
