/**
 * The contract that every event store keeps.
 *
 * @module
 */

import type { Event, EventFilter, EventInput, EventOf, NewEvent, StoredEvent } from "../event/types.ts";
import type { Subscription } from "../event/subscription.ts";
import type { HistoryFault } from "./errors.ts";
import type { Snapshot } from "./snapshot.ts";

/** What every save takes. */
export interface SaveOptions {
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

/** What `append` takes. */
export interface AppendOptions extends SaveOptions {
  /**
   * The version that the actor must be at, 0 for a new actor; or `"any"` to append after whatever is there. A number
   * makes the append safe against other writers, and, where the events carry ids, safe to repeat.
   */
  readonly expectedVersion: number | "any";
}

/** What can be asked of a read of one actor's history. */
export interface ReadEventsOptions {
  /** The lowest version to read. @default {1} */
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
 * removed the beginning; with the `"first-kept"` event, whatever was removed; or at its present `"end"`.
 */
export type LogStart = string & Record<never, never> | "start" | "first-kept" | "end";

/** What can be asked of a read of the global log. */
export interface ReadAllOptions<T extends string = string> extends EventFilter<T> {
  /** Where to begin. @default {"start"} */
  readonly after?: LogStart;
  /** The most events to read. @default {all} */
  readonly limit?: number;
  /** Called for each damaged place, after which the read goes on behind it. Without it damage is thrown. */
  readonly onDamage?: (fault: HistoryFault) => void;
  /** Ends the read with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What can be asked of a subscription. */
export interface SubscribeOptions<T extends string = string> extends EventFilter<T> {
  /** Where to begin. @default {"start"} */
  readonly after?: LogStart;
  /** Ends the subscription: its loop throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** An actor, and how far its history goes. */
export interface ActorSummary {
  /** The actor's id. */
  readonly actorId: string;
  /** The version of its latest event. */
  readonly latestVersion: number;
}

/** Which actors to list. */
export interface ListActorsOptions {
  /** Only actors whose id begins with this string. */
  readonly actorPrefix?: string;
  /** Ends the listing with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The most that one commit may hold. A store refuses beyond it before anything is sent. */
export interface StoreLimits {
  /** Actors a commit; at least 10. */
  readonly actorsPerCommit: number;
  /** Events a commit; at least 100. */
  readonly eventsPerCommit: number;
  /** UTF-8 bytes of a commit's events as JSON; at least 256 KiB. */
  readonly bytesPerCommit: number;
  /** UTF-8 bytes of one event as JSON. */
  readonly bytesPerEvent: number;
}

/** How far a verification has come. */
export interface VerificationProgress {
  /** Commits read so far. */
  readonly commits: number;
  /** Events read so far. */
  readonly events: number;
}

/** What can be asked of a verification. */
export interface VerifyOptions {
  /** A position that the log must reach, remembered outside it: how a lost tail is found. */
  readonly expectedPosition?: string;
  /** Called now and then while it reads. */
  readonly onProgress?: (progress: VerificationProgress) => void;
  /** Ends the verification with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What a verification read, and what it found. */
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
}

/** Something that an operator should know of a store. */
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

/**
 * An append-only store of events: each actor's history in the order of its versions, and one global log of all.
 *
 * Every method rejects with {@linkcode StoreClosedError} after `close()`, with {@linkcode InvalidArgumentError} for an
 * argument out of range, and with {@linkcode BackendError} where the backend refused or could not be reached.
 *
 * @typeParam E The union of the events it holds.
 */
export interface EventStore<E extends Event = Event> extends AsyncDisposable {
  /** The most that one commit may hold. */
  readonly limits: StoreLimits;

  /**
   * Saves one event under a version of the caller's choice, above the actor's latest; a gap is allowed.
   *
   * @throws {VersionConflictError} If the version is not above the actor's latest.
   * @throws {InvalidEventError | EventTooLargeError} If the event cannot be stored as it is.
   * @throws {FencedError} If a newer fencing token is stored for the actor.
   * @throws {OutcomeUnknownError} If the store could not learn whether it was stored.
   */
  saveEvent(event: EventInput<E>, options?: SaveOptions): Promise<StoredEvent<E>>;

