/**
 * Bringing stored events to the registered versions of their types: upcasting, splitting, and asking schemas.
 *
 * @module
 */

import { sharedByCopies } from "../copies.ts";
import type {
  SchemaIssue,
  SchemaResult,
  SeveralEvents,
  StandardSchema,
  UpcastContext,
  Upcaster,
} from "./definitions.ts";
import { EventSchemaError, SchemaVersionError } from "./errors.ts";
import { hasForgotten } from "./forgotten.ts";
import { copyJson } from "./json.ts";
import type { StoredEvent } from "./types.ts";

/** A type as it is registered. */
export interface Entry {
  readonly eventType: string;
  readonly version: number;
  readonly schema: StandardSchema | undefined;
  readonly upcast: readonly Upcaster[];
}

/** Upcast data may be of any size: what counts is what was stored. */
const NO_LIMIT = Infinity;

const NOTHING_LEFT = "its upcasters return several([]), and no other type takes it";

class Several implements SeveralEvents {
  readonly several: readonly unknown[];

  constructor(several: readonly unknown[]) {
    this.several = several;
  }
}

/** A promise that may be left without a listener if another one fails first; its rejection counts as handled. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** An event as it is handed out, or several. */
export type Restored = StoredEvent | readonly StoredEvent[];

/** An event that a stored one is handed out as, before its schema was asked. */
interface Part {
  readonly event: StoredEvent;
  readonly schema: StandardSchema | undefined;
}

/** Brings a stored event to the versions of the types that it is handed out as. */
export function partsOf(event: StoredEvent, stored: number, entries: readonly Entry[]): readonly Part[] {
  const parts = entries.flatMap(({ eventType, version, schema, upcast }) => {
    if (stored > version) throw new SchemaVersionError(event.eventType, stored, version, event);
    return upcastData(event, stored, upcast).map((data) => ({ eventType, data, schema }));
  });
  if (parts.length === 0) throw new EventSchemaError(event.eventType, NOTHING_LEFT, event);
  let first: StoredEvent | undefined;
  return parts.map(({ eventType, data, schema }, index) => {
    const id = index === 0 ? event.id : `${event.id}#${index + 1}`;
    const part = Object.freeze({ ...event, id, eventType, data });
    first ??= part;
    if (parts.length > 1) notePart(part, { index, isLast: index === parts.length - 1, first });
    return { event: part, schema };
  });
}

/** Asks the schemas. */
export function validated(event: StoredEvent, parts: readonly Part[]): Restored | Promise<Restored> {
  const refuse = refusalOf(event);
  const pending = parts.flatMap(({ event: { data }, schema }) =>
    schema && !hasForgotten(event) ? handled(Promise.resolve(judge(schema, data, refuse))) : []
  );
  const restored = parts.length === 1 ? parts[0]!.event : parts.map((part) => part.event);
  return pending.length === 0 ? restored : Promise.all(pending).then(() => restored);
}

/** The data of the events that a stored one is turned into. */
function upcastData(event: StoredEvent, from: number, upcasters: readonly Upcaster[]): readonly unknown[] {
  const { id, eventType, actorId, version, timestamp, metadata } = event;
  const context: UpcastContext = {
    ...{ id, eventType, actorId, version, timestamp },
    ...(metadata && { metadata }),
    several: (data) => new Several(data),
  };
  try {
    let results: readonly unknown[] = [event.data];
    for (const step of upcasters.slice(from - 1)) {
      results = results.flatMap((data): readonly unknown[] => {
        const result = step(data, context);
        return result instanceof Several ? [...result.several] : [result];
      });
    }
    return results.map((data) => copyJson(data, "data", NO_LIMIT).value);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EventSchemaError(event.eventType, `upcasting from version ${from} failed: ${reason}`, event, {
      cause,
    });
  }
}

/** Throws the refusal of a schema. */
export type Refuse = (field: string, reason: string, cause: unknown) => never;

/** How a stored event is refused. */
export function refusalOf(event: StoredEvent): Refuse {
  return (field, reason, cause) => {
    throw new EventSchemaError(event.eventType, `${field}: ${reason}`, event, { cause });
  };
}

/** Asks a schema, which may be code with faults of its own. Returns a promise only if the schema answers later. */
export function judge(
  { "~standard": standard }: StandardSchema,
  data: unknown,
  refuse: Refuse,
): Promise<void> | undefined {
  const failed = (cause: unknown): never =>
    refuse("data", `its schema has failed: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  const take = (result: SchemaResult<unknown> | undefined): void => {
    if (typeof result !== "object" || result === null) {
      return refuse("data", "its schema answered with neither a value nor issues", undefined);
    }
    const { issues } = result;
    if (issues === undefined) return;
    const [first] = issues;
    refuse(first ? issuePath(first) : "data", first?.message ?? "the schema refuses it", issues);
  };
  let result: SchemaResult<unknown> | PromiseLike<SchemaResult<unknown>>;
  try {
    result = standard.validate(data);
  } catch (cause) {
    return failed(cause);
  }
  if (!isThenable(result)) return void take(result);
  return Promise.resolve(result).then(take, failed);
}

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T> | undefined | null)?.then === "function";
}

/** Which of the events it is that one stored event is handed out as. */
export interface EventPart {
  /** Its place among them, from 0. */
  readonly index: number;
  /** Whether none follows. */
  readonly isLast: boolean;
  /** The first of them. */
  readonly first: StoredEvent;
}

/** The parts of split events, also of those that another copy of the library has read. */
const noted = sharedByCopies(
  "event-parts/2",
  () => ({ parts: new WeakMap<object, EventPart>(), any: false }),
);

function notePart(event: object, part: EventPart): void {
  noted.parts.set(event, part);
  noted.any = true;
}

/** Which of the events it is that one stored event is handed out as; `undefined` if it is the only one. */
export function partOf(event: object): EventPart | undefined {
  return noted.any ? noted.parts.get(event) : undefined;
}

function issuePath(issue: SchemaIssue): string {
  return ["data", ...(issue.path ?? [])].map((part) => String(typeof part === "object" ? part.key : part))
    .join(".");
}
