/**
 * The end of an event's attempts: the projection stops before it, or sets it aside.
 *
 * @module
 */

import { utf8Length } from "../text.ts";
import { type EventIdentity, referenceOf } from "./attempt.ts";
import { type FailedEvent, stoppedBefore, transactionTooLarge } from "./errors.ts";
import { forgetFailing, noteFailing } from "./failing.ts";
import type { Advance } from "./draft.ts";
import { keyIn, type Progress } from "./progress.ts";
import type { CompiledProjection } from "./compile.ts";
import { type ParkedEvent, type ProjectionRecord, shortError } from "./record.ts";

/** How an event has failed. */
export interface Failure {
  /** How the record would go past it. */
  readonly advance: Advance;
  /** The error of the last attempt. */
  readonly cause: unknown;
  /** How often it was tried. */
  readonly attempts: number;
  /** Whether it was parked before, and is being tried again. @default {false} */
  readonly isRetry?: boolean;
}

/**
 * Stops before the event, or sets it aside.
 *
 * @throws {ProjectionStoppedError} If it was not set aside.
 */
export async function giveUp<Tx>(
  projection: CompiledProjection<Tx>,
  progress: Progress<Tx>,
  event: EventIdentity,
  { advance, cause, attempts, isRetry = false }: Failure,
): Promise<void> {
  const entry = parkedEntry(projection, referenceOf(event, ownKeyOf(projection, event)), cause, attempts);
  if (isRetry || !canPark(projection, progress, entry)) {
    if (!isRetry) progress.amend((draft) => draft.stopped = true);
    await progress.commit();
    throw ending(projection, entry, { cause, isRetry });
  }
  progress.amend((draft) => {
    draft.parked = [...draft.parked, entry];
    advance(draft, event);
    forgetFailing(draft, event.position);
  });
  await progress.commit();
  progress.noteParked(entry);
}

/**
 * Stops behind an event whose appends were refused, with them in hand, or sets it aside with them.
 *
 * @param isRetry Whether a parked event was being tried again: it is set aside again, and the refusal is thrown.
 * @throws {ProjectionStoppedError} If it was not set aside, and in a retry.
 */
export async function giveUpIntent<Tx>(
  projection: CompiledProjection<Tx>,
  progress: Progress<Tx>,
  cause: unknown,
  isRetry: boolean,
): Promise<void> {
  const { draft } = progress;
  const event = draft.intendedFor!;
  const known = draft.parked.find(({ position }) => position === event.position);
  const attempts = (known?.attempts ?? 0) + 1;
  const entry = { ...parkedEntry(projection, event, cause, attempts), refused: draft.intent };
  const isParked = known !== undefined || canPark(projection, progress, entry);
  progress.amend(() => {
    if (isParked) {
      draft.parked = [...draft.parked.filter((other) => other !== known), entry];
      draft.intent = draft.intendedFor = undefined;
    } else {
      draft.stopped = true;
      noteFailing(draft, { ...event, error: entry.error, attempts });
    }
  });
  await progress.commit();
  if (isParked && !known) progress.noteParked(entry);
  if (isRetry || !isParked) throw ending(projection, entry, { cause, isRetry });
}

/** The key of an event, if that is not the actor's id. */
export function ownKeyOf<Tx>(projection: CompiledProjection<Tx>, event: EventIdentity): string | undefined {
  return projection.keyOf && keyIn(projection, event);
}

function parkedEntry<Tx>(
  { failure: { laterEvents } }: CompiledProjection<Tx>,
  event: FailedEvent,
  cause: unknown,
  attempts: number,
): ParkedEvent {
  const parkedAt = new Date().toISOString();
  return { ...event, error: shortError(cause), attempts, parkedAt, blocksActor: laterEvents === "wait" };
}

/** Whether the policy is to set events aside, and there is room for another one. */
function canPark<Tx>(
  { failure: { then, maxParked } }: CompiledProjection<Tx>,
  { draft: { parked }, room }: Progress<Tx>,
  entry: ParkedEvent,
): boolean {
  return then === "park" && parked.length < maxParked && sizeOf([...parked, entry]) <= room;
}

function ending<Tx>(
  { failure: { then }, id }: CompiledProjection<Tx>,
  entry: ParkedEvent,
  { cause, isRetry }: { readonly cause: unknown; readonly isRetry: boolean },
): Error {
  const reason = then === "park" && !isRetry ? "parked-list-full" : "handler-failed";
  return stoppedBefore(id, eventOf(entry), entry.attempts, { cause, reason });
}

/** The event of an entry. */
export function eventOf(
  { position, eventId, eventType, actorId, eventVersion, part, key }: ParkedEvent,
): FailedEvent {
  return {
    ...{ position, eventId, eventType, actorId, eventVersion },
    ...(part !== undefined && { part }),
    ...(key !== undefined && { key }),
  };
}

/**
 * Checks that what a reaction appends can be recorded.
 *
 * @throws {HandlerError} If it cannot.
 */
export function checkRoom(intent: ProjectionRecord["intent"], room: number): void {
  const size = sizeOf(intent);
  if (size > room) throw transactionTooLarge("bytes", size, room);
}

/** How many bytes something takes in a record. */
export function sizeOf(part: unknown): number {
  return utf8Length(JSON.stringify(part));
}
