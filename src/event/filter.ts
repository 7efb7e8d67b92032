/**
 * Filters on events: validated once, applied to many.
 *
 * @module
 */

import { actorIdFault } from "./draft.ts";
import type { EventFilter } from "./types.ts";
import { InvalidArgumentError } from "../errors.ts";

/** What a filter is asked about. */
export interface Filterable {
  /** The event's type. */
  readonly eventType: string;
  /** The event's actor. */
  readonly actorId: string;
}

/**
 * The predicate of a filter; nothing where the filter chooses every event.
 *
 * @throws {InvalidArgumentError} If a condition could never hold: no list of types, or an actor id that cannot be one.
 */
export function compileFilter(filter: EventFilter): ((event: Filterable) => boolean) | undefined {
  const { eventTypes, actorId, actorPrefix } = filter;
  if (eventTypes !== undefined) checkTypes(eventTypes);
  if (actorId !== undefined) {
    const fault = actorIdFault(actorId);
    if (fault) throw new InvalidArgumentError("actorId", fault);
  }
  if (actorPrefix !== undefined && (typeof actorPrefix !== "string" || !actorPrefix.isWellFormed())) {
    throw new InvalidArgumentError("actorPrefix", "must be a well-formed string");
  }
  if (eventTypes === undefined && actorId === undefined && !actorPrefix) return undefined;
  const types = eventTypes && new Set<string>(eventTypes);
  return (event) =>
    (actorId === undefined || event.actorId === actorId) &&
    (actorPrefix === undefined || event.actorId.startsWith(actorPrefix)) &&
    (types === undefined || types.has(event.eventType));
}

/** A string would pass for a list of letters, and choose nothing. */
function checkTypes(eventTypes: unknown): void {
  if (!Array.isArray(eventTypes) || eventTypes.some((type) => typeof type !== "string" || type === "")) {
    throw new InvalidArgumentError("eventTypes", 'must be a list of event types, such as ["OrderPlaced"]');
  }
  if (eventTypes.length > 0) return;
  throw new InvalidArgumentError(
    "eventTypes",
    "is empty and would choose nothing: leave it out to choose all",
  );
}
