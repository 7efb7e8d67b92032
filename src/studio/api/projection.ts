/**
 * Projections, and what they have set aside.
 *
 * @module
 */

/** Some of the projections, and how they are getting on. */
export interface ProjectionList {
  /** The projections, by name and version; `limit` counts names, since the versions of a name belong together. */
  readonly projections: readonly ProjectionRow[];
  /** Pass it as `after` for the next page; `null` if there is none. */
  readonly next: string | null;
}

/** How a projection is getting on. */
export interface ProjectionRow {
  /** Its name. */
  readonly name: string;
  /** Its version. */
  readonly version: number;
  /** In one word: `problem` is a log that cannot be read on from its position. */
  readonly state: "up-to-date" | "behind" | "failing" | "stopped" | "problem" | "rebuilding" | "replaced";
  /** Everything up to here was handled, left out or parked; `null` if it has not begun. */
  readonly position: string | null;
  /** How many events it has handled. */
  readonly handled: number;
  /** How many events it handles a second, of late. */
  readonly rate: number;
  /** When its checkpoint was written, RFC 3339. */
  readonly savedAt: string;
  /** How far it is behind; `null` if it is not known. */
  readonly lag: LagRow | null;
  /** Why it cannot go on, for people; `null` if it can. */
  readonly problem: string | null;
  /** The event that fails; `null` if none does. */
  readonly failing: FailingRow | null;
  /** How many events it has set aside. */
  readonly parked: number;
  /** Its segments; empty if it has none. */
  readonly segments: readonly SegmentRow[];
  /** How far it is, if it is being built to replace another version; else `null`. */
  readonly rebuild: {
    /** The version that serves until then. */
    readonly replaces: number;
    /** Which part of the log it has handled, from 0 to 1. */
    readonly share: number;
    /** How long it still takes, about, in milliseconds; `null` if it is not known. */
    readonly timeLeft: number | null;
  } | null;
  /** The version that has taken over; `null` if none has. */
  readonly replacedBy: number | null;
  /** Whether its handler is known here, so that parked events can be retried. */
  readonly canRetry: boolean;
}

/** How far a projection is behind. */
export interface LagRow {
  /** How many events, as far as they were counted. */
  readonly events: number;
  /** Whether there are more than were counted. */
  readonly isMore: boolean;
  /** The age of the oldest that was not handled, in milliseconds; 0 if there is none. */
  readonly time: number;
}

/** How a segment of a projection is getting on. */
export interface SegmentRow {
  /** Which one, from 0. */
  readonly index: number;
  /** See {@linkcode ProjectionRow}. */
  readonly state: "up-to-date" | "behind" | "failing" | "stopped" | "problem";
  /** How many events it has handled. */
  readonly handled: number;
  /** How many events it handles a second, of late. */
  readonly rate: number;
  /** How far it is behind; `null` if it is not known. */
  readonly lag: LagRow | null;
  /** The event that fails; `null` if none does. */
  readonly failing: FailingRow | null;
  /** How many events it has set aside. */
  readonly parked: number;
}

/** An event that a handler fails on. */
export interface FailingRow {
  /** Its position. */
  readonly position: string;
  /** Its actor. */
  readonly actorId: string;
  /** Its version. */
  readonly eventVersion: number;
  /** Its type. */
  readonly eventType: string;
  /** The handler's error. */
  readonly error: string;
  /** How often it was tried. */
  readonly attempts: number;
}

/** How projections are getting on, as it changes: the whole page each time, at most once in two seconds. */
export interface ProjectionsLive {
  /** The page. */
  readonly projections: ProjectionList;
}

/** Some of what a projection has set aside, oldest first. A projection without a checkpoint is `not-found`. */
export interface ParkedPage {
  /** The projection's name. */
  readonly projection: string;
  /** Its version. */
  readonly version: number;
  /** The events. */
  readonly parked: readonly ParkedRow[];
  /** Pass it as `after` for the next page; `null` if there is none. */
  readonly next: string | null;
}

/** An event that was set aside. */
export interface ParkedRow extends FailingRow {
  /** Since when, RFC 3339. */
  readonly parkedAt: string;
  /** Whether later events of its actor (or key) wait behind it. */
  readonly blocksActor: boolean;
}

/** A parked event to be retried or discarded. */
export interface ParkedCommand {
  /** The projection's name. */
  readonly projection: string;
  /** Its version. @default {1} */
  readonly version?: number;
  /** The position of the parked event. */
  readonly position: string;
}

/** A parked event was handled or discarded. */
export interface ParkedResult {
  /** What is still parked, counted. */
  readonly parked: number;
  /**
   * The next event of the actor, which waited behind the discarded one and is parked in its place now: its handler failed on it, or
   * is not known to this studio. `null` if none waits.
   */
  readonly next: ParkedRow | null;
}
