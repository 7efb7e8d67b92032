/**
 * What a checkpoint records.
 *
 * @module
 */

import { actorIdFault, isVersion } from "../event/draft.ts";
import { compileFilter } from "../event/filter.ts";
import type { EventFilter, NewEvent } from "../event/types.ts";
import { describe } from "../text.ts";
import type { StoredCheckpoint } from "./checkpoints.ts";
import { type Ahead, type Generation, type Layout, MAX_SEGMENTS, type SegmentWorker } from "./layout.ts";
import { DamagedCheckpointError, type FailedEvent, type ProjectionId } from "./errors.ts";

/**
 * An event whose handler has failed.
 *
 * @category Projections
 */
export interface FailingEvent extends FailedEvent {
  /** The text of the last error. */
  readonly error: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** When its handler was called for the last of the attempts, RFC 3339, if that one has not ended yet. */
  readonly inHandSince?: string;
}

/**
 * An event that was set aside after its handler had failed as often as allowed.
 *
 * @category Projections
 */
export interface ParkedEvent extends FailingEvent {
  /** When it was set aside, RFC 3339. */
  readonly parkedAt: string;
  /** Whether later events of its actor wait behind it. */
  readonly blocksActor: boolean;
  /**
   * What its handler wanted appended and the store refused, where that is why it was set aside. A retry appends exactly
   * this, and does not call the handler again.
   */
  readonly refused?: readonly IntendedAppend[] | undefined;
}

/**
 * What became of a parked event.
 *
 * @category Projections
 */
export interface Resolution {
  /** Its position. */
  readonly position: string;
  /** What was done. */
  readonly action: "retried" | "discarded";
  /** When, RFC 3339. */
  readonly at: string;
}

/** Of how many parked events it is remembered what became of them. */
export const MAX_RESOLUTIONS = 100;

/**
 * Events that a reaction is about to append to one actor: the same ones on every attempt.
 *
 * @category Projections
 */
export interface IntendedAppend {
  /** The actor. */
  readonly actorId: string;
  /** The events, with their ids. */
  readonly events: readonly NewEvent[];
  /** Whether the handler chose ids itself: then they are looked for in the whole history of the actor. */
  readonly hasChosenIds?: boolean;
  /** Whether it is stored without a token also if the actor has one. */
  readonly unfenced?: boolean;
  /** The fencing token that it is stored under. */
  readonly fencingToken?: number;
  /** The W3C trace context of the handler that asked for it. */
  readonly traceparent?: string;
}

/** A part of the log of which every event of the filter is handled, left out or parked. */
export interface DoneRange {
  /** The position that it begins after. */
  readonly after: string;
  /** The last position of it. */
  readonly to: string;
}

/** How many are handled of the events that one stored event is handed out as. */
export interface HandledParts {
  /** The position of the stored event. */
  readonly position: string;
  /** How many. */
  readonly handled: number;
}

/** What the reaction to an event is about to append. */
export interface PendingReaction {
  /** The event. */
  readonly event: FailedEvent;
  /** What is not appended yet. */
  readonly intent: readonly IntendedAppend[];
}

/** Whether every event up to a position, or the one at it, is handled, left out or parked. */
export function isPassed({ position: reached, done }: ProjectionRecord, position: string): boolean {
  return reached !== undefined && position <= reached || isIn(done, position);
}

/** Whether a position is in one of some ranges. */
export function isIn(ranges: readonly DoneRange[] | undefined, position: string): boolean {
  return ranges?.some(({ after, to }) => after < position && position <= to) ?? false;
}

/** A retry of a parked event. */
export interface RetryClaim {
  /** Names the retry. */
  readonly id: string;
  /** How long it may take until it writes again, in milliseconds: after that its process has ended. */
  readonly ttl: number;
}

