/**
 * Actors: their list, and the history and the states of one of them.
 *
 * @module
 */

import type { DamageRow, EventRow } from "./event.ts";

/** Some of the actors, in the order of the store: in Deno KV that of their ids, elsewhere none in particular. */
export interface ActorPage {
  /** The actors. */
  readonly actors: readonly {
    /** The id. */
    readonly actorId: string;
    /** The version of its latest event. */
    readonly latestVersion: number;
  }[];
  /** Pass it as `after` for the next page; `null` if there is none. */
  readonly next: string | null;
}

/**
 * Some of an actor's events: those of the versions `from` to `to`, in order of `direction` (`forward` or `backward`, by default
 * `backward`: the latest first). An actor without events is `not-found`.
 */
export interface HistoryPage {
  /** The actor. */
  readonly actorId: string;
  /** The version of its latest event. */
  readonly latestVersion: number;
  /** The events. Versions may have gaps. */
  readonly events: readonly EventRow[];
  /** What cannot be read in this part of the history. */
  readonly damage: readonly DamageRow[];
  /** The version to go on with, as `from` (forward) or `to` (backward); `null` at the end. */
  readonly next: number | null;
}

/** An actor at a version (by default its latest): the event that brought it there, and the state if a decider was named. */
export interface ActorState {
  /** The actor. */
  readonly actorId: string;
  /** The version that was asked for. */
  readonly version: number;
  /** The latest event up to that version; `null` if there is none, because the version is 0 or events have expired. */
  readonly event: EventRow | null;
  /** The decider's name; `null` if none was named. */
  readonly decider: string | null;
  /** The state, as JSON carries it; `null` without a decider. */
  readonly state: unknown;
}

/** What has changed from version `a` to `b`: the state by a decider; without one, the data of the two events. */
export interface Difference {
  /** The actor. */
  readonly actorId: string;
  /** The first version. */
  readonly a: number;
  /** The second version. */
  readonly b: number;
  /** The decider's name; `null` if none was named. */
  readonly decider: string | null;
  /** The changes; at most `maxLimit` of the session. */
  readonly changes: readonly Change[];
  /** Whether there are more changes than that. */
  readonly isCut: boolean;
}

/** A field that has changed. */
export interface Change {
  /** The way to the field: names, and the numbers of list items; empty for the whole. */
  readonly path: readonly (string | number)[];
  /** How it was; missing if it did not exist. */
  readonly before?: unknown;
  /** How it is; missing if it does not exist any more. */
  readonly after?: unknown;
}

/** An actor's history from its first event to version `to` (by default its latest), as the `given([...])` of a test. */
export interface Given {
  /** The text, TypeScript. */
  readonly text: string;
  /** How many events it has. */
  readonly events: number;
  /** Whether the history is too long, so that only its first events are in the text. */
  readonly isCut: boolean;
}
