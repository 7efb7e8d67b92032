/**
 * From what a user passes in to what a store keeps: validated and copied in one pass.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { EventTooLargeError, InvalidEventError } from "./errors.ts";
import { copyJson, JsonFault, JsonTooLarge } from "./json.ts";
import { describe, nameFault } from "../text.ts";
import { currentTimestamp, toTimestamp } from "./timestamp.ts";
import type { EventMetadata } from "./types.ts";

/** The most UTF-8 bytes of an actor id: escaped for NATS, three times that, it still fits the server's line. */
export const MAX_ACTOR_ID_BYTES = 512;
/** The most UTF-8 bytes of an event's id or type. */
export const MAX_NAME_BYTES = 256;

/** An event on its way into a store, or out of it, before it is frozen: `version` and `position` come last. */
export interface DraftEvent {
  /** Names the event. */
  readonly id: string;
  /** What happened. */
  readonly eventType: string;
  /** The actor it happened to. */
  readonly actorId: string;
  /** 0 until the store has numbered it. */
  version: number;
  /** A frozen copy. */
  readonly data: unknown;
  /** UTC with milliseconds. */
  readonly timestamp: string;
  /** A frozen copy. */
  readonly metadata?: EventMetadata;
  /** Empty until the store has placed it. */
  position: string;
}

/**
 * Makes an event out of its fields. It is a plain object, as a literal would be, and is not made by one so that it is
 * collected when it is done with (see `short_lived.ts`). The prototype of a class cannot be replaced,
 * so it is made by a function that is called with `new`.
 */
const PlainEvent = function (
  this: Mutable<DraftEvent>,
  id: string,
  eventType: string,
  actorId: string,
  data: unknown,
  timestamp: string,
): void {
  this.id = id;
  this.eventType = eventType;
  this.actorId = actorId;
  this.version = 0;
  this.data = data;
  this.timestamp = timestamp;
  this.position = "";
} as unknown as new ( // TypeScript has no type for a function that is called with `new`
  id: string,
  eventType: string,
  actorId: string,
  data: unknown,
  timestamp: string,
) => DraftEvent;
PlainEvent.prototype = Object.prototype;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A validated event, and what its store needs to know in addition. */
export class Draft {
  /** The event itself. */
  readonly event: DraftEvent;
  /** The version its user gave, if any. */
  readonly givenVersion: number | undefined;
  /** Whether its user chose the id. */
  readonly givenId: boolean;
  /** The schema version of its type. */
  readonly schemaVersion: number;
  /** An upper bound of its size as JSON, in bytes. */
  readonly most: number;

  /** Takes over what it is made of. */
  constructor(
    event: DraftEvent,
    givenVersion: number | undefined,
    givenId: boolean,
    schemaVersion: number,
    most: number,
  ) {
    this.event = event;
    this.givenVersion = givenVersion;
    this.givenId = givenId;
    this.schemaVersion = schemaVersion;
    this.most = most;
  }
}

/** What drafting needs of a store. */
export interface DraftContext {
  /** Makes ids. */
  readonly newId: () => string;
  /** Returns the current time. The default is the machine's clock. */
  readonly now: (() => Date) | undefined;
  /** The most bytes an event may have as JSON. */
  readonly bytesPerEvent: number;
  /** The registered schema version of a type, 1 if none is. */
  readonly schemaVersionOf: (eventType: string) => number;
}

const FIELDS = new Set([
  "id",
  "eventType",
  "actorId",
  "version",
  "data",
  "timestamp",
  "metadata",
  "position",
]);

/** The most that an event's fields add to the size of its names and data: quotes, commas, the timestamp. */
const FIXED_BYTES = 256;

/**
 * Returns why a value cannot be an actor id, or `undefined` if it can.
 *
 * @param actorId The value.
 */
export function actorIdFault(actorId: unknown): string | undefined {
  return nameFault(actorId, MAX_ACTOR_ID_BYTES);
}

/** Whether a value can be an event's version. */
export function isVersion(version: unknown): version is number {
  return Number.isSafeInteger(version) && version as number > 0;
}

/** A user's event, whose fields may turn out to be anything. */
type Input = Readonly<
  Partial<Record<"id" | "eventType" | "actorId" | "version" | "data" | "timestamp" | "metadata", unknown>>
>;

/**
 * Validates and copies an event.
 *
 * @param input What the user passed in.
 * @param actorId The actor that `append` was called with; without one, the event must carry its own and a version.
 * @throws {InvalidEventError} If a field cannot be stored; the error names it.
 * @throws {EventTooLargeError} If the data is far over the limit; the exact check comes with the encoding.
 */
