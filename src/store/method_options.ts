/**
 * What the methods of a store take and give.
 *
 * @module
 */

import type { EventFilter } from "../event/types.ts";
import type { DamagedHistoryError, HistoryFault } from "./errors.ts";

/**
 * An actor that a commit depends on, whether or not the commit stores events of it.
 *
 * @category Stores
 */
export interface CommitCondition {
  /** The actor. */
  readonly actorId: string;
  /** The version that it must be at when the commit is stored; 0 for an actor without events. */
  readonly version: number;
}

/**
 * What every save takes.
 *
 * @category Stores
 */
export interface SaveOptions {
  /**
   * Actors that must be at these versions when the commit is stored; nothing is written to them. They are checked
   * together with the commit, so that a decision on several actors is stored only if what it was decided on is still
   * true. Otherwise the save rejects with {@linkcode VersionConflictError}, which names the actor. Each actor that the
   * commit does not write counts against `limits.actorsPerCommit`. @default {none}
   */
  readonly conditions?: readonly CommitCondition[];
  /**
   * The token of the lease under which the caller owns the actor, a positive safe integer. It is stored with the
   * commit; from then on a lower token, or none, is refused with {@linkcode FencedError}.
   */
  readonly fencingToken?: number;
  /** Saves without a token also where the actor has one. @default {false} */
  readonly unfenced?: boolean;
  /** Gives up the save. It counts until the write is sent; after that the save runs to its answer. */
  readonly signal?: AbortSignal;
}

/**
 * What `append` requires of the actor: its version, that it has events, or nothing.
 *
 * @category Stores
 */
export type ExpectedVersion = number | "any" | "exists";

/**
 * What `append` takes.
 *
 * @category Stores
 */
export interface AppendOptions extends SaveOptions {
  /**
   * The version that the actor must be at, 0 for a new actor; `"exists"` to append after any version of an actor that has
   * events; or `"any"` to append in every case. A number makes the append safe against other writers, and, if the events
   * carry ids, safe to repeat.
   */
  readonly expectedVersion: ExpectedVersion;
}

/**
 * What `deleteSnapshots` takes.
 *
 * @category Stores
 */
export interface DeleteSnapshotsOptions {
  /** Ends the call with the signal's reason. Some of the snapshots may be deleted then. */
  readonly signal?: AbortSignal;
}

/**
 * What can be asked of a read of one actor's history.
 *
 * @category Stores
 */
export interface ReadEventsOptions {
  /** The lowest version to read; 0 and 1 both mean all. @default {0} */
  readonly fromVersion?: number;
  /** The highest version to read. @default {the latest} */
  readonly toVersion?: number;
  /** The order of the events. @default {"forward"} */
  readonly direction?: "forward" | "backward";
  /** The most events to read. @default {all} */
  readonly limit?: number;
  /** Called for each damaged place, after which the read goes on behind it. Without it damage is thrown. */
  readonly onDamage?: (fault: HistoryFault) => void;
  /** Ends the read with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Where a read of the global log begins: after a position; at its `"start"`, which is refused where retention has
 * removed the beginning; with the `"first-kept"` event, even if some were removed; or at its present `"end"`.
 *
 * @category Stores
 */
export type LogStart = string & Record<never, never> | "start" | "first-kept" | "end";

/**
 * What can be asked of a read of the global log.
 *
 * @category Stores
 */
export interface ReadAllOptions<T extends string = string> extends EventFilter<T> {
  /** Where to begin. @default {"start"} */
  readonly after?: LogStart;
  /** The position of the last event to read, itself included. @default {the end of the log} */
  readonly until?: string;
  /**
   * The order of the events. `"backward"` begins with the latest event, or the one at `until`, and ends behind `after`; with a
   * `limit` it reads no more of the log than that takes.
   *
   * @default {"forward"}
   */
  readonly direction?: "forward" | "backward";
  /** The most events to read. @default {all} */
  readonly limit?: number;
  /** Called for each damaged place, after which the read goes on behind it. Without it damage is thrown. */
  readonly onDamage?: (fault: HistoryFault) => void;
  /** Ends the read with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * What can be asked of a subscription.
 *
 * @category Stores
 */
export interface SubscribeOptions<T extends string = string> extends EventFilter<T> {
  /** Where to begin. @default {"start"} */
  readonly after?: LogStart;
  /** Ends the subscription: its loop throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * An actor, and how far its history goes.
 *
 * @category Stores
 */
export interface ActorSummary {
  /** The actor's id. */
  readonly actorId: string;
  /** The version of its latest event. */
  readonly latestVersion: number;
}

/**
 * Which actors to list.
 *
 * @category Stores
 */
export interface ListActorsOptions {
  /** Only actors whose id begins with this string. */
  readonly actorPrefix?: string;
  /** Ends the listing with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * The most that one commit may hold. A store refuses beyond it before anything is sent.
 *
 * @category Stores
 */
export interface StoreLimits {
  /** Actors a commit; at least 8. */
  readonly actorsPerCommit: number;
  /** Events a commit; at least 100. */
  readonly eventsPerCommit: number;
  /** UTF-8 bytes of a commit's events as JSON; at least 256 KiB. */
  readonly bytesPerCommit: number;
  /** UTF-8 bytes of one event as JSON. */
  readonly bytesPerEvent: number;
}

/**
 * How far a verification has come.
 *
 * @category Stores
 */
export interface VerificationProgress {
  /** Commits read so far. */
  readonly commits: number;
  /** Events read so far. */
  readonly events: number;
}

/**
 * What can be asked of a verification.
 *
 * @category Stores
 */
export interface VerifyOptions {
  /** A position that the log must reach, remembered outside it: how a lost tail is found. */
  readonly expectedPosition?: string;
  /** Called now and then while it reads. */
  readonly onProgress?: (progress: VerificationProgress) => void;
  /** Ends the verification with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * What a verification read, and what it found.
 *
 * @category Stores
 */
export interface VerificationReport {
  /** Whether nothing was found. */
  readonly ok: boolean;
  /** Commits read. */
  readonly commits: number;
  /** Events read. */
  readonly events: number;
  /** Actors read. */
  readonly actors: number;
  /** The log's last position. */
  readonly lastPosition: string | undefined;
  /** Every damaged or truncated place. */
  readonly faults: readonly HistoryFault[];
  /**
   * Messages of other programs that `JetStreamEventStore.repairActor()` has passed over. They hold no events, reads pass
   * over them too, and `ok` does not depend on them.
   */
  readonly repaired: readonly DamagedHistoryError[];
}

/**
 * Something that an operator should know of a store.
 *
 * @category Stores
 */
export interface Finding {
  /** A stable name to filter by, such as `"one-replica"`. */
  readonly code: string;
  /** How much it matters. */
  readonly severity: "info" | "warning" | "critical";
  /** What is so, and what can be lost by it. */
  readonly message: string;
  /** What to do. */
  readonly advice: string;
}
