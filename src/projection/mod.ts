/**
 * Projections and reactions over the global log: read models, process managers, notifications.
 *
 * @example A read model in Deno KV, exactly once
 * ```ts
 * import { DenoKvEventStore, type Event } from "@flowmade-one/aether/deno-kv";
 * import { DenoKvCheckpoints, runProjection } from "@flowmade-one/aether/projection";
 * import assert from "node:assert/strict";
 *
 * type OrderEvent = Event<"OrderPlaced", { total: number }>;
 *
 * using kv = await Deno.openKv(":memory:");
 * await using store = await DenoKvEventStore.open<OrderEvent>(kv);
 * await using checkpoints = await DenoKvCheckpoints.open(kv);
 * await using run = runProjection(store, {
 *   name: "totals",
 *   checkpoints,
 *   handle: {
 *     OrderPlaced: ({ actorId, data }, { transaction }) => void transaction.set(["total", actorId], data.total),
 *   },
 * });
 * const [placed] = await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], {
 *   expectedVersion: 0,
 * });
 * await run.waitFor(placed!.position); // read your writes
 * assert.equal((await kv.get(["total", "order-1"])).value, 5);
 * ```
 *
 * @module
 */

export type {
  CheckpointStore,
  HandlerScope,
  ProjectionReference,
  StoredCheckpoint,
  UnitOfWork,
} from "./checkpoints.ts";
export { InMemoryCheckpoints } from "./memory_checkpoints.ts";
export { DenoKvCheckpoints, type DenoKvCheckpointsOptions } from "./deno_kv_checkpoints.ts";
export type { KvTransaction } from "./kv_transaction.ts";
export { command, type CommandReaction, type ReactionOptions } from "./command.ts";
export type {
  EventReaction,
  FailurePolicy,
  Handler,
  HandlerContext,
  HandlerResult,
  Handlers,
  Projection,
  Reaction,
} from "./projection.ts";
export { runProjection } from "./run.ts";
export type { ProjectionRun, RunOptions, RunState } from "./projection_run.ts";
export { type ProjectionRebuild, type RebuildOptions, rebuildProjection } from "./rebuild.ts";
export { projectOnce, type ProjectOnceOptions, type ProjectOnceResult } from "./once.ts";
export { waitFor, type WaitForOptions } from "./wait_for.ts";
export {
  CheckpointConflictError,
  DamagedCheckpointError,
  type FailedEvent,
  HandlerError,
  ProjectionBehindError,
  type ProjectionId,
  ProjectionInUseError,
  ProjectionStoppedError,
  type StopReason,
} from "./errors.ts";
export { changeSegments, type ChangeSegmentsOptions } from "./head.ts";
export { deleteCheckpoint, type DeleteCheckpointOptions } from "./delete_checkpoint.ts";
export { discardParked, listParked, type ParkedOptions, retryParked } from "./parked.ts";
export type { FailingEvent, IntendedAppend, ParkedEvent, Resolution } from "./record.ts";
export { type ProjectionStatus, projectionStatuses, type StatusOptions } from "./status.ts";
export type { ProjectionLag } from "./lag.ts";
export type { RebuildProgress } from "./rebuild_progress.ts";
export type { SegmentStatus } from "./segment_status.ts";
export { SqliteCheckpoints, type SqliteDatabase, type SqliteStatement } from "./sqlite_checkpoints.ts";
export { PostgresCheckpoints, type PostgresDatabase } from "./postgres_checkpoints.ts";
export { JetStreamCheckpoints, type JetStreamCheckpointsOptions } from "./jetstream_checkpoints.ts";
export { ConfigurationMismatchError } from "../errors.ts";
export type { BucketOptions, NamedBucketOptions } from "../cluster/jetstream/open.ts";
export type { ConnectOptions } from "../nats/connect.ts";
export type { NatsConnection } from "../nats/connection.ts";
