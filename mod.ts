/**
 * Aether: event sourcing primitives for Deno. Everything that an application needs, in one entry point.
 *
 * Programs that start often import only the entry point that they need, such as `@flowmade-one/aether/deno-kv`: it
 * loads less. The testing kit has an entry point of its own, `@flowmade-one/aether/testing`.
 *
 * 1. **Events** say what happened to an actor: {@linkcode Event}.
 * 2. **Stores** keep them, in the order of their versions: {@linkcode InMemoryEventStore},
 *    {@linkcode DenoKvEventStore} and {@linkcode JetStreamEventStore} keep one contract, {@linkcode EventStore}.
 * 3. **Deciders** turn commands into events, and events into state: {@linkcode execute}, {@linkcode replay}.
 * 4. **Projections** make read models and reactions of the global log: {@linkcode runProjection},
 *    {@linkcode projectOnce}.
 * 5. **The bus** delivers events to the present subscribers: {@linkcode LocalEventBus}, {@linkcode NatsEventBus}.
 * 6. **The cluster** shares work between processes: {@linkcode Coordinator}, {@linkcode JetStreamLeases}.
 * 7. **Actors** are deciders with an address: {@linkcode defineActor}, {@linkcode ActorHost}.
 * 8. **Evidence** shows others that a log is complete and unchanged: {@linkcode sealLog},
 *    {@linkcode proveEvent}, {@linkcode verifySealedLog}.
 *
 * All errors extend {@linkcode AetherError}, and say what to do.
 *
 * @example From a command to a read model
 * ```ts
 * import { type Decider, type Event, execute, InMemoryCheckpoints } from "@flowmade-one/aether";
 * import { InMemoryEventStore, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * type OrderEvent = Event<"OrderPlaced", { total: number }> | Event<"OrderShipped", { carrier: string }>;
 *
 * const order: Decider<"new" | "placed" | "shipped", { place: number } | { ship: string }, OrderEvent> = {
 *   initialState: () => "new",
 *   evolve: (_status, { eventType }) => eventType === "OrderPlaced" ? "placed" : "shipped",
 *   decide(command, status) {
 *     if ("place" in command) return [{ eventType: "OrderPlaced", data: { total: command.place } }];
 *     if (status !== "placed") throw new Error(`the order is ${status}`);
 *     return [{ eventType: "OrderShipped", data: { carrier: command.ship } }];
 *   },
 * };
 *
 * await using store = new InMemoryEventStore<OrderEvent>();
 * await execute(store, "order-123", order, { place: 99.99 });
 * const { state, version } = await execute(store, "order-123", order, { ship: "FastShip" });
 * assert.deepEqual([state, version], ["shipped", 2]);
 *
 * let turnover = 0;
 * await projectOnce(store, {
 *   name: "turnover",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle: { OrderPlaced: ({ data }) => void (turnover += data.total) },
 * }, { budgetMs: 10_000 });
 * assert.equal(turnover, 99.99);
 * ```
 *
 * @module
 */

// What every chapter shares.
export {
  AetherError,
  ClosedError,
  ConfigurationMismatchError,
  InvalidArgumentError,
  type SettingDifference,
  type Warning,
} from "./src/store/mod.ts";

// 1. Events: what one is, and what is wrong with one that cannot be stored.
export {
  type Event,
  type EventFilter,
  type EventInput,
  type EventMetadata,
  type EventOf,
  EventTooLargeError,
  InvalidEventError,
  type NewEvent,
  type StoredEvent,
} from "./src/store/mod.ts";

// Schema versions of events, validators and upcasters.
export {
  type EventDefinition,
  type EventDefinitions,
  EventSchemaError,
  SchemaVersionError,
  type StandardSchema,
  type UpcastContext,
  type Upcaster,
} from "./src/store/mod.ts";

// 2. Stores: in memory,
export {
  InMemoryEventStore,
  type InMemoryEventStoreOptions,
  InMemoryStorage,
} from "./src/store/memory/mod.ts";

// in Deno KV,
export { DenoKvEventStore, type DenoKvEventStoreOptions } from "./src/store/deno_kv/mod.ts";

