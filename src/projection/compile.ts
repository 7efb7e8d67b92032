/**
 * A projection that was checked, with every default filled in.
 *
 * @module
 */

import { hash } from "../cluster/shard_of.ts";
import { describe } from "../text.ts";
import { isVersion } from "../event/draft.ts";
import type { Event, EventFilter, StoredEvent } from "../event/types.ts";
import { partOf } from "../event/upcast.ts";
import { InvalidArgumentError } from "../errors.ts";
import { compileFilter } from "../event/filter.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { MAX_TIMER_MS } from "../sleep.ts";
import type { LogStart } from "../store/method_options.ts";
import type { CheckpointStore } from "./checkpoints.ts";
import type { ProjectionId } from "./errors.ts";
import { MAX_SEGMENTS, type Segment, segmentId } from "./layout.ts";
import { checkNamed } from "./reference.ts";
import { shortError } from "./record.ts";

import type { FailurePolicy, Handler, Projection } from "./projection.ts";

/** Any handler, once its event was chosen. */
export type AnyHandler<Tx> = Handler<StoredEvent, Tx>;

/** A projection with every default filled in. */
export interface CompiledProjection<Tx> {
  readonly id: { readonly name: string; readonly version: number };
  readonly checkpoints: CheckpointStore<Tx>;
  readonly filter: EventFilter;
  /** Whether the filter chooses an event. */
  readonly chooses: (event: StoredEvent) => boolean;
  readonly handlerOf: (eventType: string) => AnyHandler<Tx>;
  readonly lanes: number;
  /** How many segments it has; `undefined` if it is to have none. */
  readonly segments: number | undefined;
  /** Which segment it is. */
  readonly segment?: Segment;
  /** The key of an event, which may throw; nothing if it is the actor's id. */
  readonly keyOf: KeyOf | undefined;
  readonly unfenced: boolean;
  readonly from: LogStart;
  readonly continueFrom: number | undefined;
  readonly failure: Required<FailurePolicy>;
  readonly handlerTimeout: number;
  readonly checkpointEvents: number;
  readonly checkpointInterval: number;
}

/** Finds the key of an event. */
export type KeyOf = (event: StoredEvent) => string;

const MAX_LANES = 1024;
/** The longest key that is taken as it is, in UTF-16 code units. */
const MAX_KEY = 256;

/**
 * Checks a projection and fills in the defaults.
 *
 * @throws {InvalidArgumentError} If something is out of range.
 */
export function compileProjection<E extends Event, Tx>(
  projection: Projection<E, Tx>,
): CompiledProjection<Tx> {
  if (projection === undefined) throw new InvalidArgumentError("projection", "is missing");
  return readOptions(projection, compile, "projection");
}

const FAILURE_FIELDS: OptionNames<FailurePolicy> = {
  retries: true,
  firstDelay: true,
  longestDelay: true,
  then: true,
  laterEvents: true,
  maxParked: true,
};

