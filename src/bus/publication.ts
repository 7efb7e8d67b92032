/**
 * From what a user publishes to what subscribers get.
 *
 * @module
 */

import { type DraftContext, draftEvent } from "../event/draft.ts";
import { EventTooLargeError } from "../event/errors.ts";
import { utf8Length } from "../text.ts";
import type { Event } from "../event/types.ts";

/**
 * The most bytes of an event as JSON: NATS servers take messages of 1 MiB unless configured otherwise, and the
 * headers need some of it. A local bus refuses the same, so that what works in one process works in several.
 */
export const MAX_EVENT_BYTES = 1024 * 1024 - 4 * 1024;

/** What an event's version and actor add to what drafting counts. */
const NUMBER_AND_ACTOR_BYTES = 64 + 512 * 6;

const drafting: DraftContext = {
  newId: () => crypto.randomUUID(),
  now: undefined,
  bytesPerEvent: MAX_EVENT_BYTES,
  schemaVersionOf: () => 1,
};

/** An event on its way to subscribers. */
export interface Delivery {
  /** The namespace it was published to. */
  readonly namespace: string;
  /** The event, deeply frozen. */
  readonly event: Event;
  /** The trace context of its publication. */
  readonly traceparent: string | undefined;
}

/**
 * A validated, deeply frozen copy of an event.
 *
 * @throws {InvalidEventError | EventTooLargeError} If it cannot be published as it is.
 */
export function draftPublication(input: unknown): Event {
  const { event: drafted, givenVersion, most } = draftEvent(input, undefined, drafting);
  const { id, eventType, actorId, data, timestamp, metadata } = drafted;
  const version = givenVersion!;
  const event: Event = Object.freeze(
    metadata
      ? { id, eventType, actorId, version, data, timestamp, metadata }
      : { id, eventType, actorId, version, data, timestamp },
  );
  if (most + NUMBER_AND_ACTOR_BYTES > MAX_EVENT_BYTES) {
    const size = utf8Length(JSON.stringify(event));
    if (size > MAX_EVENT_BYTES) throw new EventTooLargeError(size, MAX_EVENT_BYTES, actorId);
  }
  return event;
}
