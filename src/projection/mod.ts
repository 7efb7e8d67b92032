/**
 * Projections and reactions over the global log: read models, process managers, notifications.
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
export type {
  FailurePolicy,
  Handler,
  HandlerContext,
  HandlerResult,
  Handlers,
  Projection,
  Reaction,
} from "./projection.ts";
export { type ProjectionRun, type RunOptions, runProjection, type RunState } from "./run.ts";
export { type ProjectedOnce, projectOnce, type ProjectOnceOptions } from "./once.ts";
export { waitFor, type WaitForOptions } from "./wait_for.ts";
export {
  CheckpointConflictError,
  DamagedCheckpointError,
  type FailedEvent,
  HandlerTimeoutError,
  NotParkedError,
  ParkedListFullError,
  ProjectionBehindError,
  ProjectionFencedError,
  type ProjectionId,
  ProjectionNameTakenError,
  ProjectionStoppedError,
  TransactionOverError,
  TransactionTooLargeError,
} from "./errors.ts";
export { discardParked, parked, type ParkedOptions, retryParked } from "./parked.ts";
export type { FailingEvent, IntendedAppend, ParkedEvent, Resolution } from "./record.ts";
export {
  type ProjectionLag,
  type ProjectionStatus,
  projectionStatuses,
  type StatusOptions,
} from "./status.ts";
export { SqliteCheckpoints, type SqliteDatabase, type SqliteStatement } from "./sqlite_checkpoints.ts";
export { JetStreamCheckpoints, type JetStreamCheckpointsOptions } from "./jetstream_checkpoints.ts";
export {
  BucketMismatchError,
  BucketUnreachableError,
  JetStreamUnavailableError,
  PermissionDeniedError,
} from "../cluster/errors.ts";
export type { BucketOptions, NamedBucketOptions } from "../cluster/jetstream/open.ts";
export type { ConnectOptions } from "../nats/connect.ts";
export type { NatsConnection } from "../nats/connection.ts";
export { CredentialsRejectedError, ServerUnreachableError } from "../nats/errors.ts";
