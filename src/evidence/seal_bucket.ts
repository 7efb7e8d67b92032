/**
 * A seal in NATS. Nothing of NATS is loaded before one is opened.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { RevisionConflictError } from "../cluster/errors.ts";
import type { LeaseStore } from "../cluster/lease.ts";
import { BucketLeaseStore } from "../cluster/lease_store.ts";
import type { NamedBucketOptions, OpenBucket } from "../cluster/jetstream/open.ts";
import type { NatsConnection } from "../nats/connection.ts";
import { isEqual } from "./bytes.ts";
import type { SealPlace } from "./place.ts";

/** What the keys of leases begin with, which are in the same bucket. */
const LEASES = "lease.";

/**
 * Which bucket the seal is kept in, `aether_seal` unless it is named, and how it is reached.
 *
 * @category Evidence
 */
export type SealBucketOptions = NamedBucketOptions;

/**
 * A seal in a JetStream key-value bucket, a value for each file. Sealers of several processes take its lease.
 *
 * @example A sealer next to the servers
 * ```ts
 * import { JetStreamEventStore, SealBucket, sealLog } from "@flowmade-one/aether";
 *
 * // With the URL of a NATS server, such as nats://127.0.0.1:4222.
 * async function seal(url: string, signal: AbortSignal) {
 *   await using store = await JetStreamEventStore.open(url);
 *   await using bucket = await SealBucket.open(url);
 *   await using run = sealLog(store, bucket, { signer: { file: "seal.key" }, signal });
 *   await run.finished;
 * }
 * ```
 *
 * @category Evidence
 */
export class SealBucket implements SealPlace, AsyncDisposable {
  readonly #open: OpenBucket;
  readonly #leases: BucketLeaseStore;

  private constructor(open: OpenBucket) {
    this.#open = open;
    this.#leases = new BucketLeaseStore(open.bucket, {}, { outlivesBucket: false });
  }

  /**
   * Opens the bucket, or makes it.
   *
   * @param urlOrConnection A server's URL, several of them, or a connection, which stays the caller's to close.
   * @param options Which bucket, and how it is reached.
   * @throws {BackendError} If the connection cannot be made, or the NATS user may not use the bucket.
   * @throws {ConfigurationMismatchError} If it exists with settings that cannot work.
   */
  static async open(
    urlOrConnection: string | readonly string[] | NatsConnection,
    options?: SealBucketOptions,
  ): Promise<SealBucket> {
    const { openNamedBucket } = await import("../cluster/jetstream/open.ts");
    return new SealBucket(await openNamedBucket(urlOrConnection, options, "aether_seal", false));
  }

  /** Reads a file, from the leader of the bucket's stream. */
  async read(path: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    return (await this.#open.bucket.getBytes(path, signal))?.value;
  }

  /** Writes a file if its bytes are the expected ones. */
  async replace(
    path: string,
    bytes: Uint8Array,
    expected: Uint8Array | undefined,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const present = await this.#open.bucket.getBytes(path, signal);
    if (!isEqual(present?.value, expected)) return false;
    return await this.#put(path, bytes, present?.revision ?? 0);
  }

  /** Whether the bucket has no values except leases. */
  async isEmpty(signal?: AbortSignal): Promise<boolean> {
    return !await this.#open.bucket.hasOthers(LEASES, signal);
  }

  /** Removes all files in a folder. */
  async removeFolder(path: string, signal?: AbortSignal): Promise<void> {
    // The last level of such a path follows a dot: `tile/0/000.p/5` has the levels `tile/0/000` and `p/5`.
    await abortable(this.#open.bucket.purge(path.replace(/\.[a-z]+$/, ".*")), signal);
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
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Returns whether no other write came first. */
  async #put(path: string, bytes: Uint8Array, revision: number): Promise<boolean> {
    try {
      await this.#open.bucket.putBytes(path, bytes, revision);
      return true;
    } catch (error) {
      if (error instanceof RevisionConflictError) return false;
      throw error;
    }
  }
}
