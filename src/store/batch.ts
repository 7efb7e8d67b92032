/**
 * What carries events from one log to another: commits that keep their order, and the comparison of an event with its copy.
 *
 * @module
 */

import { sameJson } from "../event/json.ts";
import { schemaVersionOf } from "../event/registry.ts";
import type { StoredEvent } from "../event/types.ts";
import { utf8Length } from "../text.ts";
import type { StoreLimits } from "./types.ts";

/**
 * Events for one commit. A commit is stored grouped by actor, so that it ends where an actor comes again after another; an
 * event id can be in it once.
 */
export class Batch {
  /** The events, in order. */
  readonly events: StoredEvent[] = [];
  readonly #limits: StoreLimits;
  readonly #actors = new Set<string>();
  readonly #ids = new Set<string>();
  #bytes = 0;

  /** Is empty. */
  constructor(limits: StoreLimits) {
    this.#limits = limits;
  }

  /**
   * Whether one more event can be stored in the same commit. The first one always can.
   *
   * @param size Its size as JSON.
   */
  takes(event: StoredEvent, size: number): boolean {
    const { events } = this;
    if (events.length === 0) return true;
    const limits = this.#limits;
    const { id, actorId } = event;
    const again = events[events.length - 1]!.actorId !== actorId;
    return events.length < limits.eventsPerCommit && this.#bytes + size <= limits.bytesPerCommit &&
      !this.#ids.has(id) &&
      (!again || (!this.#actors.has(actorId) && this.#actors.size < limits.actorsPerCommit));
  }

  /** Adds an event. */
  add(event: StoredEvent, size: number): void {
    this.events.push(event);
    this.#bytes += size;
    this.#actors.add(event.actorId);
    this.#ids.add(event.id);
  }
}

/** An upper bound of what is stored: positions, versions and actors are stored with a commit, not with an event. */
export function sizeOf(event: StoredEvent): number {
  return utf8Length(JSON.stringify(event));
}

/** Divides events into commits that keep their order. */
export async function* inBatches(
  events: AsyncIterable<StoredEvent>,
  limits: StoreLimits,
): AsyncGenerator<readonly StoredEvent[], void, void> {
  let batch = new Batch(limits);
  for await (const event of events) {
    const size = sizeOf(event);
    if (!batch.takes(event, size)) {
      yield batch.events;
      batch = new Batch(limits);
    }
    batch.add(event, size);
  }
  if (batch.events.length > 0) yield batch.events;
}

/** Whether an event is the copy of another: all that was stored counts. */
export function isCopyOf(copy: StoredEvent, original: StoredEvent): boolean {
  return copy.id === original.id && copy.actorId === original.actorId &&
    copy.version === original.version && copy.eventType === original.eventType &&
    copy.timestamp === original.timestamp && schemaVersionOf(copy) === schemaVersionOf(original) &&
    sameJson(copy.data, original.data) && sameJson(copy.metadata, original.metadata);
}
