/**
 * Events as NATS messages: their subjects, their JSON, and their trace context.
 *
 * The subject is `<prefix>.<namespace>.<event type>.<actor>`, every token encoded by us: a server takes a publication
 * to `a.*` literally, and a subscriber of it would hear everything.
 *
 * @module
 */

import { isVersion } from "../event/draft.ts";
import { freezeJson } from "../event/json.ts";
import { actorPrefixFilter, encodeActorId, encodeToken } from "../event/subject.ts";
import { utf8 } from "../text.ts";
import type { Event, EventFilter } from "../event/types.ts";
import { isTraceparent } from "../telemetry.ts";
import type { NatsMessage } from "../nats/connection.ts";

/** More types than that are chosen among on our side: each takes a subscription of the server's. */
const MAX_TYPE_SUBJECTS = 16;
/** The header of https://www.w3.org/TR/trace-context/. */
const TRACEPARENT = "traceparent";

const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });
/** What a decoder writes in place of bytes that are no UTF-8; it may as well have been sent. */
const REPLACEMENT = "\ufffd";

/** The subject of an event. */
export function subjectOf(prefix: string, namespace: string, { eventType, actorId }: Event): string {
  return `${prefix}.${namespace}.${encodeToken(eventType)}.${encodeActorId(actorId)}`;
}

/** The subjects, disjoint, that hold every event of a filter; the subscriber filters out other events. */
export function subjectsOf(prefix: string, namespace: string, filter: EventFilter): readonly string[] {
  const { eventTypes, actorId, actorPrefix = "" } = filter;
  const types = [...new Set(eventTypes)];
  const tokens = types.length === 0 || types.length > MAX_TYPE_SUBJECTS ? ["*"] : types.map(encodeToken);
  return tokens.map((type) => {
    const base = `${prefix}.${namespace}.${type}`;
    return actorId === undefined ? actorPrefixFilter(base, actorPrefix) : `${base}.${encodeActorId(actorId)}`;
  });
}

/** The namespace that a subject below the prefix names. */
export function namespaceOf(prefix: string, subject: string): string {
  return subject.slice(prefix.length + 1, subject.indexOf(".", prefix.length + 1));
}

/** An event's payload. */
export function encodePayload(event: Event): Uint8Array {
  return utf8(JSON.stringify(event));
}

/** The headers that carry a trace context. */
export function traceHeaders(traceparent: string): object {
  return { encode: (): Uint8Array => utf8(`NATS/1.0\r\n${TRACEPARENT}: ${traceparent}\r\n\r\n`) };
}

/** The trace context that a message carries. */
export function traceparentOf({ headers }: NatsMessage): string | undefined {
  const value = headers?.get(TRACEPARENT);
  return isTraceparent(value) ? value : undefined;
}

/**
 * The event of a payload, deeply frozen.
 *
 * @throws {SyntaxError | TypeError} If it holds none.
 */
export function decodePayload(data: Uint8Array): Event {
  let text = decoder.decode(data);
  // A strict decoder costs four times as much: it is asked only where it could disagree.
  if (text.includes(REPLACEMENT)) text = strictDecoder.decode(data);
  const parsed = JSON.parse(text) as Partial<Event> | null;
  if (typeof parsed !== "object" || parsed === null) throw new SyntaxError("the payload is no object");
  const { id, eventType, actorId, version, timestamp, metadata } = parsed;
  if (!isText(id) || !isText(eventType) || !isText(actorId) || !isText(timestamp)) {
    throw new SyntaxError("the event's id, type, actor or timestamp is no text");
  }
  if (!isVersion(version)) throw new SyntaxError("the event's version is no version");
  if (metadata !== undefined && (typeof metadata !== "object" || metadata === null)) {
    throw new SyntaxError("the event's metadata is no object");
  }
  return freezeJson(parsed as Event);
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}
