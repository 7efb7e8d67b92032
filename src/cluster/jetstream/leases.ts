/**
 * Leases in a JetStream key-value bucket.
 *
 * @module
 */
import { BucketLeaseStore } from "../lease_store.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import { type NamedBucketOptions, type OpenBucket, openNamedBucket } from "./open.ts";

/**
 * Which bucket the leases are kept in, `aether_leases` unless it is named, and how it is reached.
 *
 * @category Cluster
 */
export type JetStreamLeasesOptions = NamedBucketOptions;

/**
 * Leases in a JetStream key-value bucket.
 *
 * @example One of the processes on a network works
 * ```ts
 * import { JetStreamLeases } from "@flowmade-one/aether";
 *
 * // With the URL of a NATS server, such as nats://127.0.0.1:4222.
 * async function report(url: string) {
 *   await using leases = await JetStreamLeases.open(url);
 *   await using lease = await leases.acquire("nightly-report");
 *   while (lease.isHeld) {
 *     // The next step, with `lease.fencingToken` in what it stores.
 *   }
 * }
 * ```
 *
 * @category Cluster
 */
export class JetStreamLeases extends BucketLeaseStore {
  readonly #open: OpenBucket;

  private constructor(open: OpenBucket) {
    super(open.bucket);
    this.#open = open;
  }

  /**
   * Opens the bucket, or makes it.
   *
   * @param urlOrConnection A server's URL, several of them, or a connection, which stays the caller's to close.
   * @param options Which bucket, and how it is reached.
   * @throws {BackendError} If the connection cannot be made.
   * @throws {ConfigurationMismatchError} If it exists with settings that cannot work.
   * @throws {BackendError} If there is no answer.
   * @throws {BackendError} If the server has no JetStream or is too old, or if the NATS user may not use the bucket.
   */
  static async open(
    urlOrConnection: string | readonly string[] | NatsConnection,
    options?: JetStreamLeasesOptions,
  ): Promise<JetStreamLeases> {
    return new JetStreamLeases(await openNamedBucket(urlOrConnection, options, "aether_leases"));
  }

  /** Releases all leases that were acquired here, and closes the connection if it was opened here. */
  override async close(): Promise<void> {
    await super.close();
    await this.#open.close();
  }
}
