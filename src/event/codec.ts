/**
 * Events as JSON: what the stores write.
 *
 * An event's actor and version are not in its JSON: they are in the header of the commit that holds it, so that an
 * event is encoded once, before its number is known.
 *
 * @module
 */

import type { Draft } from "./draft.ts";
import { EventTooLargeError } from "./errors.ts";
import { freezeJson } from "./json.ts";
import { noteSchemaVersion } from "./registry.ts";
import { utf8Length } from "../text.ts";
import type { EventMetadata, StoredEvent } from "./types.ts";

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

/**
 * An event as JSON text.
 *
 * @throws {EventTooLargeError} If it is over the limit.
 */
export function encodeEvent(draft: Draft, bytesPerEvent: number): string {
  const { id, eventType, timestamp, data, metadata, actorId } = draft.event;
  // Put together by hand: an object made for `JSON.stringify` alone would cost as much as what is in it.
  let text = `{"id":${quoted(id)},"eventType":${quoted(eventType)},"timestamp":"${timestamp}","data":` +
    JSON.stringify(data);
  if (metadata !== undefined) text += `,"metadata":${JSON.stringify(metadata)}`;
  if (draft.schemaVersion !== 1) text += `,"schemaVersion":${draft.schemaVersion}`;
  text += "}";
  if (draft.most > bytesPerEvent) {
    const size = utf8Length(text);
    if (size > bytesPerEvent) throw new EventTooLargeError(size, bytesPerEvent, actorId);
  }
  return text;
}

/** Names as they nearly always are: nothing in them has to be escaped. */
const PLAIN_NAME = /^[\w.:/ -]+$/;

function quoted(name: string): string {
  return PLAIN_NAME.test(name) ? `"${name}"` : JSON.stringify(name);
}

/**
 * The events of a commit from their JSON: frozen, as they were stored, their schema versions noted.
 *
 * @param list What was parsed from a JSON array of events; its parts are taken over and frozen.
 * @param actorId Their actor.
 * @param versions Their versions; as many as events.
 * @param positionOf The position of each, by its place in the list.
 * @throws {SyntaxError} If it is not such an array.
 */
export function decodeEvents(
  list: unknown,
  actorId: string,
  versions: readonly number[],
  positionOf: (index: number) => string,
): StoredEvent[] {
  if (!Array.isArray(list) || list.length !== versions.length) {
    throw new SyntaxError(`not a list of ${versions.length} events`);
  }
  const events: StoredEvent[] = [];
  for (let index = 0; index < list.length; index++) {
    const json = list[index] as EventJson;
    if (!isEventJson(json)) throw new SyntaxError(`element ${index} is not an event`);
    const { id, eventType, data, timestamp, metadata, schemaVersion = 1 } = json;
    const event: StoredEvent = {
      id,
      eventType,
      actorId,
      version: versions[index]!,
      data: freezeJson(data),
      timestamp,
      position: positionOf(index),
    };
    if (metadata) (event as { metadata?: EventMetadata }).metadata = freezeJson(metadata);
    noteSchemaVersion(event, schemaVersion);
    events.push(Object.freeze(event));
  }
  return events;
}

/** Whether parsed JSON has the fields of an event. */
function isEventJson(json: EventJson | null): json is EventJson {
  return json !== null && typeof json === "object" &&
    typeof json.id === "string" && json.id !== "" &&
    typeof json.eventType === "string" && json.eventType !== "" &&
    typeof json.timestamp === "string" && json.timestamp.endsWith("Z") && json.data !== undefined &&
    (json.metadata === undefined || isPlainObject(json.metadata)) &&
    (json.schemaVersion === undefined ||
      (Number.isSafeInteger(json.schemaVersion) && json.schemaVersion > 0));
}

function isPlainObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
