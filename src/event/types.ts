/**
 * The shapes of events: what a user writes, what a store stamps, what it hands back.
 *
 * @module
 */

/**
 * Who and what caused an event, in addition to its data: a few standard names, and the user's own strings.
 *
 * @category Events
 */
export interface EventMetadata {
  /** Names the conversation that an event belongs to: the same for all that one request caused. */
  readonly correlationId?: string;
  /** The id of the event or command that caused this one. */
  readonly causationId?: string;
  /** Who asked for it. */
  readonly userId?: string;
  /** The W3C trace context of the operation that saved the event. */
  readonly traceparent?: string;
  /** The user's own strings. */
  readonly [name: string]: string | undefined;
}

/**
 * Something that happened to an actor. Immutable: what was stored never changes.
 *
 * @typeParam Type The name of what happened, such as `"OrderPlaced"`.
 * @typeParam Data What happened in detail: anything that JSON carries faithfully.
 *
 * @example A union of event types narrows on `eventType`
 * ```ts
 * import type { Event } from "@flowmade-one/aether";
 *
 * type OrderEvent =
 *   | Event<"OrderPlaced", { total: number; items: number }>
 *   | Event<"OrderShipped", { carrier: string; tracking: string }>;
 *
 * function describe(event: OrderEvent): string {
 *   switch (event.eventType) {
 *     case "OrderPlaced":
 *       return `placed for $${event.data.total}`;
 *     case "OrderShipped":
 *       return `shipped with ${event.data.carrier}`;
 *   }
 * }
 *
 * console.assert(describe.length === 1);
 * ```
 *
 * @category Events
 */
export interface Event<Type extends string = string, Data = unknown> {
  /** Names the event itself; a random UUID unless the caller chose one. 1 to 256 UTF-8 bytes. */
  readonly id: string;
  /** What happened. 1 to 256 UTF-8 bytes. */
  readonly eventType: Type;
  /** The actor it happened to. 1 to 512 UTF-8 bytes. */
  readonly actorId: string;
  /** The event's place among its actor's events: a positive safe integer that strictly increases. */
  readonly version: number;
  /** What happened, in detail. */
  readonly data: Data;
  /** When it happened, as UTC with milliseconds: `2026-01-31T12:00:00.000Z`. */
  readonly timestamp: string;
  /** Who and what caused it. */
  readonly metadata?: EventMetadata;
}

/**
 * An event as a store hands it back: frozen, and with its place in the store's global log.
 *
 * @category Events
 */
export type StoredEvent<E extends Event = Event> = E extends Event ? E & {
    /** The event's place in the global log of its store; positions of one log are ordered by `<`. */
    readonly position: string;
  }
  : never;

/**
 * What `append` takes: the store stamps the rest. A `position` is ignored, and `actorId` and `version` are accepted
 * where they equal what would be stamped, so that events which were read can be appended elsewhere.
 *
 * @category Events
 */
export type NewEvent<E extends Event = Event> = E extends Event ?
    & Pick<E, "eventType" | "data">
    & Partial<Pick<E, "id" | "metadata">>
    & {
      /** When it happened: a `Date`, or any RFC 3339 text. @default {now} */
      readonly timestamp?: string | Date;
    }
  : never;

/**
 * What `saveEvent` takes: an event whose actor and version its user has chosen.
 *
 * @category Events
 */
export type EventInput<E extends Event = Event> = NewEvent<E> & {
  /** The actor it happened to. */
  readonly actorId: string;
  /** Above the actor's latest version. */
  readonly version: number;
};

/**
 * The events of `E` whose type is in `T`: what a filter on `eventTypes` delivers.
 *
 * @category Events
 */
export type EventOf<E extends Event, T extends string> = E extends Event
  ? [Extract<T, E["eventType"]>] extends [never] ? never
  : E & { readonly eventType: Extract<T, E["eventType"]> }
  : never;

/**
 * Chooses events. Every condition that is given must hold; an empty filter chooses every event.
 *
 * @category Events
 */
export interface EventFilter<T extends string = string> {
  /** Only events of these types; at least one. */
  readonly eventTypes?: readonly T[];
  /** Only events of this actor. */
  readonly actorId?: string;
  /** Only events of actors whose id begins with this string. */
  readonly actorPrefix?: string;
}
