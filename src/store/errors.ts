/**
 * What can go wrong with a save or a read.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";
import type { EventReference } from "../event/errors.ts";
import type { Event } from "../event/types.ts";

/** What a version conflict was about. */
export interface VersionConflict {
  /** The actor. */
  readonly actorId: string;
  /** The version that the first refused event would have had. */
  readonly attemptedVersion: number;
  /** The version of the actor's latest event. */
  readonly currentVersion: number;
  /** Whether the stored event of that version is the very one that was attempted. */
  readonly sameEvent?: boolean;
  /** Whether a condition of the commit was not met, rather than the version of an event. */
  readonly isCondition?: boolean;
}

/**
 * Another writer was first, or the version is not above the latest. Nothing was stored.
 *
 * @example Read again, and decide again
 * ```ts
 * import { InMemoryEventStore, VersionConflictError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const placed = [{ eventType: "OrderPlaced", data: { total: 5 } }];
 * await store.append("order-1", placed, { expectedVersion: 0 });
 * try {
 *   await store.append("order-1", placed, { expectedVersion: 0 });
 * } catch (error) {
 *   if (!(error instanceof VersionConflictError)) throw error;
 *   assert.deepEqual([error.actorId, error.currentVersion], ["order-1", 1]); // HTTP 409, say
 * }
 * ```
 *
 * @category Stores
 */
export class VersionConflictError extends AetherError {
  static {
    registerClass(this, "VersionConflictError");
  }

  /** The actor. */
  readonly actorId: string;
  /** The version that the first refused event would have had. */
  readonly attemptedVersion: number;
  /** The version of the actor's latest event. */
  readonly currentVersion: number;
  /** Whether the stored event of that version is the very one that was attempted: same id, type and data. */
  readonly sameEvent: boolean;
  /** Whether a condition of the commit was not met, rather than the version of an event. */
  readonly isCondition: boolean;

  /** Names the versions. */
  constructor(conflict: VersionConflict, options?: ErrorOptions) {
    const { actorId, attemptedVersion, currentVersion, sameEvent = false, isCondition = false } = conflict;
    super(
      sameEvent
        ? `Event ${attemptedVersion} of actor "${actorId}" is stored already, the very same one`
        : isCondition
        ? `The commit requires actor "${actorId}" to be at version ${
          attemptedVersion - 1
        }, and it is at version ` +
          `${currentVersion}. Read its events again, decide again and try again`
        : `Version ${attemptedVersion} of actor "${actorId}" cannot be stored: its latest version is ` +
          `${currentVersion}. Read its events again, decide again and try again`,
      options,
    );
    this.actorId = actorId;
    this.attemptedVersion = attemptedVersion;
    this.currentVersion = currentVersion;
    this.sameEvent = sameEvent;
    this.isCondition = isCondition;
  }
}

/**
 * A newer owner has taken the actor over. Nothing was stored.
 *
 * @example Stop when another process owns the actor
 * ```ts
 * import { FencedError, InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.takeOver("order-1", 8); // by the new owner
 * try {
 *   const placed = [{ eventType: "OrderPlaced", data: { total: 5 } }];
 *   await store.append("order-1", placed, { expectedVersion: 0, fencingToken: 7 });
 * } catch (error) {
 *   if (!(error instanceof FencedError)) throw error;
 *   assert.equal(error.actorId, "order-1"); // leave it to the new owner
 * }
 * ```
 *
 * @category Stores
 */
export class FencedError extends AetherError {
  static {
    registerClass(this, "FencedError");
  }

  /** The actor. */
  readonly actorId: string;
  /** The token that came with the save; nothing if none did. */
  readonly fencingToken: number | undefined;
  /** The newest token stored for the actor. */
  readonly newestToken: number;

  /** Names both tokens. */
  constructor(actorId: string, fencingToken: number | undefined, newestToken: number) {
    super(
      fencingToken === undefined
        ? `Actor "${actorId}" is owned under fencing token ${newestToken}, and this save has none: save under the ` +
          "owner's token, or with { unfenced: true }"
        : `Actor "${actorId}" has been taken over under fencing token ${newestToken}; token ${fencingToken} is older: ` +
          "stop working on the actor",
    );
    this.actorId = actorId;
    this.fencingToken = fencingToken;
    this.newestToken = newestToken;
  }
}

