/**
 * Filters on events: validated once, applied to many.
 *
 * @module
 */

import { actorIdFault } from "./draft.ts";
import type { EventFilter } from "./types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, type OptionNames } from "../options.ts";
import { describe } from "../text.ts";

/** What a filter is asked about. */
export interface Filterable {
  /** The event's type. */
  readonly eventType: string;
  /** The event's actor. */
  readonly actorId: string;
}

const CONDITIONS: OptionNames<EventFilter> = { eventTypes: true, actorId: true, actorPrefix: true };

/**
 * The predicate of a filter; `undefined` if the filter matches every event.
 *
 * @throws {InvalidArgumentError} If a condition could never hold: no list of types, or an actor id that cannot be one.
 */
export function compileFilter(
  filter: EventFilter,
  argument = "options",
): ((event: Filterable) => boolean) | undefined {
  checkKnown(filter, CONDITIONS, argument);
  const { eventTypes, actorId, actorPrefix } = filter;
  const types = eventTypes === undefined ? undefined : typesOf(eventTypes);
  if (actorId !== undefined) {
    const fault = actorIdFault(actorId);
    if (fault) throw new InvalidArgumentError("actorId", fault);
  }
  if (actorPrefix !== undefined && (typeof actorPrefix !== "string" || !actorPrefix.isWellFormed())) {
    throw new InvalidArgumentError(
      "actorPrefix",
      `must be a well-formed string, and is ${describe(actorPrefix)}`,
    );
  }
  if (types === undefined && actorId === undefined && !actorPrefix) return undefined;
  return (event) =>
    (actorId === undefined || event.actorId === actorId) &&
    (actorPrefix === undefined || event.actorId.startsWith(actorPrefix)) &&
    (types === undefined || types.has(event.eventType));
}

/** A string would pass for a list of letters, and choose nothing. */
function typesOf(eventTypes: unknown): ReadonlySet<string> {
  if (!isListOfTypes(eventTypes)) {
    throw new InvalidArgumentError(
      "eventTypes",
      `must be a list of event types, such as ["OrderPlaced"], and is ${describe(eventTypes)}`,
    );
  }
  if (eventTypes.length > 0) return new Set(Array.prototype.values.call(eventTypes));
  throw new InvalidArgumentError(
    "eventTypes",
    "is empty and would choose nothing: leave it out to choose all",
  );
}

/** Holes are no types either, and every access to a proxy may throw. */
function isListOfTypes(eventTypes: unknown): eventTypes is readonly string[] {
  try {
    return Array.isArray(eventTypes) &&
      !Array.prototype.values.call(eventTypes).some((type) => typeof type !== "string" || type === "");
  } catch {
    return false;
  }
}
