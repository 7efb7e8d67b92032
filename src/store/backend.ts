/**
 * What a storage backend offers to the event store that is built on it.
 *
 * @module
 */

import type { EventFilter, StoredEvent } from "../event/types.ts";
import type { Commit } from "./commit.ts";
import type { HistoryFault } from "./errors.ts";
import type { Snapshot } from "./snapshot.ts";
import type {
  ActorSummary,
  Finding,
  ListActorsOptions,
  LogStart,
  StoreLimits,
  VerificationReport,
  VerifyOptions,
} from "./types.ts";

/** A read of one actor's history, with every default filled in. */
export interface HistoryRead {
  /** The lowest version. */
  readonly fromVersion: number;
  /** The highest version. */
  readonly toVersion: number;
  /** The order. */
  readonly direction: "forward" | "backward";
  /** How many events will be taken at most; a backend may read fewer ahead for it. */
  readonly limit: number;
  /** Takes damage instead of throwing it. */
  readonly onDamage: ((fault: HistoryFault) => void) | undefined;
  /** Ends the read with its reason: the caller's signal, or that the store was closed. Every wait takes it. */
  readonly signal?: AbortSignal;
}

/** One actor's part of a commit, as the log has it. */
export interface LogPart {
  /** Names the commit: parts of one commit follow one another, and have the same. */
  readonly commitId: string;
  /** The actor. */
  readonly actorId: string;
  /** The actor's newest fencing token as of this commit, 0 without one. */
  readonly fence: number;
  /** Its events; none if a token is stored alone. */
  readonly events: readonly StoredEvent[];
}

/** The newest fencing token of an actor. */
export interface ActorToken {
  /** The actor. */
  readonly actorId: string;
  /** The token. */
  readonly token: number;
}

/** A read of the global log. */
export interface LogRead {
  /** Where to begin. */
  readonly after: LogStart;
  /** What will be taken; a backend may leave out the rest, and must then report its progress by empty batches. */
  readonly filter: EventFilter;
  /** How many events will be taken at most; a backend may read fewer ahead for it. @default {all} */
  readonly limit?: number;
  /** Takes damage instead of throwing it. */
  readonly onDamage: ((fault: HistoryFault) => void) | undefined;
  /** Ends the read with its reason: the caller's signal, or that the store was closed. Every wait takes it. */
  readonly signal?: AbortSignal;
  /**
   * Takes the part of each actor, in the order of the log and before the batch that has its events: what shows which events
   * came in one commit, and under which tokens. A backend without it exports each event as a commit of its own.
   */
  readonly onPart?: (part: LogPart) => void;
}

/** A read of the global log from a place in it back to its beginning. */
export interface BackwardLogRead {
  /** The position of the first event to read, which was checked; `undefined` to begin with the latest one. */
  readonly from: string | undefined;
  /** How many events will be taken at most; a backend may read fewer ahead for it. */
  readonly limit: number;
  /** Whether the read may end at the first kept event. Otherwise a beginning that retention has removed is an error. */
  readonly toFirstKept: boolean;
  /** Ends the read with its reason: the caller's signal, or that the store was closed. Every wait takes it. */
  readonly signal?: AbortSignal;
  /** Takes damage instead of throwing it. */
  readonly onDamage: ((fault: HistoryFault) => void) | undefined;
}

/** A subscription to the global log. */
export interface LogFollow extends LogRead {
  /** To be called once, when nothing that is stored from then on will be missed. */
  readonly onReady: (position: string | undefined) => void;
  /** Ends it: the iteration then ends, normally or with the signal's reason. */
  readonly signal: AbortSignal;
}

/** What a verification has found: a report without its verdict. */
export type Verified =
  & Omit<VerificationReport, "ok" | "repaired">
  & Partial<Pick<VerificationReport, "repaired">>;

/** Consecutive events of the global log. */
export interface LogBatch {
  /** The events; all that the filter asks for, and perhaps others. */
  readonly events: readonly StoredEvent[];
  /** The place behind the last event that was considered. */
  readonly position: string;
}