/** The record of a projection. */
export interface ProjectionRecord extends ProjectionId {
  /** The format of the record. */
  readonly format: 1;
  /** Which events the projection is of. */
  readonly filter: EventFilter;
  /** The place up to which every event was handled, left out or parked; nothing at the start. */
  readonly position?: string;
  /** Whether it began at the end of a log that was empty then: what has come since is handled. */
  readonly isBegun?: boolean;
  /** Which events behind the position are handled, left out or parked too, in order: their keys were faster. */
  readonly done?: readonly DoneRange[] | undefined;
  /** Of stored events that are handed out as several: how many of these are handled. */
  readonly parts?: readonly HandledParts[] | undefined;
  /** How many events were handled. */
  readonly handled: number;
  /** When the record was written, RFC 3339. */
  readonly savedAt: string;
  /** Names the write, so that a writer recognises its own. */
  readonly writeId: string;
  /** Whose turn it is: the worker, and the token of its lease, 0 without one. */
  readonly owner?: { readonly id: string; readonly fencingToken: number };
  /** Whether the projection gave up before the event that is failing. */
  readonly stopped: boolean;
  /** The event that is being tried again; with lanes, the first of them. */
  readonly failing?: FailingEvent | undefined;
  /** The others that are being tried again, in order. */
  readonly alsoFailing?: readonly FailingEvent[] | undefined;
  /** The process that works on it, until it ends cleanly. */
  readonly running?: string | undefined;
  /** What was set aside. */
  readonly parked: readonly ParkedEvent[];
  /** What became of parked events, the latest hundred. */
  readonly resolved: readonly Resolution[];
  /** The retry that is in progress: others write again when it is over. */
  readonly retry?: RetryClaim | undefined;
  /** What a reaction is about to append. */
  readonly intent?: readonly IntendedAppend[] | undefined;
  /** The event that it is appended because of. */
  readonly intendedFor?: FailedEvent | undefined;
  /** Since when it is being built to replace another version, and how many events were handled then. */
  readonly rebuild?: { readonly replaces: number; readonly since: string; readonly handled: number };
  /** The version that has taken over, and the position at which this one has ended. */
  readonly replacedBy?: { readonly version: number; readonly position?: string };
  /** What the reactions to several events are about to append, in the order of the events' ends. */
  readonly reactions?: readonly PendingReaction[] | undefined;
  /** The segments of the projection: their records take the place of this one. */
  readonly layout?: Layout | undefined;
  /** Whether the keys that divide it into segments are not the actors. */
  readonly hasOwnKey?: boolean | undefined;
  /** The processes that work on the segments. */
  readonly workers?: readonly SegmentWorker[] | undefined;
  /** Whether records of other segments were made of this one, which does not change any more. */
  readonly closed?: boolean | undefined;
  /** How far the segments were that the record was made of, as long as they were ahead of its position. */
  readonly ahead?: readonly Ahead[] | undefined;
  /** Events handled a second, of late. */
  readonly rate?: number | undefined;
}

/**
 * Reads a record. Any writer of the database may have changed it, so that every field is checked.
 *
 * @param id Which checkpoint it must be; without it, any.
 * @throws {DamagedCheckpointError} If it is no record of a projection, or that of another one.
 */
export function parseRecord(id: ProjectionId | undefined, stored: StoredCheckpoint): ProjectionRecord {
  if (stored.damage) throw stored.damage;
  let record: Partial<ProjectionRecord> | null;
  try {
    record = JSON.parse(stored.value);
  } catch (cause) {
    throw new DamagedCheckpointError(id ?? stored.id ?? UNKNOWN, "it is not JSON", { cause });
  }
  const { name, version } = record ?? {};
  const named = FIELDS.name(name) && FIELDS.version(version) ? { name, version } as ProjectionId : undefined;
  const shown = id ?? stored.id ?? named ?? UNKNOWN;
  if (typeof record !== "object" || record === null) {
    throw new DamagedCheckpointError(shown, "it is no object");
  }
  if (record.format !== 1) {
    throw new DamagedCheckpointError(shown, `its format is ${describe(record.format)}`);
  }
  const bad = Object.entries(FIELDS).find(([field, isSound]) =>
    !isSound((record as Readonly<Record<string, unknown>>)[field])
  );
  if (bad) throw new DamagedCheckpointError(shown, `its field "${bad[0]}" is not what a projection writes`);
  if (name !== shown.name || version !== shown.version) {
    throw new DamagedCheckpointError(shown, `it is that of ${describe(name)} version ${version}`);
  }
  if (record.intent?.length && !record.intendedFor) {
    throw new DamagedCheckpointError(shown, "the event that it intends to append for is missing");
  }
  return record as ProjectionRecord;
}

const UNKNOWN: ProjectionId = { name: "?", version: 0 };

type Check = (value: unknown) => boolean;
/** A check of each field. */
type Checks<T> = { readonly [Field in keyof T]-?: Check };

