/**
 * A store as projections work on it.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import type { EventStore } from "../store/types.ts";

/**
 * A store whose events are of any type: what a projection reads is checked against its handlers where it was defined. An
 * `EventStore<OrderEvent>` is not an `EventStore<Event>`, since that one would take every event; nothing is saved here.
 */
export function untyped<E extends Event>(store: EventStore<E>): EventStore {
  return store as unknown as EventStore;
}