/**
 * Storage for an event store: commits under the guard of versions and tokens, and reads in order. All that is the same
 * for every store (validation, idempotence, filters, subscriptions) is done above it.
 *
 * Events come back frozen and as they were stored, the schema versions of what was read noted with `noteSchemaVersion`:
 * they are brought to their registered versions above, once it is certain that they are handed out.
 *
 * A `signal` fires when the caller aborts or the store is closed: it ends every wait of the read, which then rejects with
 * its reason, and leaves no timer, no request and no consumer behind.
 */
export interface StorageBackend {
  /** The most that one commit may hold. */
  readonly limits: StoreLimits;

  /**
   * How many commits a copy may have under way at once: a backend that has it stores commits that depend on one another in
   * the order in which they are given. @default {1}
   */
  readonly maxCommitsInOrder?: number;

  /**
   * Stores all of a commit or nothing. It numbers the parts with {@linkcode numberPart} against the actors' heads, as
   * often as it takes, and reports a conflict only against a head that is fresh.
   *
   * @throws {VersionConflictError | FencedError} If an actor is not where its part expects it.
   * @throws {EventTooLargeError | CommitTooLargeError} If it is over a limit.
   * @throws {OutcomeUnknownError} If it may be stored, and it could not be found out in time.
   * @throws {BackendError} If it is not stored because of the backend.
   */
  commit(commit: Commit): readonly StoredEvent[] | Promise<readonly StoredEvent[]>;

  /** Stores a token alone. */
  takeOver(actorId: string, token: number): void | Promise<void>;

  /** An actor's events from a version on. */
  getEvents(
    actorId: string,
    fromVersion: number,
    signal?: AbortSignal,
  ): readonly StoredEvent[] | Promise<readonly StoredEvent[]>;

  /** An actor's events, in batches. */
  readHistory(actorId: string, read: HistoryRead): AsyncIterable<readonly StoredEvent[]>;

  /** The version of an actor's latest event, 0 without one. */
  getLatestVersion(actorId: string, signal?: AbortSignal): number | Promise<number>;

  /** The global log up to its present end, in batches. */
  readLog(read: LogRead): AsyncIterable<LogBatch>;

  /** The global log backward, in batches whose first event is the latest. */
  readLogBackward(read: BackwardLogRead): AsyncIterable<readonly StoredEvent[]>;

  /** The global log, and then what comes. */
  followLog(follow: LogFollow): AsyncIterable<LogBatch>;

  /** The log's last position. */
  getLastPosition(signal?: AbortSignal): Promise<string | undefined>;

  /** The tokens that the parts of the log do not show. */
  listTokens?(signal?: AbortSignal): AsyncIterable<ActorToken>;

  /** The actors that have events. */
  listActors(options: ListActorsOptions): AsyncIterable<ActorSummary>;

  /**
   * Checks that a position is that of an event of this log, or of a place that it has come to.
   *
   * @throws {InvalidPositionError} If it is not.
   */
  checkPosition(position: string, signal?: AbortSignal): void | Promise<void>;

  /** Checks everything except the expected position. */
  verify(options: VerifyOptions): Promise<Verified>;

  /** Describes what weakens its promises. */
  diagnose(signal?: AbortSignal): Promise<Finding[]>;

  /** Keeps a snapshot that is valid, unless a newer one is stored. The signal counts until it is sent. */
  saveSnapshot(snapshot: Snapshot, signal?: AbortSignal): Promise<void>;

  /** The stored snapshot. */
  getLatestSnapshot(actorId: string, kind: string, signal?: AbortSignal): Promise<Snapshot | undefined>;

  /** Deletes the snapshots of a kind that is valid; returns how many there were. */
  deleteSnapshots(kind: string, signal: AbortSignal): Promise<number>;

  /** Lets everything go; nothing is in flight any more. */
  close(): Promise<void>;
}
