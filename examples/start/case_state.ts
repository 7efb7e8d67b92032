/** The state of a case: what its events come to. */

import type { View } from "@flowmade-one/aether/deno-kv";
import type { LogEvent } from "./row_events.ts";

/** What is known of a case. */
export interface CaseState {
  readonly events: number;
  readonly activity: string;
  readonly began: string;
  readonly latest: string;
  /** The longest time between two events in a row, and the activity that ended it. */
  readonly longestWait: { readonly milliseconds: number; readonly before: string } | undefined;
  /** How often each activity happened. */
  readonly activities: Readonly<Record<string, number>>;
  /** How often each resource acted. */
  readonly resources: Readonly<Record<string, number>>;
  /** What all events say alike: the attributes of the case itself. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** Folds the events of a case; `resource` is the column that names who acted. */
export function caseView(resource: string): View<CaseState, LogEvent> {
  return {
    initialState: () => ({
      events: 0,
      activity: "",
      began: "",
      latest: "",
      longestWait: undefined,
      activities: {},
      resources: {},
      attributes: {},
    }),
    evolve(state, { eventType, timestamp, data }): CaseState {
      const attributes = columnsOf(data);
      if (state.events === 0) {
        return {
          events: 1,
          activity: eventType,
          began: timestamp,
          latest: timestamp,
          longestWait: undefined,
          activities: { [eventType]: 1 },
          resources: countOne({}, attributes[resource]),
          attributes,
        };
      }
      const milliseconds = Date.parse(timestamp) - Date.parse(state.latest);
      return {
        events: state.events + 1,
        activity: eventType,
        began: state.began,
        latest: timestamp,
        longestWait: milliseconds > (state.longestWait?.milliseconds ?? -1)
          ? { milliseconds, before: eventType }
          : state.longestWait,
        activities: countOne(state.activities, eventType),
        resources: countOne(state.resources, attributes[resource]),
        attributes: Object.fromEntries(
          Object.entries(state.attributes).filter(([name, value]) => isSame(attributes[name], value)),
        ),
      };
    },
  };
}

/** The columns of an event's data. Data that was not imported may be anything. */
export function columnsOf(data: unknown): Readonly<Record<string, unknown>> {
  return typeof data === "object" && data !== null && !Array.isArray(data)
    ? data as Record<string, unknown>
    : {};
}

function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function countOne(counts: Readonly<Record<string, number>>, key: unknown): Readonly<Record<string, number>> {
  if (typeof key !== "string") return counts;
  const before = Object.hasOwn(counts, key) ? counts[key]! : 0;
  return { ...counts, [key]: before + 1 };
}
