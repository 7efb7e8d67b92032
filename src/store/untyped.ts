/**
 * A store as code works on it that is the same for all events.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import type { EventStore } from "./types.ts";

/**
 * A store whose events are of any type: what is read is passed on as it is, or checked against the handlers of a projection where
 * that was defined. An `EventStore<OrderEvent>` is not an `EventStore<Event>`, since that one would take every event; what is
 * saved through it are events of the library's own.
 */
export function untyped<E extends Event>(store: EventStore<E>): EventStore {
  return store as unknown as EventStore;
}
