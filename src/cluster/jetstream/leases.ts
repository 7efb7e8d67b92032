/**
 * Leases in a JetStream key-value bucket.
 *
 * @module
 */
import { BucketLeaseStore } from "../lease.ts";
import type { NatsConnection } from "./connection.ts";
import { type OpenBucket, openBucket } from "./open.ts";
import { InvalidArgumentError } from "../../errors.ts";

/** Which bucket the leases are kept in. */
export interface JetStreamLeasesOptions {
  /** The name of the bucket: letters, digits, `_` and `-`. @default {"aether_leases"} */
  readonly bucket?: string;
  /** The number of NATS servers that keep the bucket, when it is made: 1, 3 or 5. @default {1} */
  readonly replicas?: number;
  /** Where the bucket is kept, when it is made. @default {"file"} */
  readonly storage?: "file" | "memory";
}

/** Leases in a JetStream key-value bucket. */
export class JetStreamLeases extends BucketLeaseStore {
  readonly #open: OpenBucket;

  private constructor(open: OpenBucket) {
    super(open.bucket);
    this.#open = open;
  }

  /**
   * Opens the bucket, or makes it.
   *
   * @throws {BucketMismatchError} If it exists with settings that cannot work.
   * @throws {BucketUnreachableError} If there is no answer.
   * @throws {JetStreamUnavailableError} If the server has no JetStream, or is too old.
   * @throws {PermissionDeniedError} If the NATS user may not use the bucket.
   */
  static async open(
    connection: string | NatsConnection,
    options: JetStreamLeasesOptions = {},
  ): Promise<JetStreamLeases> {
    const { bucket = "aether_leases", replicas = 1, storage = "file" } = options;
    if (typeof bucket !== "string" || !/^[A-Za-z0-9_-]{1,128}$/.test(bucket)) {
      throw new InvalidArgumentError("options.bucket", "must be 1 to 128 letters, digits, _ and -");
    }
    return new JetStreamLeases(await openBucket(connection, { bucket, replicas, storage }));
  }

  /** Releases all leases that were acquired here, and closes the connection if it was opened here. */
  override async close(): Promise<void> {
    await super.close();
    await this.#open.close();
  }
}