function compile<E extends Event, Tx>(projection: Projection<E, Tx>): CompiledProjection<Tx> {
  const { id, checkpoints } = checkNamed<CheckpointStore<Tx>>(projection);
  const { version } = id;
  const { handle, from = "start", continueFrom, filter: given = {} } = projection;
  const { handlerTimeout = 30_000, checkpointEvents = 10_000, checkpointInterval = 200 } = projection;
  if (typeof from !== "string" || from === "") {
    throw new InvalidArgumentError(
      "projection.from",
      `must be "start", "first-kept", "end" or a position, and is ${describe(from)}`,
    );
  }
  if (continueFrom !== undefined && !(isVersion(continueFrom) && continueFrom <= version)) {
    throw new InvalidArgumentError(
      "projection.continueFrom",
      `must be the projection's version, or one before it, and is ${describe(continueFrom)}`,
    );
  }
  const keyOf = keyed(projection);
  const table = typeof handle === "function" ? undefined : handlersOf<Tx>(handle);
  const filter = filterOf(given, table);
  const { failure = {} } = projection;
  if (typeof failure !== "object" || failure === null) {
    throw new InvalidArgumentError("projection.failure", `must be an object, and is ${describe(failure)}`);
  }
  checkKnown<FailurePolicy>(failure, FAILURE_FIELDS, "projection.failure");
  const {
    retries = 5,
    firstDelay = 100,
    longestDelay = 10_000,
    then = "stop",
    laterEvents = "wait",
    maxParked = 100,
  } = failure;
  const policy: Required<FailurePolicy> = {
    retries: checkCount("failure.retries", retries, 0),
    firstDelay: checkTime("failure.firstDelay", firstDelay, 0),
    longestDelay: checkTime("failure.longestDelay", longestDelay, 0),
    then,
    laterEvents,
    maxParked: checkCount("failure.maxParked", maxParked, 1),
  };
  if (policy.then !== "stop" && policy.then !== "park") {
    throw new InvalidArgumentError(
      "projection.failure.then",
      `must be "stop" or "park", and is ${describe(policy.then)}`,
    );
  }
  if (policy.laterEvents !== "wait" && policy.laterEvents !== "go-on") {
    throw new InvalidArgumentError(
      "projection.failure.laterEvents",
      `must be "wait" or "go-on", and is ${describe(policy.laterEvents)}`,
    );
  }
  return {
    id,
    checkpoints,
    filter,
    chooses: compileFilter(filter) ?? ((): boolean => true),
    handlerOf: checking(
      keyOf,
      table ? (eventType) => table.get(eventType)! : () => handle as AnyHandler<Tx>,
    ),
    lanes: checkLanes(projection.lanes),
    segments: checkSegments("projection.segments", projection.segments),
    keyOf,
    continueFrom,
    unfenced: readUnfenced(projection.unfenced),
    from,
    failure: policy,
    handlerTimeout: checkTime("handlerTimeout", handlerTimeout, 1),
    checkpointEvents: checkCount("checkpointEvents", checkpointEvents, 1),
    checkpointInterval: checkTime("checkpointInterval", checkpointInterval, 1),
  };
}

/**
 * Checks a number of segments.
 *
 * @throws {InvalidArgumentError} If it is none.
 */
export function checkSegments<N extends number | undefined>(argument: string, segments: N): N {
  if (segments === undefined) return segments;
  if (Number.isInteger(segments) && segments >= 1 && segments <= MAX_SEGMENTS) return segments;
  throw new InvalidArgumentError(
    argument,
    `must be an integer from 1 to ${MAX_SEGMENTS}, and is ${describe(segments)}`,
  );
}

/** The projection's name where its record is kept. */
export function recordIdOf<Tx>(
  { id, segment }: Pick<CompiledProjection<Tx>, "id" | "segment">,
): ProjectionId {
  return segment ? segmentId(id, segment) : id;
}

function checkLanes(lanes: number = 1): number {
  if (Number.isInteger(lanes) && lanes >= 1 && lanes <= MAX_LANES) return lanes;
  throw new InvalidArgumentError(
    "projection.lanes",
    `must be an integer from 1 to ${MAX_LANES}, and is ${describe(lanes)}`,
  );
}

/** The key of a projection, whose result is checked. */
export function keyed(projection: { readonly key?: unknown }): KeyOf | undefined {
  const { key } = projection;
  if (key === undefined) return undefined;
  if (typeof key !== "function") {
    throw new InvalidArgumentError("projection.key", `must be a function, and is ${describe(key)}`);
  }
  return (event) => {
    let found: unknown;
    try {
      // Those that one stored event is turned into stay together: they have the key of the first.
      found = key.call(projection, partOf(event)?.first ?? event);
    } catch (cause) {
      throw new InvalidArgumentError(
        "projection.key",
        `must return a well-formed string, and has thrown ${shortError(cause)}`,
        { cause },
      );
    }
    if (typeof found === "string" && found.isWellFormed()) return recordable(found);
    if (found instanceof Promise) found.catch(() => {}); // a promise is no key
    throw new InvalidArgumentError(
      "projection.key",
      `must return a well-formed string, and has returned ${describe(found)}`,
    );
  };
}