/**
 * A commit holds more than its store takes. Nothing was stored.
 *
 * @example Split what one commit cannot hold
 * ```ts
 * import { CommitTooLargeError, InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * const { eventsPerCommit } = store.limits;
 * const tooMany = Array.from({ length: eventsPerCommit + 1 }, () => ({ eventType: "Ticked", data: null }));
 * await assert.rejects(store.append("clock", tooMany, { expectedVersion: 0 }), CommitTooLargeError);
 * for (let at = 0; at < tooMany.length; at += eventsPerCommit) {
 *   await store.append("clock", tooMany.slice(at, at + eventsPerCommit), { expectedVersion: at });
 * }
 * ```
 *
 * @category Stores
 */
export class CommitTooLargeError extends AetherError {
  static {
    registerClass(this, "CommitTooLargeError");
  }

  /** What there is too much of. */
  readonly unit: "actors" | "events" | "bytes";
  /** The most that the store takes. */
  readonly limit: number;
  /** How much there was. */
  readonly size: number;

  /** Names the unit, the size and the limit. */
  constructor(unit: "actors" | "events" | "bytes", size: number, limit: number) {
    super(`The commit holds ${size} ${unit}, and this store takes ${limit}: split it into several`);
    this.unit = unit;
    this.limit = limit;
    this.size = size;
  }
}

/** How many actors a message names. */
const MAX_SHOWN_ACTORS = 3;

/** What an {@linkcode OutcomeUnknownError} is made with. */
export interface OutcomeUnknownOptions extends ErrorOptions {
  /** The call that repeats the commit. @default {"append"} */
  readonly repeatWith?: "append" | "saveEvents" | "takeOver" | "call";
}

/** An event as a commit of unknown outcome would have stored it: stamped and numbered, and without a position. */
export type AttemptedEvent<E extends Event = Event> = E;

/**
 * The store could not learn in time whether a commit was stored. Repeat it with the `events` of the error and the call
 * that `repeatWith` names: that stores them once, no matter what happened to the first attempt.
 *
 * @example Append the same events again
 * ```ts
 * import { type AppendOptions, type EventStore, type NewEvent, OutcomeUnknownError } from "@flowmade-one/aether";
 * import type { Event } from "@flowmade-one/aether";
 *
 * async function appendSurely(store: EventStore, actorId: string, events: NewEvent<Event>[], options: AppendOptions) {
 *   try {
 *     return await store.append(actorId, events, options);
 *   } catch (error) {
 *     if (!(error instanceof OutcomeUnknownError)) throw error;
 *     return await store.append(actorId, error.events, { ...options, expectedVersion: error.expectedVersion });
 *   }
 * }
 * ```
 *
 * @example Save events of several actors again
 * ```ts
 * import { type Event, type EventInput, type EventStore, OutcomeUnknownError, VersionConflictError } from "@flowmade-one/aether";
 *
 * async function saveSurely(store: EventStore, events: EventInput<Event>[]): Promise<void> {
 *   try {
 *     await store.saveEvents(events);
 *   } catch (error) {
 *     if (!(error instanceof OutcomeUnknownError)) throw error;
 *     try {
 *       await store.saveEvents(error.events);
 *     } catch (repeated) {
 *       const wasStored = repeated instanceof VersionConflictError && repeated.sameEvent;
 *       if (!wasStored) throw repeated;
 *     }
 *   }
 * }
 * ```
 *
 * @category Stores
 */
export class OutcomeUnknownError extends AetherError {
  static {
    registerClass(this, "OutcomeUnknownError");
  }

  /** The events as they were sent, with their ids and versions. */
  readonly events: readonly AttemptedEvent[];
  /** The version that was expected of the first event's actor, a number also where the caller passed `"any"`. */
  readonly expectedVersion: number;
  /**
   * The call that repeats the commit: `append` with `expectedVersion`; `saveEvents`, for events of several actors and for
   * versions with a gap, which rejects with a `VersionConflictError` whose `sameEvent` is true if they were stored; or
   * `takeOver`, if it was a token alone; or `call`, if it was a command to an actor: call again with the same id.
   */
  readonly repeatWith: "append" | "saveEvents" | "takeOver" | "call";

