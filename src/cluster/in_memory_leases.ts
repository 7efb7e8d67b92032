/**
 * Leases within one process.
 *
 * @module
 */
import { InMemoryBucket } from "./in_memory_bucket.ts";
import type { LeaseEnvironment } from "./lease.ts";
import { BucketLeaseStore } from "./lease_store.ts";

/**
 * Leases within one process, for tests and applications on a single machine.
 *
 * @example Hold a lease
 * ```ts
 * import { InMemoryLeases } from "@flowmade-one/aether/cluster";
 * import assert from "node:assert/strict";
 *
 * await using leases = new InMemoryLeases();
 * const lease = await leases.acquire("nightly-report", { holder: "worker 1" });
 * assert(lease.isHeld);
 * assert.equal(await leases.tryAcquire("nightly-report"), undefined);
 * await lease.release();
 * const next = await leases.acquire("nightly-report");
 * assert(next.fencingToken > lease.fencingToken);
 * ```
 *
 * @category Cluster
 */
export class InMemoryLeases extends BucketLeaseStore {
  /** Starts with leases of its own, or shares a bucket with others. */
  constructor(bucket?: InMemoryBucket, environment: LeaseEnvironment = {}) {
    super(bucket ?? new InMemoryBucket(environment.clock), environment);
  }
}