const isText: Check = (value) => typeof value === "string" && value.isWellFormed();
const isFlag: Check = (value) => typeof value === "boolean";
const isCount: Check = (value) => Number.isSafeInteger(value) && value as number >= 0;
const isActorId: Check = (value) => actorIdFault(value) === undefined;
const isOneOf = (...values: readonly unknown[]): Check => (value) => values.includes(value);
const optional = (isSound: Check): Check => (value) => value === undefined || isSound(value);
const listOf = (isSound: Check): Check => (value) => Array.isArray(value) && value.every(isSound);

function objectOf<T>(checks: Checks<T>): Check {
  const fields = Object.entries<Check>(checks);
  return (value) =>
    typeof value === "object" && value !== null && !Array.isArray(value) &&
    fields.every(([field, isSound]) => isSound((value as Readonly<Record<string, unknown>>)[field]));
}

function isFilter(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  try {
    compileFilter(value as EventFilter);
    return true;
  } catch {
    return false;
  }
}

const FAILED: Checks<FailedEvent> = {
  position: isText,
  eventId: isText,
  eventType: isText,
  actorId: isActorId,
  eventVersion: isVersion,
  part: optional(isCount),
  key: optional(isText),
};
const FAILING: Checks<FailingEvent> = {
  ...FAILED,
  error: isText,
  attempts: isCount,
  inHandSince: optional(isText),
};
/** What the store checks when it is appended is not checked here. */
const isNewEvent = objectOf<Pick<NewEvent, "id" | "eventType">>({ id: isText, eventType: isText });
const isIntent = listOf(objectOf<IntendedAppend>({
  actorId: isActorId,
  events: listOf(isNewEvent),
  hasChosenIds: optional(isFlag),
  unfenced: optional(isFlag),
  fencingToken: optional(isVersion),
  traceparent: optional(isText),
}));
const isSegmentCount: Check = (value) => isVersion(value) && value as number <= MAX_SEGMENTS;
const GENERATION: Checks<Generation> = { generation: isVersion, count: isSegmentCount };
const FIELDS: Checks<ProjectionRecord> = {
  format: isOneOf(1),
  name: isText,
  version: isVersion,
  filter: isFilter,
  position: optional(isText),
  isBegun: optional(isFlag),
  done: optional(listOf(objectOf<DoneRange>({ after: isText, to: isText }))),
  parts: optional(listOf(objectOf<HandledParts>({ position: isText, handled: isCount }))),
  handled: isCount,
  savedAt: isText,
  writeId: isText,
  owner: optional(objectOf<NonNullable<ProjectionRecord["owner"]>>({ id: isText, fencingToken: isCount })),
  stopped: isFlag,
  failing: optional(objectOf(FAILING)),
  alsoFailing: optional(listOf(objectOf(FAILING))),
  running: optional(isText),
  parked: listOf(
    objectOf<ParkedEvent>({ ...FAILING, parkedAt: isText, blocksActor: isFlag, refused: optional(isIntent) }),
  ),
  resolved: listOf(
    objectOf<Resolution>({ position: isText, action: isOneOf("retried", "discarded"), at: isText }),
  ),
  retry: optional(objectOf<RetryClaim>({ id: isText, ttl: isCount })),
  intent: optional(isIntent),
  intendedFor: optional(objectOf(FAILED)),
  rebuild: optional(
    objectOf<NonNullable<ProjectionRecord["rebuild"]>>({
      replaces: isVersion,
      since: isText,
      handled: isCount,
    }),
  ),
  replacedBy: optional(
    objectOf<NonNullable<ProjectionRecord["replacedBy"]>>({ version: isVersion, position: optional(isText) }),
  ),
  reactions: optional(listOf(objectOf<PendingReaction>({ event: objectOf(FAILED), intent: isIntent }))),
  layout: optional(objectOf<Layout>({ ...GENERATION, before: listOf(objectOf<Generation>(GENERATION)) })),
  hasOwnKey: optional(isFlag),
  workers: optional(listOf(objectOf<SegmentWorker>({ id: isText, beat: isCount }))),
  closed: optional(isFlag),
  ahead: optional(
    listOf(objectOf<Ahead>({
      index: isCount,
      count: isSegmentCount,
      position: optional(isText),
      done: optional(listOf(objectOf<DoneRange>({ after: isText, to: isText }))),
    })),
  ),
  rate: optional((value) => typeof value === "number" && value >= 0),
};

/** The text of an error, short enough for a record. */
export function shortError(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : textOf(error);
  return (text.length > 300 ? text.slice(0, 300) + "..." : text).toWellFormed();
}

/** The text of a value that was thrown and is no error. */
function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return describe(value); // an object without a prototype has no text
  }
}