  /** Carries what was tried. */
  constructor(events: readonly AttemptedEvent[], expectedVersion: number, options?: OutcomeUnknownOptions) {
    const { repeatWith = "append", ...rest } = options ?? {};
    const actors = [...new Set(events.map(({ actorId }) => JSON.stringify(actorId)))];
    const what = `It is unknown whether ${events.length} event(s) of ${
      actors.slice(0, MAX_SHOWN_ACTORS).join(", ")
    }${actors.length > MAX_SHOWN_ACTORS ? " and others" : ""} were stored. `;
    super(
      {
        append: what + "Append the events of this error again with its expectedVersion",
        saveEvents: what +
          "Pass the events of this error to saveEvents again: they were stored if it rejects with a " +
          "VersionConflictError whose sameEvent is true",
        takeOver:
          "It is unknown whether the fencing token was stored. Call takeOver again with the same token",
        call:
          "It is unknown whether the command took effect. Call the actor again with the same id; without an id, look " +
          "at its state first",
      }[repeatWith],
      rest,
    );
    this.events = events;
    this.expectedVersion = expectedVersion;
    this.repeatWith = repeatWith;
  }
}

/**
 * A position is not one of this log.
 *
 * @example Refuse a position from a request
 * ```ts
 * import { InMemoryEventStore, InvalidPositionError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * try {
 *   for await (const _event of store.readAll({ after: "made up" }));
 * } catch (error) {
 *   if (!(error instanceof InvalidPositionError)) throw error;
 *   assert.equal(error.position, "made up");
 * }
 * ```
 *
 * @category Stores
 */
export class InvalidPositionError extends AetherError {
  static {
    registerClass(this, "InvalidPositionError");
  }

  /** The position as it was given. */
  readonly position: unknown;
  /**
   * What is wrong with it: no position at all, one of another log, one that this log has not reached, or one of an event
   * that this log no longer has, because it was restored to an earlier state and has grown again.
   */
  readonly reason: "malformed" | "foreign" | "ahead" | "diverged";

  /** Names the position and the reason. */
  constructor(position: unknown, reason: "malformed" | "foreign" | "ahead" | "diverged") {
    const shown = typeof position === "string" ? `"${position.slice(0, 80)}"` : typeof position;
    super(
      {
        malformed:
          `${shown} is not a position: use the position of a stored event, "start", "first-kept" or "end"`,
        foreign: `The position ${shown} is of another log: begin again at "start" of this one`,
        ahead:
          `The position ${shown} is ahead of the log: its end is lost, or the position is of a newer copy of it`,
        diverged:
          `The position ${shown} is of an event that this log does not have: the log was restored to an earlier state ` +
          'and has grown again. Build what was read from it again, from "start"',
      }[reason],
    );
    this.position = position;
    this.reason = reason;
  }
}

/** Where a history is damaged. */
export interface DamagedPlace extends EventReference {
  /** The place in the global log, if it is known. */
  readonly position?: string | undefined;
}

const RESTORE = "Run verify() for the extent, and restore from a backup";

/**
 * A stored history is not what was written: bytes changed, or a part is missing.
 *
 * @example Read around the damage, and report it
 * ```ts
 * import { DamagedHistoryError, type EventStore, type HistoryFault } from "@flowmade-one/aether";
 *
 * async function readWhatIsLeft(store: EventStore, actorId: string) {
 *   try {
 *     return await store.getEvents(actorId);
 *   } catch (error) {
 *     if (!(error instanceof DamagedHistoryError)) throw error;
 *     const faults: HistoryFault[] = [];
 *     const events = await Array.fromAsync(store.readEvents(actorId, { onDamage: (fault) => faults.push(fault) }));
 *     for (const { message } of faults) console.error(message);
 *     return events;
 *   }
 * }
 * ```
 *
 * @category Stores
 */
export class DamagedHistoryError extends AetherError {
  static {
    registerClass(this, "DamagedHistoryError");
  }

  /** The actor, if it is known. */
  readonly actorId: string | undefined;
  /** The first damaged or missing version, if it is known. */
  readonly version: number | undefined;
  /** The place in the global log, if it is known. */
  readonly position: string | undefined;
  /** What is wrong. */
  readonly reason: string;

  /** Names the place and what is wrong, and what to do. */
  constructor(
    reason: string,
    place: DamagedPlace,
    { advice = RESTORE, ...options }: ErrorOptions & { readonly advice?: string | undefined } = {},
  ) {
    const where = [
      place.actorId === undefined ? "" : ` of actor ${JSON.stringify(place.actorId)}`,
      place.version === undefined ? "" : ` at version ${place.version}`,
      place.position === undefined ? "" : ` (position ${place.position})`,
    ].join("");
    super(
      `The history${where} is damaged: ${reason}. ${advice}`,
      options,
    );
    this.reason = reason;
    this.actorId = place.actorId;
    this.version = place.version;
    this.position = place.position;
  }
}

