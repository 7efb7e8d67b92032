/**
 * Schema versions of event types: validation of what is saved, upcasting of what was stored long ago.
 *
 * @module
 */

import { sharedByCopies } from "../copies.ts";
import { InvalidArgumentError } from "../errors.ts";
import { isProxy } from "node:util/types";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { EventSchemaError, InvalidEventError, SchemaVersionError } from "./errors.ts";
import { copyJson } from "./json.ts";
import { describe } from "./text.ts";
import type { Draft } from "./draft.ts";
import type { Event, EventOf, StoredEvent } from "./types.ts";

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

/** What a schema says of a value: the value it accepts, or what is wrong. */
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

/** A validator of any library that follows the Standard Schema specification, such as Zod, Valibot or ArkType. */
export interface StandardSchema<Output = unknown> {
  /** The specification's own property. */
  readonly "~standard": StandardSchemaProps<Output>;
}

/** Turns the data of stored schema version n, frozen, into the data of version n + 1. It must not change its input. */
// deno-lint-ignore no-explicit-any -- each version's data has a type of its own, which only its author knows
export type Upcaster = (data: any) => unknown;

/** What is registered for a type of event. */
export interface EventDefinition<Data = unknown> {
  /** The schema version that new events are stored under. @default {1} */
  readonly version?: number;
  /** Checks data when it is saved, and after upcasting when it is read. It only checks: the data stay as they are. */
  readonly schema?: StandardSchema<Data>;
  /** One function for each version before the present one: the first takes version 1 to 2. */
  readonly upcast?: readonly Upcaster[];
}

/** The definitions of event types, by type. A type that is not mentioned has version 1 and no schema. */
export type EventDefinitions<E extends Event = Event> = {
  readonly [T in E["eventType"]]?: EventDefinition<EventOf<E, T>["data"]>;
};

const DEFINITION: OptionNames<EventDefinition> = { version: true, schema: true, upcast: true };

interface Entry {
  readonly version: number;
  readonly schema: StandardSchema | undefined;
  readonly upcast: readonly Upcaster[];
}

/** Upcast data may be of any size: what counts is what was stored. */
const NO_LIMIT = Infinity;

/** Refuses what cannot check data. */
function checkSchema(eventType: string, schema: StandardSchema | undefined): void {
  if (schema === undefined) return;
  try {
    if (typeof schema["~standard"].validate === "function") return;
  } catch {
    // refused below
  }
  throw new InvalidArgumentError(
    `events.${eventType}.schema`,
    'must be a Standard Schema: an object with "~standard"',
  );
}

/** Whether it is an array that can be looked at: a Proxy is none. */
function isList(value: unknown): boolean {
  try {
    return Array.isArray(value) && !isProxy(value);
  } catch {
    return false;
  }
}

/** The event types that a store knows more about than their names. */
export class EventRegistry {
  readonly #entries = new Map<string, Entry>();

  /**
   * Takes the definitions of a store's options.
   *
   * @throws {InvalidArgumentError} If a version is not a positive integer, or upcasters are missing or too many.
   */
  constructor(definitions: Readonly<Record<string, EventDefinition | undefined>> = {}) {
    const listed = readOptions(definitions, (given) => Object.entries(given), "options.events");
    for (const [eventType, definition] of listed) {
      if (!definition) continue;
      const { version = 1, schema, upcast = [] } = readOptions(
        definition,
        ({ ...fields }) => {
          checkKnown<EventDefinition>(fields, DEFINITION, `events.${eventType}`);
          return fields;
        },
        `events.${eventType}`,
      );
      checkSchema(eventType, schema);
      if (!Number.isSafeInteger(version) || version < 1) {
        throw new InvalidArgumentError(
          `events.${eventType}.version`,
          `must be a positive integer, and is ${describe(version)}`,
        );
      }
      if (!isList(upcast)) {
        throw new InvalidArgumentError(`events.${eventType}.upcast`, "must be a list of functions");
      }
      if (upcast.length !== version - 1) {
        throw new InvalidArgumentError(
          `events.${eventType}.upcast`,
          `has ${upcast.length} functions, and version ${version} needs ${
            version - 1
          }: one from each version before it`,
        );
      }
      if (!upcast.every((step) => typeof step === "function")) {
        throw new InvalidArgumentError(`events.${eventType}.upcast`, "must be a list of functions");
      }
      this.#entries.set(eventType, { version, schema, upcast });
    }
  }

