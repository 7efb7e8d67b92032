/**
 * Events as JSON: what the stores write.
 *
 * An event's actor and version are not in its JSON: they stand in the header of the commit that holds it, so that an
 * event is encoded once, before its number is known.
 *
 * @module
 */

import type { Draft, DraftEvent } from "./draft.ts";
import { EventTooLargeError } from "./errors.ts";
import { freezeJson } from "./json.ts";
import { utf8Length } from "./text.ts";
import type { EventMetadata } from "./types.ts";

/** An event's JSON. */
interface EventJson {
  readonly id: string;
  readonly eventType: string;
  readonly timestamp: string;
  readonly data: unknown;
  readonly metadata?: EventMetadata | undefined;
  /** Absent for 1. */
  readonly schemaVersion?: number | undefined;
}

/** An event as it was stored, before upcasting. */
export interface DecodedEvent {
  /** The event, not yet frozen itself; its data and metadata are. */
  readonly event: DraftEvent;
  /** The schema version it was stored under. */
  readonly schemaVersion: number;
}

/**
 * An event as JSON text.
 *
 * @throws {EventTooLargeError} If it is over the limit.
 */
export function encodeEvent(draft: Draft, bytesPerEvent: number): string {
  const { id, eventType, timestamp, data, metadata, actorId } = draft.event;
  const schemaVersion = draft.schemaVersion === 1 ? undefined : draft.schemaVersion;
  const json: EventJson = { id, eventType, timestamp, data, metadata, schemaVersion };
  const text = JSON.stringify(json);
  if (draft.most > bytesPerEvent) {
    const size = utf8Length(text);
    if (size > bytesPerEvent) throw new EventTooLargeError(size, bytesPerEvent, actorId);
  }
  return text;
}

/**
 * The events of a commit from their JSON.
 *
 * @param list What was parsed from a JSON array of events; its parts are taken over and frozen.
 * @param actorId Their actor.
 * @param versions Their versions; as many as events.
 * @throws {SyntaxError} If it is not such an array.
 */
export function decodeEvents(list: unknown, actorId: string, versions: readonly number[]): DecodedEvent[] {
  if (!Array.isArray(list) || list.length !== versions.length) {
    throw new SyntaxError(`not a list of ${versions.length} events`);
  }
  return (list as readonly EventJson[]).map((json, index) => {
    if (
      typeof json?.id !== "string" || typeof json.eventType !== "string" || typeof json.timestamp !== "string"
    ) {
      throw new SyntaxError(`element ${index} is not an event`);
    }
    const event: DraftEvent = {
      id: json.id,
      eventType: json.eventType,
      actorId,
      version: versions[index]!,
      data: freezeJson(json.data),
      timestamp: json.timestamp,
      position: "",
    };
    if (json.metadata) (event as { metadata?: EventMetadata }).metadata = freezeJson(json.metadata);
    return { event, schemaVersion: json.schemaVersion ?? 1 };
  });
}