// and on NATS JetStream.
export {
  JetStreamEventStore,
  type JetStreamEventStoreOptions,
  type PreservationReport,
  type RepairOptions,
  type RepairResult,
  type Retention,
} from "./src/store/jetstream/mod.ts";

// What they have in common: the contract, and what its methods take and give.
export {
  type ActorSummary,
  type AppendOptions,
  type CommitCondition,
  type DeleteSnapshotsOptions,
  type EventStore,
  type EventStoreOptions,
  type ExpectedVersion,
  type Finding,
  type ListActorsOptions,
  type LogStart,
  type LogSubscription,
  type ReadAllOptions,
  type ReadEventsOptions,
  type SaveOptions,
  type Snapshot,
  type SnapshotInput,
  type SnapshotStore,
  type StoreLimits,
  type SubscribeOptions,
  type Subscription,
  type VerificationProgress,
  type VerificationReport,
  type VerifyOptions,
} from "./src/store/mod.ts";

// From one store to another: moving from Deno KV to NATS, for example.
export {
  type CheckpointCopy,
  CopyError,
  copyEvents,
  type CopyOptions,
  type CopyProgress,
  type CopyReport,
} from "./src/store/mod.ts";

// Why a commit is refused, a history is not whole, or a store does not open.
export {
  BackendError,
  CommitTooLargeError,
  DamagedHistoryError,
  FencedError,
  type HistoryFault,
  HistoryTruncatedError,
  InvalidPositionError,
  LogReplacedError,
  OutcomeUnknownError,
  StoreClosedError,
  StoreOpenError,
  VersionConflictError,
} from "./src/store/mod.ts";

// 3. Deciders: from a command to events, and from events to state.
export {
  type ActorViews,
  type CommandOptions,
  type Decider,
  execute,
  executeAll,
  type ExecuteAllOptions,
  type Executed,
  type ExecutedActor,
  type ExecutedAll,
  type ExecuteOptions,
  replay,
  type Replayed,
  type ReplayOptions,
  type SnapshotPolicy,
  type View,
} from "./src/store/mod.ts";

// 4. Projections: what they are, and how they run.
export {
  changeSegments,
  type ChangeSegmentsOptions,
  command,
  type CommandReaction,
  type EventReaction,
  type FailurePolicy,
  type Handler,
  type HandlerContext,
  type HandlerResult,
  type Handlers,
  type IntendedAppend,
  type Projection,
  ProjectionBehindError,
  type ProjectionId,
  ProjectionInUseError,
  type ProjectionRebuild,
  type ProjectionReference,
  type ProjectionRun,
  ProjectionStoppedError,
  projectOnce,
  type ProjectOnceOptions,
  type ProjectOnceResult,
  type Reaction,
  type ReactionOptions,
  type RebuildOptions,
  type RebuildProgress,
  rebuildProjection,
  type RunOptions,
  runProjection,
  type RunState,
  waitFor,
  type WaitForOptions,
} from "./src/projection/mod.ts";

// Where they keep their checkpoints, with their read models or without.
export {
  CheckpointConflictError,
  type CheckpointStore,
  DamagedCheckpointError,
  DenoKvCheckpoints,
  type DenoKvCheckpointsOptions,
  HandlerError,
  InMemoryCheckpoints,
  JetStreamCheckpoints,
  type JetStreamCheckpointsOptions,
  type KvTransaction,
  PostgresCheckpoints,
  type PostgresDatabase,
  SqliteCheckpoints,
  type SqliteDatabase,
  type SqliteStatement,
  type StoredCheckpoint,
  type UnitOfWork,
} from "./src/projection/mod.ts";

// The state of projections, and what becomes of events that could not be handled.
export {
  deleteCheckpoint,
  type DeleteCheckpointOptions,
  discardParked,
  type FailedEvent,
  type FailingEvent,
  listParked,
  type ParkedEvent,
  type ParkedOptions,
  type ProjectionLag,
  type ProjectionStatus,
  projectionStatuses,
  type Resolution,
  retryParked,
  type SegmentStatus,
  type StatusOptions,
  type StopReason,
} from "./src/projection/mod.ts";