  /** The schema version that new events of a type are stored under. */
  readonly versionOf = (eventType: string): number => this.#entries.get(eventType)?.version ?? 1;

  /**
   * Checks drafts against their schemas; returns nothing where no schema had to be waited for.
   *
   * @throws {InvalidEventError} If a schema refuses the data.
   */
  check(drafts: readonly Draft[]): undefined | Promise<void> {
    if (this.#entries.size === 0) return undefined;
    const pending: Promise<void>[] = [];
    for (const { event, givenVersion } of drafts) {
      const schema = this.#entries.get(event.eventType)?.schema;
      if (!schema) continue;
      const reference = { actorId: event.actorId, version: givenVersion };
      const judge = (result: SchemaResult<unknown>): void => {
        const issue = result.issues?.[0];
        if (issue) {
          throw new InvalidEventError(issuePath(issue), issue.message, reference, { cause: result.issues });
        }
      };
      const result = schema["~standard"].validate(event.data);
      if (result instanceof Promise) pending.push(handled(result.then(judge)));
      else judge(result);
    }
    return pending.length === 0 ? undefined : Promise.all(pending).then(() => {});
  }

  /**
   * Brings a stored event to the registered version of its type. Returns the very event where nothing is to be done.
   *
   * @throws {SchemaVersionError} If it was stored under a newer version.
   * @throws {EventSchemaError} If an upcaster fails or the schema refuses the outcome.
   */
  restore(event: StoredEvent): StoredEvent | Promise<StoredEvent> {
    const stored = schemaVersionOf(event);
    const entry = this.#entries.get(event.eventType);
    const registered = entry?.version ?? 1;
    if (stored > registered) throw new SchemaVersionError(event.eventType, stored, registered, event);
    if (!entry) return event;
    const current = stored === registered ? event : upcast(event, stored, entry);
    const result = entry.schema?.["~standard"].validate(current.data);
    if (result instanceof Promise) return result.then((settled) => accept(current, settled));
    return accept(current, result);
  }

  /** Restores many events; a promise only where a schema has to be waited for. */
  restoreAll(events: readonly StoredEvent[]): readonly StoredEvent[] | Promise<readonly StoredEvent[]> {
    if (this.isIdle) return events;
    let waits = false;
    const restored = events.map((event) => {
      const result = this.restore(event);
      if (!(result instanceof Promise)) return result;
      waits = true;
      return handled(result);
    });
    return waits ? Promise.all(restored) : restored as StoredEvent[];
  }

  /** Whether nothing is registered: every event is saved as it comes. */
  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Whether every event is handed out as it was stored. */
  get isIdle(): boolean {
    return this.#entries.size === 0 && !noted.any;
  }
}

/** The schema versions of stored events in memory that have another one than 1. */
const noted = sharedByCopies("schema-versions/1", () => ({
  versions: new WeakMap<object, number>(),
  any: false,
}));

/** Notes the schema version that an event was stored under, until the event is restored. */
export function noteSchemaVersion(event: object, schemaVersion: number): void {
  if (schemaVersion === 1) return;
  noted.versions.set(event, schemaVersion);
  noted.any = true;
}

/** The schema version that an event was stored under. */
export function schemaVersionOf(event: object): number {
  return noted.any ? noted.versions.get(event) ?? 1 : 1;
}

/** A promise of several, of which another may fail first and leave nobody to wait for this one. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

function accept(event: StoredEvent, result: SchemaResult<unknown> | undefined): StoredEvent {
  const issue = result?.issues?.[0];
  if (!issue) return event;
  throw new EventSchemaError(event.eventType, `${issuePath(issue)}: ${issue.message}`, event, {
    cause: result?.issues,
  });
}

function upcast(event: StoredEvent, from: number, entry: Entry): StoredEvent {
  try {
    let data = event.data;
    for (const step of entry.upcast.slice(from - 1)) data = step(data);
    return Object.freeze({ ...event, data: copyJson(data, "data", NO_LIMIT).value });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EventSchemaError(event.eventType, `upcasting from version ${from} failed: ${reason}`, event, {
      cause,
    });
  }
}

function issuePath(issue: SchemaIssue): string {
  return ["data", ...(issue.path ?? [])].map((part) => String(typeof part === "object" ? part.key : part))
    .join(".");
}