export function draftEvent(input: unknown, actorId: string | undefined, context: DraftContext): Draft {
  if (typeof input !== "object" || input === null) {
    throw new InvalidEventError("event", `must be an object, and is ${describe(input)}`);
  }
  const reference = actorId === undefined ? peek(input as Input) : { actorId };
  try {
    return draft(input as Input, actorId, context);
  } catch (error) {
    if (error instanceof JsonTooLarge) {
      throw new EventTooLargeError(error.size, context.bytesPerEvent, reference.actorId);
    }
    if (error instanceof JsonFault) throw new InvalidEventError(error.path, error.message, reference, error);
    if (error instanceof Refusal) throw new InvalidEventError(error.field, error.message, reference);
    if (error instanceof InvalidArgumentError) throw error;
    throw new InvalidEventError("event", "could not be read", reference, { cause: error });
  }
}

/** A field that cannot be stored; the caller that catches it adds which event it is. */
class Refusal extends Error {
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

function draft(input: Input, actor: string | undefined, context: DraftContext): Draft {
  for (const field of Object.keys(input)) {
    if (!FIELDS.has(field)) {
      throw new Refusal(field, `is no field of an event; known are ${[...FIELDS].join(", ")}`);
    }
  }
  const givenActor = input.actorId;
  if (actor === undefined || givenActor !== undefined) {
    const fault = actorIdFault(givenActor);
    if (fault) throw new Refusal("actorId", fault);
    if (actor !== undefined && givenActor !== actor) {
      throw new Refusal(
        "actorId",
        `is ${describe(givenActor)}, and the events are appended to ${describe(actor)}`,
      );
    }
  }
  const version = input.version;
  if ((actor === undefined || version !== undefined) && !isVersion(version)) {
    throw new Refusal("version", `must be an integer from 1 to 2^53 - 1, and is ${describe(version)}`);
  }
  const givenId = input.id;
  if (givenId !== undefined) checkName("id", givenId);
  const id = givenId === undefined ? context.newId() : givenId as string;
  if (givenId === undefined) checkName("id", id);
  const eventType = input.eventType;
  checkName("eventType", eventType);
  const data = copyJson(input.data, "data", context.bytesPerEvent);
  const event = new PlainEvent(
    id,
    eventType as string,
    actor ?? givenActor as string,
    data.value,
    timestampOf(input.timestamp, context),
  );
  const metadata = input.metadata;
  let most = data.most + FIXED_BYTES + (id.length + event.eventType.length) * 6;
  if (metadata !== undefined) {
    const copy = copyMetadata(metadata, context.bytesPerEvent);
    (event as Mutable<DraftEvent>).metadata = copy.value as EventMetadata;
    most += copy.most;
  }
  const schemaVersion = context.schemaVersionOf(event.eventType);
  return new Draft(event, version as number | undefined, givenId !== undefined, schemaVersion, most);
}

function timestampOf(given: unknown, context: DraftContext): string {
  if (given === undefined) return currentTimestamp(context.now);
  const timestamp = toTimestamp(given);
  if (timestamp !== undefined) return timestamp;
  throw new Refusal(
    "timestamp",
    `must be a valid Date or RFC 3339 text such as "2026-01-31T12:00:00Z", and is ${describe(given)}`,
  );
}

/**
 * Returns a frozen copy of metadata that is to be given to events.
 *
 * @throws {InvalidEventError} If a value is not a string; the error names it.
 */
export function checkMetadata(metadata: unknown): EventMetadata {
  try {
    return copyMetadata(metadata, Number.MAX_SAFE_INTEGER).value as EventMetadata;
  } catch (error) {
    if (error instanceof JsonFault) throw new InvalidEventError(error.path, error.message, {}, error);
    if (error instanceof Refusal) throw new InvalidEventError(error.field, error.message);
    throw new InvalidEventError("metadata", "could not be read", {}, { cause: error });
  }
}

function copyMetadata(metadata: unknown, limit: number): { value: unknown; most: number } {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    throw new Refusal("metadata", `must be an object of strings, and is ${describe(metadata)}`);
  }
  const copy = copyJson(metadata, "metadata", limit);
  for (const [name, value] of Object.entries(copy.value as object)) {
    if (typeof value !== "string") {
      throw new Refusal(`metadata.${name}`, `must be a string, and is ${describe(value)}`);
    }
  }
  return copy;
}

function checkName(field: string, value: unknown): void {
  const fault = nameFault(value, MAX_NAME_BYTES);
  if (fault) throw new Refusal(field, fault);
}

/** The names in a faulty event, for the error. Reading them may fail too. */
function peek(input: Input): { actorId?: string | undefined; version?: number | undefined } {
  try {
    const { actorId, version } = input;
    return {
      actorId: typeof actorId === "string" ? actorId : undefined,
      version: typeof version === "number" ? version : undefined,
    };
  } catch {
    return {};
  }
}
