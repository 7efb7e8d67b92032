/**
 * Aether: event sourcing primitives for Deno.
 *
 * @module
 */

export * from "./src/store/mod.ts";
export {
  InMemoryEventStore,
  type InMemoryEventStoreOptions,
  InMemoryStorage,
} from "./src/store/memory/mod.ts";
export { JetStreamEventStore, type JetStreamEventStoreOptions } from "./src/store/jetstream/mod.ts";
export { DenoKvEventStore, type DenoKvEventStoreOptions } from "./src/store/deno_kv/mod.ts";
export {
  type BucketDifference,
  BucketMismatchError,
  BucketUnreachableError,
  type ChangesOptions,
  type ClusterNode,
  CoordinationClosedError,
  Coordinator,
  type CoordinatorOptions,
  type CoordinatorStatus,
  DenoKvLeases,
  type DenoKvLeasesOptions,
  InMemoryBucket,
  InMemoryLeases,
  JetStreamLeases,
  type JetStreamLeasesOptions,
  JetStreamUnavailableError,
  type JoinOptions,
  type Leader,
  type LeaderChange,
  type Lease,
  LeaseLostError,
  type LeaseOptions,
  type LeaseStatus,
  type LeaseStore,
  type NodeChange,
  NodeNameTakenError,
  type OwnedShard,
  PermissionDeniedError,
  type ShardChange,
  ShardCountMismatchError,
  shardOf,
} from "./src/cluster/mod.ts";
export {
  BusClosedError,
  type BusConnection,
  type BusConnectionStatus,
  type BusConnectionStatuses,
  type BusConnectionSubscribeOptions,
  type BusConnectionSubscription,
  BusDisconnectedError,
  type BusMessage,
  type BusMessageHeaders,
  type BusPublishOptions,
  type BusServerInfo,
  type BusSubscribeOptions,
  type BusSubscription,
  type EventBus,
  type EventBusOptions,
  LocalEventBus,
  type Loss,
  type NamespacedEvent,
  NatsEventBus,
  type NatsEventBusOptions,
  type OverflowPolicy,
  SubscriptionOverflowError,
} from "./src/bus/mod.ts";
