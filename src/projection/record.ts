/**
 * What a checkpoint records.
 *
 * @module
 */

import type { EventFilter, NewEvent } from "../event/types.ts";
import type { StoredCheckpoint } from "./checkpoints.ts";
import { DamagedCheckpointError, type FailedEvent, type ProjectionId } from "./errors.ts";

/** An event whose handler has failed. */
export interface FailingEvent extends FailedEvent {
  /** The text of the last error. */
  readonly error: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** When its handler was called for the last of the attempts, RFC 3339, if that one has not ended yet. */
  readonly inHandSince?: string;
}

/** An event that was set aside after its handler had failed as often as allowed. */
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

/** What became of a parked event. */
export interface Resolution {
  /** Its position. */
  readonly position: string;
  /** What was done. */
  readonly action: "retried" | "discarded";
  /** When, RFC 3339. */
  readonly at: string;
}

/** Events that a reaction is about to append to one actor: the same ones on every attempt. */
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
  /** How many of the events are handled that the next stored event, at another position, is handed out as. */
  readonly parts?: { readonly position: string; readonly handled: number } | undefined;
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
  /** The event that is being tried again. */
  readonly failing?: FailingEvent | undefined;
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
}

/** Reads a record. */
export function parseRecord(id: ProjectionId | undefined, stored: StoredCheckpoint): ProjectionRecord {
  const shown = id ?? { name: "?", version: 0 };
  let record: ProjectionRecord;
  try {
    record = JSON.parse(stored.value);
  } catch (cause) {
    throw new DamagedCheckpointError(shown, "it is not JSON", { cause });
  }
  if (record?.format !== 1) throw new DamagedCheckpointError(shown, `its format is ${record?.format}`);
  if (id && (record.name !== id.name || record.version !== id.version)) {
    throw new DamagedCheckpointError(shown, `it is that of ${record.name} version ${record.version}`);
  }
  if (record.position !== undefined && typeof record.position !== "string") {
    throw new DamagedCheckpointError(shown, "its position is not a string");
  }
  if (!Array.isArray(record.parked) || !Array.isArray(record.resolved)) {
    throw new DamagedCheckpointError(shown, "its lists are missing");
  }
  const { handled, parts, failing, parked, resolved } = record;
  if (!isCount(handled)) {
    throw new DamagedCheckpointError(shown, "the number of events it handled is no number");
  }
  if (parts !== undefined && !(hasPosition(parts) && isCount(parts.handled))) {
    throw new DamagedCheckpointError(shown, "the part of an event that it handled is no number");
  }
  const entries: readonly unknown[] = [...parked, ...resolved, ...(failing === undefined ? [] : [failing])];
  if (!entries.every(hasPosition)) throw new DamagedCheckpointError(shown, "an entry of it has no position");
  return record;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && value as number >= 0;
}

function hasPosition(entry: unknown): boolean {
  return typeof (entry as { position?: unknown } | null)?.position === "string";
}

/** The text of an error, short enough for a record. */
export function shortError(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return (text.length > 300 ? text.slice(0, 300) + "..." : text).toWellFormed();
}
