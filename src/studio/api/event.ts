/**
 * An event as it is shown, and what it is linked to.
 *
 * @module
 */

/** An event, whole. */
export interface EventRow {
  /** Its id. */
  readonly id: string;
  /** What happened. */
  readonly eventType: string;
  /** To which actor. */
  readonly actorId: string;
  /** Its version among its actor's events. */
  readonly version: number;
  /** Its place in the log. Positions of one log are ordered by `<`. */
  readonly position: string;
  /** When it happened, RFC 3339. */
  readonly timestamp: string;
  /** What happened in detail: any JSON. A field of a person who was forgotten is `{ $forgotten: <time> }`. */
  readonly data: unknown;
  /** Who and what caused it: `causationId`, `correlationId`, `userId`, `traceparent`, and the user's own. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A place of the log that cannot be read. The rows around it are shown all the same. */
export interface DamageRow {
  /** What is wrong, for people. */
  readonly message: string;
  /** The actor, if it is known. */
  readonly actorId?: string;
  /** The version, if it is known. */
  readonly version?: number;
  /** The position, if it is known. */
  readonly position?: string;
}

/**
 * What caused an event, and what it caused, as far as a bounded part of the log around it shows. With `before` and `after`
 * the search goes on where an earlier one ended.
 */
export interface EventLinks {
  /** The event whose id is this event's `causationId`, if it was found; else `null`. */
  readonly cause: EventRow | null;
  /** Events whose `causationId` is this event's id, in order of the log. */
  readonly effects: readonly EventRow[];
  /** Other events with the same `correlationId`, in order of the log. */
  readonly related: readonly EventRow[];
  /** Pass it as `before` to search further back; `null` if the beginning of the log, or the cause, was found. */
  readonly before: string | null;
  /** Pass it as `after` to search further on; `null` if the end of the log was reached. */
  readonly after: string | null;
}
