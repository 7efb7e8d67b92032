/**
 * Cluster coordination: leases with fencing tokens, membership, leader election and a shard map, in memory or on JetStream.
 *
 * @module
 */
export { Coordinator, type CoordinatorStatus, type JoinOptions, type LeaderChange } from "./coordinator.ts";
export { type Bucket, type BucketWatch, type Entry, type PutOptions, type WatchUpdate } from "./bucket.ts";
export { InMemoryBucket } from "./in_memory_bucket.ts";
export { shardOf } from "./shard_of.ts";
export { type Candidate, place } from "./placement.ts";