  /**
   * Saves events of one or several actors in one commit: all, or none. The result is grouped by actor, in order of
   * first appearance.
   *
   * @throws {VersionConflictError} If a version is not above its actor's latest.
   * @throws {InvalidEventError | EventTooLargeError | CommitTooLargeError} If they cannot be stored as they are.
   * @throws {FencedError} If a newer fencing token is stored for one of the actors.
   * @throws {OutcomeUnknownError} If the store could not learn whether they were stored.
   */
  saveEvents(events: readonly EventInput<E>[], options?: SaveOptions): Promise<StoredEvent<E>[]>;

  /**
   * Appends events to an actor's history in one commit, numbered on from its latest version.
   *
   * With a numeric `expectedVersion` and events that carry ids it can be repeated: the same events (ids, types, data)
   * found right after that version are its result, and nothing is stored twice.
   *
   * @throws {VersionConflictError} If the actor is not at the expected version.
   * @throws {InvalidEventError | EventTooLargeError | CommitTooLargeError} If they cannot be stored as they are.
   * @throws {FencedError} If a newer fencing token is stored for the actor.
   * @throws {OutcomeUnknownError} If the store could not learn whether they were stored.
   */
  append(actorId: string, events: readonly NewEvent<E>[], options: AppendOptions): Promise<StoredEvent<E>[]>;

  /**
   * Stores a fencing token for an actor, alone: for an owner that must read before it writes. From then on commits
   * under a lower token, or none, are refused. The token that is already the newest is accepted again.
   *
   * @throws {FencedError} If a newer token is stored for the actor.
   */
  takeOver(actorId: string, token: number): Promise<void>;

  /**
   * An actor's events from a version on, in order. An actor without events has none.
   *
   * @throws {DamagedHistoryError | HistoryTruncatedError} If a part of the history is damaged or gone.
   */
  getEvents(actorId: string, fromVersion?: number): Promise<StoredEvent<E>[]>;

  /**
   * An actor's events in bounded memory, in either direction.
   *
   * @throws {DamagedHistoryError | HistoryTruncatedError} If a part of the history is damaged or gone.
   */
  readEvents(actorId: string, options?: ReadEventsOptions): AsyncIterable<StoredEvent<E>>;

  /** The version of an actor's latest event; 0 if it never had one. */
  getLatestVersion(actorId: string): Promise<number>;

  /**
   * The global log in commit order, up to its end at the time of the call, in bounded memory.
   *
   * @throws {InvalidPositionError} If `after` is no position of this log.
   * @throws {DamagedHistoryError | HistoryTruncatedError} If a part of the log is damaged or gone.
   */
  readAll<T extends E["eventType"] = E["eventType"]>(
    options?: ReadAllOptions<T>,
  ): AsyncIterable<StoredEvent<EventOf<E, T>>>;

  /** The position of the last event of the global log; nothing while it is empty. */
  getLastPosition(): Promise<string | undefined>;

  /**
   * The global log from a position on, and then every event as it is stored: no gap and no duplicate in between.
   *
   * Its loop throws {@linkcode InvalidPositionError}, {@linkcode DamagedHistoryError} or
   * {@linkcode HistoryTruncatedError} as `readAll` does, and ends normally when the store is closed.
   */
  subscribe<T extends E["eventType"] = E["eventType"]>(
    options?: SubscribeOptions<T>,
  ): Subscription<StoredEvent<EventOf<E, T>>>;

  /** Every actor that has events, once, in no particular order. */
  listActors(options?: ListActorsOptions): AsyncIterable<ActorSummary>;

  /** Reads everything and reports what is damaged, missing or out of order. */
  verify(options?: VerifyOptions): Promise<VerificationReport>;

  /** Says in words what weakens this store's promises as it is set up. */
  diagnose(): Promise<Finding[]>;

  /** Finishes what is in flight and refuses what comes after; subscriptions end. It can be called again. */
  close(): Promise<void>;
}

/** A store of snapshots: what was computed from an actor's history, kept to shorten the next replay. */
export interface SnapshotStore {
  /**
   * Keeps a snapshot in place of an older one of the same actor and kind.
   *
   * @throws {InvalidSnapshotError} If it cannot be stored as it is, or the actor has not reached its version.
   */
  saveSnapshot<S>(snapshot: Snapshot<S>): Promise<void>;

  /** The snapshot of an actor and kind; nothing where there is none, or none that can be read. */
  getLatestSnapshot<S = unknown>(actorId: string, kind: string): Promise<Snapshot<S> | undefined>;
}
