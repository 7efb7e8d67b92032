/**
 * Cluster coordination: leases with fencing tokens, membership, leader election and a shard map, in one process or over
 * JetStream; leases also in Deno KV. Over NATS it needs the permission `--allow-net` for the servers' addresses, and no
 * other.
 *
 * @example The shards of this node
 * ```ts
 * import { Coordinator, InMemoryBucket, shardOf } from "@flowmade-one/aether/cluster";
 * import assert from "node:assert/strict";
 *
 * await using coordinator = await Coordinator.join(new InMemoryBucket(), { name: "node-1", shardCount: 8 });
 * for await (const { type, shard } of coordinator.shardChanges()) {
 *   if (type === "gained" && shard.id === shardOf("order-123", 8)) break; // this node works on order-123
 * }
 * assert.equal(coordinator.ownerOf("order-123")?.name, "node-1");
 * ```
 *
 * @module
 */
export { Coordinator } from "./coordinator.ts";
export type { CoordinatorStatus, JoinOptions, LeaveOptions } from "./coordinator.ts";
export type { CoordinatorOptions } from "./coordinator_options.ts";
export type { Leader, LeaderChange } from "./leadership.ts";
export type { ClusterNode, NodeChange } from "./membership.ts";
export type { OwnedShard, ShardChange } from "./owned_shards.ts";
export type { ChangesOptions } from "./broadcast.ts";

export { MAX_SHARD_COUNT, shardOf } from "./shard_of.ts";
export { type Candidate, place } from "./placement.ts";

export { MAX_LEASE_TTL, MIN_LEASE_TTL } from "./lease.ts";
export { BucketLeaseStore } from "./lease_store.ts";
export type { Lease, LeaseEnvironment, LeaseOptions, LeaseStatus, LeaseStore } from "./lease.ts";
export { InMemoryLeases } from "./in_memory_leases.ts";
export { DenoKvLeases, type DenoKvLeasesOptions } from "./deno_kv_leases.ts";
export { JetStreamLeases, type JetStreamLeasesOptions } from "./jetstream/leases.ts";

export type { Bucket, BucketOrigin, BucketWatch, Entry, PutOptions, WatchUpdate } from "./bucket.ts";
export { type Clock, systemClock } from "./clock.ts";
export { InMemoryBucket } from "./in_memory_bucket.ts";
export type { BucketOptions, ClusterBucketOptions, NamedBucketOptions } from "./jetstream/open.ts";
export type { ConnectOptions } from "../nats/connect.ts";
export type { JetStreamAddressOptions } from "../nats/jetstream/address.ts";
export type {
  NatsConnection,
  NatsMessage,
  NatsMessageHeaders,
  NatsPublishOptions,
  NatsRequestOptions,
  NatsServerInfo,
  NatsStatus,
  NatsStatusIterable,
  NatsSubscription,
  NatsSubscriptionOptions,
} from "../nats/connection.ts";

export { type LeaseEnd, LeaseLostError, NodeNameTakenError, RevisionConflictError } from "./errors.ts";

export {
  AetherError,
  BackendError,
  ClosedError,
  ConfigurationMismatchError,
  InvalidArgumentError,
  type SettingDifference,
  StoreOpenError,
} from "../errors.ts";
export type { Warning } from "../warning.ts";
