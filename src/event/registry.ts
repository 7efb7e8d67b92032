/**
 * Schema versions of event types: validation of what is saved, upcasting of what was stored long ago.
 *
 * @module
 */

import { sharedByCopies } from "../copies.ts";
import { InvalidArgumentError } from "../errors.ts";
import { isProxy } from "node:util/types";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import type { EventDefinition, StandardSchema } from "./definitions.ts";
import type { Draft } from "./draft.ts";
import { InvalidEventError, SchemaVersionError } from "./errors.ts";
import { describe } from "../text.ts";
import { hasForgotten } from "./forgotten.ts";
import { type PersonalFields, readPersonal } from "./personal_fields.ts";
import type { StoredEvent } from "./types.ts";
import { type Entry, handled, judge, partsOf, refusalOf, type Restored, validated } from "./upcast.ts";

const DEFINITION: OptionNames<EventDefinition> = {
  version: true,
  schema: true,
  upcast: true,
  renamedFrom: true,
  personal: true,
};

/**
 * In place of definitions: every event is handed out as it was stored, under any schema version. A program that only shows
 * events has no definitions, and newer ones than it knows do not exist.
 */
export const AS_STORED: Readonly<Record<string, never>> = Object.freeze({});

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
  /** The types that events of a former name are handed out as. */
  readonly #renamed = new Map<string, Entry[]>();
  readonly #personal = new Map<string, readonly PersonalFields[]>();
  readonly #isAsStored: boolean;
  #hasSchemas = false;
  /** Whether a type has another version than 1, or a former name. */
  #changesEvents = false;

  /**
   * Takes the definitions of a store's options.
   *
   * @throws {InvalidArgumentError} If a version is not a positive integer, or upcasters are missing or too many.
   */
  constructor(definitions: Readonly<Record<string, EventDefinition | undefined>> = {}) {
    this.#isAsStored = definitions === AS_STORED;
    const listed = readOptions(definitions, (given) => Object.entries(given), "options.events");
    for (const [eventType, definition] of listed) {
      if (!definition) continue;
      const { version = 1, schema, upcast = [], renamedFrom = [], personal } = readOptions(
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
        throw new InvalidArgumentError(
          `events.${eventType}.upcast`,
          `must be a list of functions, and is ${describe(upcast)}`,
        );
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
      const entry = { eventType, version, schema, upcast };
      this.#entries.set(eventType, entry);
      this.#hasSchemas ||= schema !== undefined;
      this.#changesEvents ||= version > 1;
      const fields = readPersonal(`events.${eventType}.personal`, personal);
      if (fields.length > 0) this.#personal.set(eventType, fields);
      for (const former of formerNames(eventType, renamedFrom)) {
        this.#changesEvents = true;
        const others = this.#renamed.get(former);
        if (others) others.push(entry);
        else this.#renamed.set(former, [entry]);
      }
    }
    const both = [...this.#renamed.keys()].find((former) => this.#entries.has(former));
    if (both === undefined) return;
    throw new InvalidArgumentError(
      `events.${both}`,
      `is defined, and is the former name of "${this.#renamed.get(both)![0]!.eventType}": define it once`,
    );
  }

  /**
   * The types that events may be stored under which are handed out as one of some types; `undefined` if these are the
   * same.
   */
  storedTypes(eventTypes: readonly string[] | undefined): readonly string[] | undefined {
    if (!eventTypes || this.#renamed.size === 0) return undefined;
    const asked = new Set(eventTypes);
    const former = [...this.#renamed].flatMap(([name, entries]) =>
      asked.has(name) || entries.some(({ eventType }) => asked.has(eventType)) ? [name] : []
    );
    return former.length === 0 ? undefined : [...new Set([...eventTypes, ...former])];
  }

  /** The schema version that new events of a type are stored under. */
  readonly versionOf = (eventType: string): number => this.#entries.get(eventType)?.version ?? 1;

  /**
   * Checks drafts against their schemas; returns `undefined` if no schema was asynchronous.
   *
   * @throws {InvalidEventError} If a schema refuses the data.
   */
  check(drafts: readonly Draft[]): undefined | Promise<void> {
    if (!this.#hasSchemas) return undefined;
    const pending: Promise<void>[] = [];
    for (const { event, givenVersion } of drafts) {
      const schema = this.#entries.get(event.eventType)?.schema;
      if (!schema) continue;
      const refuse = (field: string, reason: string, cause: unknown): never => {
        const reference = { actorId: event.actorId, version: givenVersion };
        throw new InvalidEventError(field, reason, reference, { cause });
      };
      const result = judge(schema, event.data, refuse);
      if (result) pending.push(handled(result));
    }
    return pending.length === 0 ? undefined : Promise.all(pending).then(() => {});
  }

  /**
   * Brings a stored event to the registered version of its type, or of the types that it was renamed to. Returns the very
   * event if nothing has to be done, and a list if it is handed out as several.
   *
   * @throws {SchemaVersionError} If it was stored under a newer version.
   * @throws {EventSchemaError} If an upcaster fails or the schema refuses the outcome.
   */
  restore(event: StoredEvent): Restored | Promise<Restored> {
    const stored = schemaVersionOf(event);
    const renamed = this.#renamed.size === 0 ? undefined : this.#renamed.get(event.eventType);
    if (renamed) return validated(event, partsOf(event, stored, renamed));
    const entry = this.#entries.get(event.eventType);
    const registered = entry?.version ?? 1;
    if (stored > registered) throw new SchemaVersionError(event.eventType, stored, registered, event);
    if (!entry) return event;
    if (stored < registered) return validated(event, partsOf(event, stored, [entry]));
    if (!entry.schema || hasForgotten(event)) return event;
    const pending = judge(entry.schema, event.data, refusalOf(event));
    return pending ? pending.then(() => event) : event;
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
    return waits ? Promise.all(restored).then((all) => all.flat()) : (restored as Restored[]).flat();
  }

  /** The event types with personal fields. */
  get personal(): ReadonlyMap<string, readonly PersonalFields[]> {
    return this.#personal;
  }

  /** Whether no schema is registered: every event is saved as it comes. */
  get checksNothing(): boolean {
    return !this.#hasSchemas;
  }

  /** Whether every event is handed out as it was stored. */
  get isIdle(): boolean {
    return this.#isAsStored || !this.#changesEvents && !this.#hasSchemas && !noted.any;
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

/** The former names of a type. */
function formerNames(eventType: string, given: unknown): readonly string[] {
  const names = typeof given === "string" ? [given] : given;
  const argument = `events.${eventType}.renamedFrom`;
  if (!isList(names)) {
    throw new InvalidArgumentError(
      argument,
      `must be an event type, or a list of them, and is ${describe(given)}`,
    );
  }
  const list = [...new Set(names as readonly unknown[])];
  const bad = list.findIndex((name) => typeof name !== "string" || name === "" || name === eventType);
  if (bad < 0) return list as readonly string[];
  throw new InvalidArgumentError(argument, `must be another event type, and is ${describe(list[bad])}`);
}
