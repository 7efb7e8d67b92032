/**
 * What a program registers for its types of events: versions, schemas, upcasters, former names.
 *
 * @module
 */

import type { PersonalData } from "./forgotten.ts";
import type { Event, EventMetadata, EventOf } from "./types.ts";

/** A problem that a schema found. */
export interface SchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where: keys, or segments that hold one. */
  readonly path?: readonly (PropertyKey | SchemaPathSegment)[] | undefined;
}

/** A segment of an issue's path. */
export interface SchemaPathSegment {
  /** The key at this place. */
  readonly key: PropertyKey;
}

/** The result of a schema for a value: the accepted value, or what is wrong. */
export type SchemaResult<Output> = SchemaSuccess<Output> | SchemaFailure;

/** The schema accepts. */
export interface SchemaSuccess<Output> {
  /** The value as the schema makes it; a store keeps what it was given, not this. */
  readonly value: Output;
  /** Absent. */
  readonly issues?: undefined;
}

/** The schema refuses. */
export interface SchemaFailure {
  /** What is wrong. */
  readonly issues: readonly SchemaIssue[];
}

/** The functions of a Standard Schema. */
export interface StandardSchemaProps<Output> {
  /** The version of the specification. */
  readonly version: 1;
  /** Who made the schema's library. */
  readonly vendor: string;
  /** Checks a value. */
  readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
}

/**
 * A validator of any library that follows the Standard Schema specification, such as Zod, Valibot or ArkType.
 *
 * @category Events
 */
export interface StandardSchema<Output = unknown> {
  /** The specification's own property. */
  readonly "~standard": StandardSchemaProps<Output>;
}

/**
 * The stored event whose data an upcaster is given, as it was stored.
 *
 * @category Events
 */
export interface UpcastContext {
  /** Its id. */
  readonly id: string;
  /** The type that it was stored under: a former name, if the type was renamed. */
  readonly eventType: string;
  /** Its actor. */
  readonly actorId: string;
  /** Its version among its actor's events. */
  readonly version: number;
  /** When it happened, RFC 3339. */
  readonly timestamp: string;
  /** Its metadata. */
  readonly metadata?: EventMetadata;
  /**
   * Hands the stored event out as several events of the type: `return several([first, second])`. The next upcaster is
   * called for each. `several([])` hands it out as no event of this type, if another type with the same former name takes
   * it: an event that no type takes is an `EventSchemaError` of every read, because a version that is missing looks like a
   * loss.
   */
  several(data: readonly unknown[]): SeveralEvents;
}

/** What {@linkcode UpcastContext.several} returns. */
export interface SeveralEvents {
  /** The data of each event. */
  readonly several: readonly unknown[];
}

/**
 * Turns the data of stored schema version n, frozen, into the data of version n + 1. It must not change its input.
 *
 * @example The time of the event, a type that was renamed, and one that was split
 * ```ts
 * import { type EventDefinitions, InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const storage = new InMemoryStorage();
 * await using old = new InMemoryEventStore({ storage });
 * await old.append("ann", [
 *   { eventType: "NameChanged", data: { name: "Ann Lee" } },
 *   { eventType: "Moved", data: { city: "Oslo" }, timestamp: "2020-01-01T00:00:00Z" },
 * ], { expectedVersion: 0 });
 *
 * const part = (index: number) => (data: { name: string }) => ({ name: data.name.split(" ")[index] });
 * const events: EventDefinitions = {
 *   // Two types name the same former type: each stored event is handed out as one of each, in this order.
 *   FirstNameChanged: { version: 2, renamedFrom: "NameChanged", upcast: [part(0)] },
 *   LastNameChanged: { version: 2, renamedFrom: "NameChanged", upcast: [part(1)] },
 *   Moved: { version: 2, upcast: [(data, { timestamp }) => ({ ...data, since: timestamp.slice(0, 4) })] },
 * };
 * await using store = new InMemoryEventStore({ storage, events });
 * assert.deepEqual((await store.getEvents("ann")).map(({ eventType, version, data }) => [eventType, version, data]), [
 *   ["FirstNameChanged", 1, { name: "Ann" }],
 *   ["LastNameChanged", 1, { name: "Lee" }],
 *   ["Moved", 2, { city: "Oslo", since: "2020" }],
 * ]);
 * ```
 *
 * @category Events
 */
// deno-lint-ignore no-explicit-any -- each version's data has a type of its own, which only its author knows
export type Upcaster = (data: any, event: UpcastContext) => unknown;

/**
 * What is registered for a type of event.
 *
 * @category Events
 */
export interface EventDefinition<Data = unknown> {
  /** The schema version that new events are stored under. @default {1} */
  readonly version?: number;
  /** Checks data when it is saved, and after upcasting when it is read. It only checks: the data stay as they are. */
  readonly schema?: StandardSchema<Data>;
  /** One function for each version before the present one: the first takes version 1 to 2. */
  readonly upcast?: readonly Upcaster[];
  /**
   * The former name of the type, or several: events that are stored under it are handed out under this type, with the
   * schema version that they are stored under. If several types name the same former one, each stored event is handed out
   * as one of each, in the order of the definitions. These share version, position and time; the first keeps the id, and
   * `#2`, `#3` and so on are added to the ids of the others. Filters choose by the types that are handed out, and `limit`
   * counts stored events.
   */
  readonly renamedFrom?: string | readonly string[];
  /**
   * The fields that are about a person, or the fields of several persons: they are encrypted before they are stored, and read as
   * `Forgotten` when the person was forgotten. The store needs the option `vault`. Events that were stored before
   * are read as they were stored.
   */
  readonly personal?: PersonalData<Data> | readonly PersonalData<Data>[];
}

/**
 * The definitions of event types, by type. A type that is not mentioned has version 1 and no schema.
 *
 * @category Events
 */
export type EventDefinitions<E extends Event = Event> = {
  readonly [T in E["eventType"]]?: EventDefinition<EventOf<E, T>["data"]>;
};
