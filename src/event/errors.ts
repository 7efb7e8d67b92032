/**
 * What can be wrong with an event.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";

/** Which event an error speaks of, as far as it is known. */
export interface EventReference {
  /** The event's actor. */
  readonly actorId?: string | undefined;
  /** The event's version. */
  readonly version?: number | undefined;
}

/**
 * An event cannot be stored as it is. It names the field; nothing was stored.
 *
 * @example What JSON cannot carry is refused
 * ```ts
 * import { InMemoryEventStore, InvalidEventError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * try {
 *   const data = { items: [{ price: 5n }] };
 *   await store.append("order-1", [{ eventType: "OrderPlaced", data }], { expectedVersion: 0 });
 * } catch (error) {
 *   if (!(error instanceof InvalidEventError)) throw error;
 *   assert.equal(error.field, "data.items[0].price");
 * }
 * ```
 *
 * @category Events
 */
export class InvalidEventError extends AetherError {
  static {
    registerClass(this, "InvalidEventError");
  }

  /** The path of the offending field, such as `data.items[3].price`. */
  readonly field: string;
  /** The event's actor, if it is known. */
  readonly actorId: string | undefined;
  /** The event's version, if it is known. */
  readonly version: number | undefined;

  /** Creates the error from the field and what it must be. */
  constructor(field: string, message: string, event?: EventReference, options?: ErrorOptions) {
    super(`Invalid event: ${field}: ${message}`, options);
    this.field = field;
    this.actorId = event?.actorId;
    this.version = event?.version;
  }
}

/**
 * An event is larger than its store takes. Nothing was stored.
 *
 * @category Events
 */
export class EventTooLargeError extends AetherError {
  static {
    registerClass(this, "EventTooLargeError");
  }

  /** The most that the store takes, in UTF-8 bytes of the event as JSON. */
  readonly limit: number;
  /** The event's size in bytes; at least that much where counting it out would have been costly. */
  readonly size: number;
  /** The event's actor, if it is known. */
  readonly actorId: string | undefined;

  /** Names the size and the limit. */
  constructor(size: number, limit: number, actorId?: string) {
    super(
      `The event is ${size} bytes or more as JSON, and this store takes ${limit}: ` +
        "keep large content elsewhere and store a reference to it",
    );
    this.limit = limit;
    this.size = size;
    this.actorId = actorId;
  }
}

/** The place of an event that cannot be read. */
export interface StoredEventReference {
  /** When the event happened, RFC 3339. */
  readonly timestamp: string;
  /** The event's id. */
  readonly id: string;
  /** The event's actor. */
  readonly actorId: string;
  /** The event's version. */
  readonly version: number;
  /** The event's place in the global log. */
  readonly position: string;
}

/**
 * A stored event was written under a newer schema version than the one that is registered here.
 *
 * @example A program that is older than its events
 * ```ts
 * import { InMemoryEventStore, InMemoryStorage, SchemaVersionError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const storage = new InMemoryStorage();
 * await using newer = new InMemoryEventStore({
 *   storage,
 *   events: { OrderPlaced: { version: 2, upcast: [(data) => data] } },
 * });
 * await newer.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 *
 * await using older = new InMemoryEventStore({ storage });
 * await assert.rejects(older.getEvents("order-1"), SchemaVersionError);
 * ```
 *
 * @category Events
 */
export class SchemaVersionError extends AetherError {
  static {
    registerClass(this, "SchemaVersionError");
  }

  /** The type of the event. */
  readonly eventType: string;
  /** The schema version that the event was stored under. */
  readonly storedVersion: number;
  /** The schema version that this store knows. */
  readonly registeredVersion: number;
  /** The event's actor. */
  readonly actorId: string;
  /** The event's version among its actor's events. */
  readonly version: number;
  /** The event's place in the global log. */
  readonly position: string;

  /** Names both versions. */
  constructor(eventType: string, storedVersion: number, registeredVersion: number, at: StoredEventReference) {
    super(
      `Event ${at.version} of actor "${at.actorId}" is a "${eventType}" of schema version ${storedVersion}, and this ` +
        `program knows version ${registeredVersion}: deploy the newer program, or register version ${storedVersion}`,
    );
    this.eventType = eventType;
    this.storedVersion = storedVersion;
    this.registeredVersion = registeredVersion;
    this.actorId = at.actorId;
    this.version = at.version;
    this.position = at.position;
  }
}

/**
 * A stored event does not fit the registered schema, or an upcaster failed on it.
 *
 * @example An old event that does not fit, and how to fix it
 * ```ts
 * import { type EventDefinition, EventSchemaError, InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const storage = new InMemoryStorage();
 * await using old = new InMemoryEventStore({ storage });
 * await old.append("order-1", [{ eventType: "OrderPlaced", data: { amount: 5 } }], { expectedVersion: 0 });
 *
 * // Any Standard Schema will do, from zod or valibot for example; this one is written by hand.
 * const schema: EventDefinition["schema"] = {
 *   "~standard": {
 *     version: 1,
 *     vendor: "by hand",
 *     validate: (value) =>
 *       (value as { total?: number }).total ? { value } : { issues: [{ message: "is missing", path: ["total"] }] },
 *   },
 * };
 * await using strict = new InMemoryEventStore({ storage, events: { OrderPlaced: { version: 1, schema } } });
 * await assert.rejects(strict.getEvents("order-1"), EventSchemaError);
 *
 * const upcast = [(data: unknown) => ({ total: (data as { amount: number }).amount })];
 * await using fixed = new InMemoryEventStore({ storage, events: { OrderPlaced: { version: 2, schema, upcast } } });
 * assert.deepEqual((await fixed.getEvents("order-1"))[0]?.data, { total: 5 });
 * ```
 *
 * @category Events
 */
export class EventSchemaError extends AetherError {
  static {
    registerClass(this, "EventSchemaError");
  }

  /** The event's id. */
  readonly eventId: string;
  /** When the event happened, RFC 3339. */
  readonly timestamp: string;
  /** The type of the event. */
  readonly eventType: string;
  /** The event's actor. */
  readonly actorId: string;
  /** The event's version among its actor's events. */
  readonly version: number;
  /** The event's place in the global log. */
  readonly position: string;

  /** Creates the error from what does not fit. */
  constructor(eventType: string, reason: string, at: StoredEventReference, options?: ErrorOptions) {
    super(
      `Event ${at.version} of actor "${at.actorId}", a stored "${eventType}", cannot be handed out: ${reason}. ` +
        "Fix the schema or the upcaster; the stored event stays as it is",
      options,
    );
    this.eventId = at.id;
    this.timestamp = at.timestamp;
    this.eventType = eventType;
    this.actorId = at.actorId;
    this.version = at.version;
    this.position = at.position;
  }
}
