/**
 * The event store: its contract, its errors, and what is built on it.
 *
 * @module
 */

export * from "../event/mod.ts";
export {
  AetherError,
  ClosedError,
  ConfigurationMismatchError,
  InvalidArgumentError,
  type SettingDifference,
} from "../errors.ts";
export type { Warning } from "../warning.ts";
export type {
  ActorSummary,
  AppendOptions,
  CommitCondition,
  DeleteSnapshotsOptions,
  EventStore,
  ExpectedVersion,
  Finding,
  ListActorsOptions,
  LogStart,
  LogSubscription,
  ReadAllOptions,
  ReadEventsOptions,
  SaveOptions,
  SnapshotStore,
  StoreLimits,
  SubscribeOptions,
  VerificationProgress,
  VerificationReport,
  VerifyOptions,
} from "./types.ts";
export type { EventStoreOptions } from "./store_options.ts";
export { VaultError } from "./personal_errors.ts";
export type { ForgottenKey, PersonalCipher, PersonalVault } from "./personal_vault.ts";
export type { AnnouncementCounts } from "./announcer.ts";
export type { Snapshot, SnapshotInput } from "./snapshot.ts";
export {
  type AttemptedEvent,
  BackendError,
  CommitTooLargeError,
  DamagedHistoryError,
  type DamagedPlace,
  FencedError,
  type HistoryFault,
  HistoryTruncatedError,
  InvalidPositionError,
  LogReplacedError,
  OutcomeUnknownError,
  type OutcomeUnknownOptions,
  StoreClosedError,
  StoreOpenError,
  type Truncation,
  type VersionConflict,
  VersionConflictError,
} from "./errors.ts";
export type { Decider, SnapshotPolicy, View } from "./decider.ts";
export { type HistoryStore, replay, type ReplayOptions } from "./replay.ts";
export type { Replayed, ReplayStore } from "./fold.ts";
export { execute, type Executed, type ExecuteStore } from "./execute.ts";
export {
  type ActorViews,
  type DecisionOf,
  type EventsOf,
  executeAll,
  type ExecuteAllOptions,
  type ExecuteAllStore,
  type ExecutedActor,
  type ExecutedAll,
  type StateOf,
  type StatesOf,
} from "./execute_all.ts";
export type { CommandOptions, ExecuteOptions } from "./execute_options.ts";
export { copyEvents, type CopyOptions, type CopyProgress, type CopyReport } from "./copy.ts";
export type { CheckpointCopy } from "./copy_checkpoints.ts";
export { CopyError, type CopyPlace } from "./copy_errors.ts";
