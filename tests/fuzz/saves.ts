/**
 * The methods that store: sound arguments, the places where another value can be put in, and what the model says.
 *
 * @module
 */

import { execute } from "@flowmade-one/aether";
import { type Arguments, type Call, sum } from "./call.ts";
import type { Kind } from "./judge.ts";

const saving: Readonly<Record<string, Kind>> = {
  options: "options",
  "options.fencingToken": "optional token",
  "options.unfenced": "optional flag",
  "options.signal": "optional signal",
};

/** The places inside an event. */
function inEvent(at: string): Record<string, Kind> {
  return {
    [at]: "event",
    [`${at}.id`]: "optional name",
    [`${at}.eventType`]: "name",
    [`${at}.data`]: "data",
    [`${at}.data.member`]: "member",
    [`${at}.data.list.0.member`]: "member",
    [`${at}.timestamp`]: "timestamp",
    [`${at}.metadata`]: "metadata",
    [`${at}.metadata.note`]: "metadata value",
    [`${at}.position`]: "ignored",
    [`${at}.extra`]: "unknown field",
  };
}

/** A sound event. */
function event(number: number): Arguments {
  return {
    id: `call-${number}`,
    eventType: number % 3 === 0 ? "Third" : "Other",
    data: { number, list: [{ text: "x" }] },
    metadata: { userId: "ada" },
  };
}

/** Every method that stores events or a token. */
export const SAVES = {
  append: {
    sound: (reference, actorId, number) => ({
      actorId,
      events: [event(number), event(number + 1)],
      options: { expectedVersion: reference.latest(actorId), fencingToken: reference.token(actorId) },
    }),
    places: {
      actorId: "actorId",
      events: "events",
      ...inEvent("events.0"),
      "events.1": "event",
      "events.1.data.member": "member",
      "events.0.actorId": "optional actor",
      "events.0.version": "given version",
      ...saving,
      options: "required options",
      "options.expectedVersion": "expectedVersion",
    },
    run: (store, { actorId, events, options }) => store.append(actorId, events, options),
    save: (reference, { actorId, events, options }) =>
      reference.append(actorId, events, options.expectedVersion, options.fencingToken),
  },
  saveEvent: {
    sound: (reference, actorId, number) => ({
      event: { ...event(number), actorId, version: reference.latest(actorId) + 1 + number % 3 },
      options: { fencingToken: reference.token(actorId) },
    }),
    places: { ...inEvent("event"), "event.actorId": "actorId", "event.version": "version", ...saving },
    run: (store, { event, options }) => store.saveEvent(event, options).then((stored) => [stored]),
    save: (reference, { event, options }) => reference.save([event], options?.fencingToken),
  },
  saveEvents: {
    sound: (reference, actorId, number) => {
      const version = reference.latest(actorId) + 1;
      return {
        events: [
          { ...event(number), actorId, version },
          { ...event(number + 1), actorId, version: version + 1 },
        ],
        options: { fencingToken: reference.token(actorId) },
      };
    },
    places: {
      events: "events",
      ...inEvent("events.1"),
      "events.0": "event",
      "events.1.actorId": "actorId",
      "events.0.version": "version before the next",
      ...saving,
    },
    run: (store, { events, options }) => store.saveEvents(events, options),
    save: (reference, { events, options }) => reference.save(events, options?.fencingToken),
  },
  takeOver: {
    sound: (reference, actorId) => ({ actorId, token: reference.token(actorId) ?? 1 }),
    places: { actorId: "actorId", token: "token" },
    run: (store, { actorId, token }) => store.takeOver(actorId, token).then(() => []),
    save: (reference, { actorId, token }) => reference.takeOver(actorId, token),
  },
  execute: {
    sound: (reference, actorId, number) => ({
      actorId,
      decider: { ...sum, decide: (decided: unknown): unknown => decided },
      command: [event(number)],
      options: { fencingToken: reference.token(actorId) },
    }),
    places: {
      actorId: "actorId",
      decider: "object",
      "decider.initialState": "function",
      "decider.evolve": "function",
      "decider.decide": "function",
      command: "events",
      "command.0": "event",
      "command.0.data.member": "member",
      ...saving,
      "options.retries": "optional limit",
      "options.metadata": "metadata",
      "options.onWarning": "optional function",
    },
    run: (store, { actorId, decider, command, options }) =>
      execute(store, actorId, decider, command, options).then(({ events }) => events),
    save: (reference, { actorId, command, options }) =>
      reference.append(actorId, command, reference.latest(actorId), options?.fencingToken),
  },
} as const satisfies Record<string, Call>;
