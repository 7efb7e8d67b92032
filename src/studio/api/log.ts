/**
 * The log: its pages, its end as it grows, and what its latest events are like.
 *
 * @module
 */

import type { DamageRow, EventRow } from "./event.ts";

/**
 * Some of the log. With `after` (a position, or `start`) the events behind it; with `before` (a position) those in front of it;
 * with neither the latest. Always in order of the log, the oldest first.
 */
export interface LogPage {
  /** The events. */
  readonly events: readonly EventRow[];
  /** What cannot be read in this part of the log. */
  readonly damage: readonly DamageRow[];
  /** Pass it as `before` for the events in front of these; `null` at the beginning. */
  readonly earlier: string | null;
  /** Pass it as `after` for the events behind these; `null` if these are the latest at the moment. */
  readonly later: string | null;
  /** The position of the last event of the log; `null` if the log is empty. Pass it as `after` to `api/log/live`. */
  readonly last: string | null;
}

/** What the latest events are like: at most `limit` of them are looked at. */
export interface Activity {
  /** How many were looked at. */
  readonly events: number;
  /** The time of the first of them, RFC 3339; `null` if there are none. */
  readonly since: string | null;
  /** The time of the last of them, RFC 3339; `null` if there are none. */
  readonly until: string | null;
  /** How many events there were in each of as many equal parts of the time as the list is long, from `since` to `until`. */
  readonly rate: readonly number[];
  /** How many events there were of each type, the most frequent first. */
  readonly types: readonly TypeCount[];
  /** How many events there were of types that are not listed. */
  readonly otherTypes: number;
}

/** How many events there are of a type. */
export interface TypeCount {
  /** The type. */
  readonly eventType: string;
  /** How many. */
  readonly count: number;
}

/**
 * The log as it grows: events after the position `after` (by default the present end). `EventSource` goes on after
 * the last position by itself, also in a tab that has slept; what is too much to be sent is left out, and counted in a `gap`.
 */
export interface LogLive {
  /** New events, in order; the message's id is the position of the last. */
  readonly events: readonly EventRow[];
  /** Events were left out, because the page is slower than the log. */
  readonly gap: LogGap;
  /** What came in the last second, also of what was left out; not sent in a second without events after another such. */
  readonly rate: {
    /** The server's time, RFC 3339. */
    readonly at: string;
    /** How many events. */
    readonly events: number;
    /** How many of each type; at most 20 types. */
    readonly types: readonly TypeCount[];
  };
  /** A place of the log that cannot be read; the stream goes on behind it. */
  readonly damage: DamageRow;
}

/** Events that were left out of a stream. Read them as `api/log?after=<after>`, up to `until`. */
export interface LogGap {
  /** How many, as far as they were counted. */
  readonly events: number;
  /** Whether there are more than that. */
  readonly isMore: boolean;
  /** The position in front of the first of them. */
  readonly after: string;
  /** The position of the last of them. */
  readonly until: string;
}
