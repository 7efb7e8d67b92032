/**
 * What weakens a store, and whether its log is whole.
 *
 * @module
 */

import type { DamageRow } from "./event.ts";

/** What weakens a store, and what it can hold. */
export interface Health {
  /** What weakens it, the most severe first. */
  readonly findings: readonly {
    /** A stable name. */
    readonly code: string;
    /** How much it matters. */
    readonly severity: "info" | "warning" | "critical";
    /** What is so, and what can be lost by it. */
    readonly message: string;
    /** What to do. */
    readonly advice: string;
  }[];
  /** The most that one commit may hold; `null` if there is no limit. */
  readonly limits: {
    /** Actors of a commit. */
    readonly actorsPerCommit: number | null;
    /** Events of a commit. */
    readonly eventsPerCommit: number | null;
    /** Bytes of a commit's events as JSON. */
    readonly bytesPerCommit: number | null;
    /** Bytes of one event as JSON. */
    readonly bytesPerEvent: number | null;
  };
  /** The position of the last event; `null` if the log is empty. */
  readonly last: string | null;
  /** The last seal; `null` if it is not known where the seal is, or there is none. */
  readonly seal: {
    /** Its name, as its checkpoint has it. */
    readonly origin: string;
    /** How many events are sealed. */
    readonly size: number;
    /** When it was signed, by the clock of the sealer, RFC 3339; `null` if it has no time. */
    readonly sealedAt: string | null;
    /** The root of the tree, base64. */
    readonly root: string;
    /** The position of the last sealed event; `null` if there is none. */
    readonly position: string | null;
    /** When that event happened, RFC 3339; `null` if there is none. */
    readonly timestamp: string | null;
  } | null;
}

/** A verification, which reads the whole log. To close the stream ends it. One runs at a time: a second is `failed` with `busy`. */
export interface VerifyLive {
  /** How far it is, a few times a second. */
  readonly progress: {
    /** Commits read so far. */
    readonly commits: number;
    /** Events read so far. */
    readonly events: number;
  };
  /** What was found. It is the last message: close the `EventSource`. */
  readonly report: {
    /** Whether nothing was found. */
    readonly ok: boolean;
    /** Commits read. */
    readonly commits: number;
    /** Events read. */
    readonly events: number;
    /** Actors read. */
    readonly actors: number;
    /** The log's last position; `null` if the log is empty. */
    readonly lastPosition: string | null;
    /** How many damaged or truncated places there are: {@linkcode FaultPage} lists them. */
    readonly faultCount: number;
  };
}

/** Some of what the last verification has found. */
export interface FaultPage {
  /** The damaged or truncated places. */
  readonly faults: readonly DamageRow[];
  /** Pass it as `after` for the next page; `null` if there is none. */
  readonly next: string | null;
}
