/**
 * The methods that read, and those that keep snapshots: sound arguments, the places where another value can be put in, and
 * what the model says.
 *
 * @module
 */

import assert from "node:assert/strict";
import { replay, type StoredEvent } from "@flowmade-one/aether";
import { assertEvents } from "../../src/testing/cases/agreement.ts";
import type { ReferenceEvent, ReferenceStore } from "../../src/testing/cases/reference.ts";
import { all } from "../../src/testing/support.ts";
import { type Arguments, type Call, sum } from "./call.ts";
import type { Kind } from "./judge.ts";

function events(result: unknown): readonly StoredEvent[] {
  return result as StoredEvent[];
}

/** What the model has of what a filter chooses. */
export function filtered(reference: ReferenceStore, { options }: Arguments): readonly ReferenceEvent[] {
  const { eventTypes, actorId, actorPrefix, limit } = options ?? {};
  return reference.log.filter((event) =>
    (eventTypes === undefined || eventTypes.includes(event.eventType)) &&
    (actorId === undefined || event.actorId === actorId) &&
    (actorPrefix === undefined || event.actorId.startsWith(actorPrefix))
  ).slice(0, limit);
}

const filter: Readonly<Record<string, Kind>> = {
  options: "options",
  "options.eventTypes": "optional types",
  "options.eventTypes.0": "event type",
  "options.actorId": "optional actor id",
  "options.actorPrefix": "optional prefix",
  "options.signal": "optional signal",
  "options.after": "optional position",
};

/** Every method that stores no event. */
export const READS = {
  getEvents: {
    sound: (_, actorId) => ({ actorId, fromVersion: 1 }),
    places: { actorId: "actorId", fromVersion: "optional version or 0" },
    run: (store, { actorId, fromVersion }) => store.getEvents(actorId, fromVersion),
    check: (reference, { actorId, fromVersion = 1 }, result) =>
      assertEvents(events(result), reference.events(actorId).filter(({ version }) => version >= fromVersion)),
  },
  readEvents: {
    sound: (_, actorId) => ({ actorId, options: { fromVersion: 1, direction: "backward", limit: 3 } }),
    places: {
      actorId: "actorId",
      options: "options",
      "options.fromVersion": "optional version or 0",
      "options.toVersion": "optional version",
      "options.direction": "optional direction",
      "options.limit": "optional limit",
      "options.onDamage": "optional function",
      "options.signal": "optional signal",
    },
    run: (store, { actorId, options }) => all(() => store.readEvents(actorId, options)),
    check: (reference, { actorId, options }, result) => {
      const { fromVersion = 1, toVersion = Infinity, direction, limit } = options ?? {};
      const chosen = reference.events(actorId).filter(({ version }) =>
        version >= fromVersion && version <= toVersion
      );
      assertEvents(
        events(result),
        (direction === "backward" ? chosen.toReversed() : chosen).slice(0, limit),
      );
    },
  },
  getLatestVersion: {
    sound: (_, actorId) => ({ actorId }),
    places: { actorId: "actorId" },
    run: (store, { actorId }) => store.getLatestVersion(actorId),
    check: (reference, { actorId }, result) => assert.equal(result, reference.latest(actorId)),
  },
  readAll: {
    sound: () => ({ options: { eventTypes: ["Third", "Other"] } }),
    places: { ...filter, "options.limit": "optional limit", "options.onDamage": "optional function" },
    run: (store, { options }) => all(() => store.readAll(options)),
    check: (reference, args, result) => assertEvents(events(result), filtered(reference, args)),
  },
  subscribe: {
    sound: () => ({ options: { eventTypes: ["Third", "Other"] } }),
    places: filter,
    async run(store, { options, expected }): Promise<unknown> {
      await using subscription = store.subscribe(options);
      await subscription.ready;
      const delivered: unknown[] = [];
      if (expected === 0) return delivered;
      for await (const event of subscription) if (delivered.push(event) === expected) break;
      return delivered;
    },
    check: (reference, args, result) =>
      assertEvents(events(result), filtered(reference, args).slice(0, events(result).length)),
  },
  listActors: {
    sound: () => ({ options: { actorPrefix: "a" } }),
    places: {
      options: "options",
      "options.actorPrefix": "optional prefix",
      "options.signal": "optional signal",
    },
    run: (store, { options }) => all(() => store.listActors(options)),
    check: (reference, { options }, result) => {
      const prefix = options?.actorPrefix ?? "";
      assert.deepEqual(
        new Map((result as { actorId: string; latestVersion: number }[]).map((actor) => [
          actor.actorId,
          actor.latestVersion,
        ])),
        new Map(
          reference.actorIds.filter((id) => id.startsWith(prefix)).map((id) => [id, reference.latest(id)]),
        ),
      );
    },
  },
  verify: {
    sound: () => ({ options: {} }),
    places: {
      options: "options",
      "options.expectedPosition": "optional position",
      "options.onProgress": "optional function",
      "options.signal": "optional signal",
    },
    run: (store, { options }) => store.verify(options),
    check: (reference, _, result) => {
      const { ok, events } = result as { ok: boolean; events: number };
      assert.deepEqual({ ok, events }, { ok: true, events: reference.log.length });
    },
  },
  saveSnapshot: {
    sound: (reference, actorId) => ({
      snapshot: {
        actorId,
        kind: "fuzz",
        schemaVersion: 1,
        version: Math.max(1, reference.latest(actorId)),
        state: { member: 1 },
        timestamp: "2026-01-31T12:00:00.000Z",
      },
    }),
    places: {
      snapshot: "object",
      "snapshot.actorId": "snapshot",
      "snapshot.kind": "snapshot",
      "snapshot.schemaVersion": "snapshot",
      "snapshot.version": "snapshot",
      "snapshot.state": "snapshot",
      "snapshot.state.member": "snapshot",
      "snapshot.timestamp": "snapshot",
    },
    run: async (store, { snapshot }) => await store.saveSnapshot?.(snapshot),
  },
  getLatestSnapshot: {
    sound: (_, actorId) => ({ actorId, kind: "fuzz" }),
    places: { actorId: "actorId", kind: "name" },
    run: async (store, { actorId, kind }) => await store.getLatestSnapshot?.(actorId, kind),
  },
  deleteSnapshots: {
    sound: () => ({ kind: "fuzz", options: {} }),
    places: { kind: "name", options: "options", "options.signal": "optional signal" },
    run: async (store, { kind, options }) => await store.deleteSnapshots?.(kind, options),
  },
  replay: {
    sound: (_, actorId) => ({ actorId, view: { ...sum }, options: {} }),
    places: {
      actorId: "actorId",
      view: "object",
      "view.initialState": "function",
      "view.evolve": "function",
      options: "options",
      "options.atVersion": "optional reached version",
      "options.atTime": "timestamp",
      "options.signal": "optional signal",
      "options.onWarning": "optional function",
    },
    run: (store, { actorId, view, options }) => replay(store, actorId, view, options),
    check: (reference, { actorId, options }, result) => {
      const { atVersion = Infinity, atTime } = options ?? {};
      if (atTime !== undefined) return;
      const { events } = result as { events: number };
      assert.equal(
        events,
        reference.events(actorId).filter(({ version }) => version <= atVersion).length,
      );
    },
  },
} as const satisfies Record<string, Call>;