/** Where a history begins after retention removed what was before. */
export interface Truncation {
  /** The actor, if the read was of one. */
  readonly actorId?: string | undefined;
  /** The first version that is kept, if any is. */
  readonly firstVersion?: number | undefined;
  /** The position of the first event that is kept, if any is. */
  readonly firstPosition?: string | undefined;
}

/**
 * The beginning of a history was removed by the store's retention.
 *
 * @example Begin at the first event that is kept
 * ```ts
 * import { type EventStore, HistoryTruncatedError } from "@flowmade-one/aether";
 *
 * async function countEvents(store: EventStore): Promise<number> {
 *   let count = 0;
 *   try {
 *     for await (const _event of store.readAll()) count++;
 *   } catch (error) {
 *     if (!(error instanceof HistoryTruncatedError)) throw error;
 *     for await (const _event of store.readAll({ after: "first-kept" })) count++;
 *   }
 *   return count;
 * }
 * ```
 *
 * @category Stores
 */
export class HistoryTruncatedError extends AetherError {
  static {
    registerClass(this, "HistoryTruncatedError");
  }

  /** The actor, if the read was of one. */
  readonly actorId: string | undefined;
  /** The first version that is kept, if any is. */
  readonly firstVersion: number | undefined;
  /** The position of the first event that is kept, if any is. */
  readonly firstPosition: string | undefined;

  /** Describes what is kept. */
  constructor(truncation: Truncation) {
    const { actorId, firstVersion, firstPosition } = truncation;
    super(
      actorId === undefined
        ? `Retention has removed the beginning of the log; ${
          firstPosition ? `the first kept position is ${firstPosition}` : "nothing is kept"
        }. Read after "first-kept" to go on without it`
        : `Retention has removed the beginning of the history of actor ${JSON.stringify(actorId)}; ${
          firstVersion ? `the first kept version is ${firstVersion}` : "nothing is kept"
        }. Replay from a snapshot, or read from the first kept version`,
    );
    this.actorId = actorId;
    this.firstVersion = firstVersion;
    this.firstPosition = firstPosition;
  }
}

/**
 * Damage, or a beginning that is gone.
 *
 * @category Stores
 */
export type HistoryFault = DamagedHistoryError | HistoryTruncatedError;

/**
 * The log is not the one that was written to: it was deleted, made again under the same name, or the connection now
 * reaches another one; or it was found at its opening to be an older copy, or to have lost its end. Nothing is stored in it.
 *
 * @example Open the store again, and begin a new log
 * ```ts
 * import { type EventStore, LogReplacedError } from "@flowmade-one/aether";
 *
 * async function isLogThere(store: EventStore): Promise<boolean> {
 *   try {
 *     await store.getLastPosition();
 *     return true;
 *   } catch (error) {
 *     if (!(error instanceof LogReplacedError)) throw error;
 *     console.error(`${error.log}: restore it from a backup, or open the store again.`);
 *     return false;
 *   }
 * }
 * ```
 *
 * @category Stores
 */
export class LogReplacedError extends AetherError {
  static {
    registerClass(this, "LogReplacedError");
  }

  /** Where the log was, such as `stream "aether_orders"`. */
  readonly log: string;
  /**
   * `other-log`: it is another log than the one that was opened. `end-lost`: a server has cut off a damaged file, or an older
   * copy was restored, so that acknowledged commits at its end are missing. `diverged`: an older copy was restored and has
   * been written to since.
   */
  readonly reason: "other-log" | "end-lost" | "diverged";

  /** Names the log, what has happened to it and what to do. */
  constructor(log: string, reason: LogReplacedError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.log = log;
    this.reason = reason;
  }
}

/**
 * Another log is in the place of the one that was opened.
 *
 * @param log Where the log was, such as `stream "aether_orders"`.
 * @param place What the log is in.
 */
export function otherLog(
  log: string,
  place: "server" | "database" | "file",
  options?: ErrorOptions,
): LogReplacedError {
  const message =
    `The event log in ${log} is not the one that this store was opened on: it was deleted, made again, or ` +
    `this is another ${place}. Restore the log from a backup, or close this store and open it again to use the new log.`;
  return new LogReplacedError(log, "other-log", message, options);
}

export { BackendError, StoreClosedError, StoreOpenError } from "../errors.ts";