/** A key is recorded with each event that fails or is parked: of a long one its beginning and a number that follows from all of it. */
function recordable(key: string): string {
  if (key.length <= MAX_KEY) return key;
  return `${key.slice(0, MAX_KEY).toWellFormed()}... ${hash(key)}`;
}

/** The handlers, each of which fails for an event that has no key. */
function checking<Tx>(
  keyOf: KeyOf | undefined,
  handlerOf: CompiledProjection<Tx>["handlerOf"],
): CompiledProjection<Tx>["handlerOf"] {
  if (!keyOf) return handlerOf;
  return (eventType) => {
    const handler = handlerOf(eventType);
    return (event, context) => {
      keyOf(event);
      return handler(event, context);
    };
  };
}

/** The handlers of an object by event type: its functions; of an instance of a class its methods too. */
function handlersOf<Tx>(handle: unknown): ReadonlyMap<string, AnyHandler<Tx>> {
  if (typeof handle !== "object" || handle === null || Array.isArray(handle)) {
    throw new InvalidArgumentError(
      "projection.handle",
      `must be a function, or an object of functions by event type, and is ${describe(handle)}`,
    );
  }
  const table = new Map<string, AnyHandler<Tx>>();
  const isPlain = [Object.prototype, null].includes(Object.getPrototypeOf(handle));
  for (const [eventType, handler] of Object.entries(handle)) {
    if (typeof handler === "function") table.set(eventType, handler.bind(handle));
    else if (isPlain && handler !== undefined) {
      throw new InvalidArgumentError(
        `projection.handle.${eventType}`,
        `must be a function, and is ${describe(handler)}`,
      );
    }
  }
  for (const [name, method] of methodsOf(handle)) if (!table.has(name)) table.set(name, method.bind(handle));
  if (table.size > 0) return table;
  throw new InvalidArgumentError("projection.handle", "has no handlers: add a function for an event type");
}

/** The methods that an object has from its classes, those of the derived class first. */
function* methodsOf(instance: object): Iterable<[string, AnyHandler<never>]> {
  let prototype: object | null = Object.getPrototypeOf(instance);
  for (; prototype && prototype !== Object.prototype; prototype = Object.getPrototypeOf(prototype)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (name !== "constructor" && typeof value === "function") yield [name, value];
    }
  }
}

/** The filter as it is recorded: conditions in one order, types sorted. */
function filterOf<Tx>(
  given: EventFilter,
  table: ReadonlyMap<string, AnyHandler<Tx>> | undefined,
): EventFilter {
  if (typeof given !== "object" || given === null) {
    throw new InvalidArgumentError("projection.filter", `must be an object, and is ${describe(given)}`);
  }
  compileFilter(given, "projection.filter");
  const { eventTypes = table && [...table.keys()] } = given;
  const without = table && eventTypes?.find((eventType) => !table.has(eventType));
  if (without !== undefined) {
    throw new InvalidArgumentError(
      `projection.handle.${without}`,
      "is missing, and the filter chooses its events",
    );
  }
  const filter: EventFilter = {
    ...(eventTypes && { eventTypes: [...new Set(eventTypes)].sort() }),
    ...(given.actorId !== undefined && { actorId: given.actorId }),
    ...(given.actorPrefix !== undefined && { actorPrefix: given.actorPrefix }),
  };
  return filter;
}

function readUnfenced(unfenced: boolean = false): boolean {
  if (typeof unfenced === "boolean") return unfenced;
  throw new InvalidArgumentError(
    "projection.unfenced",
    `must be true or false, and is ${describe(unfenced)}`,
  );
}

function checkCount(argument: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new InvalidArgumentError(
    `projection.${argument}`,
    `must be an integer of at least ${least}, and is ${describe(value)}`,
  );
}

function checkTime(argument: string, value: number, least: number): number {
  if (typeof value === "number" && value >= least && value <= MAX_TIMER_MS) return value;
  throw new InvalidArgumentError(
    `projection.${argument}`,
    `must be a number of milliseconds from ${least} to ${MAX_TIMER_MS}, and is ${describe(value)}`,
  );
}