// 5. The bus: within a process, or over NATS; and what stores announce on it.
export {
  type BusSubscribeOptions,
  type BusSubscription,
  type EventBus,
  type EventBusOptions,
  type EventPublisher,
  type EventStored,
  type EventStoredData,
  INTERNAL_NAMESPACE,
  LocalEventBus,
  type Loss,
  type NamespacedEvent,
  NatsEventBus,
  type NatsEventBusOpenOptions,
  type NatsEventBusOptions,
  type OverflowPolicy,
  SubscriptionOverflowError,
} from "./src/bus/mod.ts";

// 6. The cluster: nodes, their leader, and the shards that they own.
export {
  type ChangesOptions,
  type ClusterNode,
  Coordinator,
  type CoordinatorOptions,
  type CoordinatorStatus,
  type JoinOptions,
  type Leader,
  type LeaderChange,
  type LeaveOptions,
  type NodeChange,
  NodeNameTakenError,
  type OwnedShard,
  type ShardChange,
  shardOf,
} from "./src/cluster/mod.ts";

// Leases: who may do a thing, and the token that fences off who may no longer.
export {
  DenoKvLeases,
  type DenoKvLeasesOptions,
  InMemoryLeases,
  JetStreamLeases,
  type JetStreamLeasesOptions,
  type Lease,
  type LeaseEnd,
  LeaseLostError,
  type LeaseOptions,
  type LeaseStatus,
  type LeaseStore,
} from "./src/cluster/mod.ts";

// What both are kept in without a server; to bring one of your own, see `./cluster`.
export { InMemoryBucket } from "./src/cluster/mod.ts";

// The connection to NATS, for stores, buses and clusters alike.
export { type ConnectOptions, type NatsConnection } from "./src/store/jetstream/mod.ts";

// 7. Actors: what they are, where they run, and how they are called.
export {
  ActorBusyError,
  ActorClient,
  type ActorClientOptions,
  type ActorCluster,
  type ActorDefinition,
  type ActorEventsOptions,
  ActorFailedError,
  type ActorFinder,
  ActorHost,
  type ActorHostOptions,
  type ActorOptions,
  type ActorReference,
  type ActorTimer,
  ActorUnavailableError,
  type CallOptions,
  type CallResult,
  defineActor,
  fireTimersOnce,
  InvalidTimersError,
  listTimers,
  reconcileTimers,
  runTimers,
} from "./src/actor/mod.ts";

// 8. Evidence: what shows to others that a log is complete and unchanged. How it is sealed, and where the seal is kept,
export {
  generateSealKey,
  SealBucket,
  type SealBucketOptions,
  SealError,
  SealFolder,
  type SealKey,
  type SealKeyOptions,
  sealLog,
  type SealLogOptions,
  sealOnce,
  type SealOptions,
  type SealPlace,
  type SealReport,
  type SealRun,
  type Signer,
  type SignerSource,
} from "./src/evidence/mod.ts";

// and how it is verified, with the store or without.
export {
  type ProvedEvent,
  proveEvent,
  type ProveOptions,
  type SealedLogVerification,
  type SealFault,
  type SealVerification,
  verifyProof,
  type VerifyProofOptions,
  verifySeal,
  verifySealedLog,
  type VerifySealedLogOptions,
  type VerifySealOptions,
} from "./src/evidence/mod.ts";

// Export and import.
export {
  ExportError,
  exportEvents,
  type ExportOptions,
  type ExportProgress,
  type ExportReport,
  type ExportSource,
  importEvents,
  type ImportOptions,
  type ImportReport,
  verifyExport,
  type VerifyExportOptions,
} from "./src/evidence/mod.ts";

// Personal data that can be forgotten.
export {
  type ForgetOptions,
  type ForgetReport,
  type Forgotten,
  isForgotten,
  type MasterKey,
  type PersonalData,
  type PersonalField,
  type PersonalVault,
  type PersonField,
  type PersonForgotten,
  Vault,
  VaultError,
  type VaultOptions,
} from "./src/evidence/mod.ts";
