/**
 * What every store announces, and what it does not: the same cases for each.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  CommitTooLargeError,
  type Event,
  type EventPublisher,
  type EventStoreOptions,
  FencedError,
  INTERNAL_NAMESPACE,
  InvalidEventError,
  LocalEventBus,
  VersionConflictError,
  type Warning,
} from "../../mod.ts";
import type { BackedEventStore } from "../../src/store/backed_event_store.ts";

/** Opens a store over a backend of its own. */
export type OpenStore = (options: EventStoreOptions) => Promise<BackedEventStore>;

/** Notes what a bus is asked to publish. */
export class Recorder implements EventPublisher {
  /** The events, in order. */
  readonly events: Event[] = [];
  /** The namespaces they were for. */
  readonly namespaces = new Set<string>();

  /** Notes an event. */
  publish(namespace: string, event: Event): Promise<void> {
    this.namespaces.add(namespace);
    this.events.push(event);
    return Promise.resolve();
  }
}

/** An event to save. */
export const HAPPENED = { eventType: "Happened", data: null };

/** The cases, over one kind of store. */
export function eventStoredCases(open: OpenStore): readonly { name: string; run: () => Promise<void> }[] {
  return [
    {
      name: "every way of saving has announced each event when it resolves",
      run: async (): Promise<void> => {
        const bus = new Recorder();
        await using store = await open({ bus, namespace: "shop" });
        const traced = {
          traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
          correlationId: "c",
          own: "kept",
        };
        const stored = [
          await store.saveEvent({ ...HAPPENED, actorId: "a", version: 3, metadata: traced }),
        ];
        assert.equal(bus.events.length, 1);
        stored.push(
          ...await store.saveEvents([
            { ...HAPPENED, actorId: "b", version: 1 },
            { ...HAPPENED, actorId: "a", version: 5 },
            { ...HAPPENED, actorId: "b", version: 2 },
          ]),
        );
        assert.equal(bus.events.length, 4);
        stored.push(...await store.append("a", [HAPPENED, HAPPENED], { expectedVersion: 5 }));
        assert.equal(bus.events.length, 6);
        assert.deepEqual(
          bus.events.map(({ data }) => data),
          stored.map(({ id: eventId, actorId, version, timestamp, eventType, position }) => (
            { eventId, actorId, version, timestamp, eventType, namespace: "shop", position }
          )),
        );
        assert.deepEqual(
          bus.events.map(({ actorId, version }) => [actorId, version]),
          [["a", 3], ["b", 1], ["b", 2], ["a", 5], ["a", 6], ["a", 7]],
        );
        assert(bus.events.every(({ eventType }) => eventType === "EventStored"));
        assert.deepEqual([...bus.namespaces], [INTERNAL_NAMESPACE]);
        assert.equal(new Set(bus.events.map(({ id }) => id)).size, 6);
        const { traceparent, correlationId } = traced;
        assert.deepEqual(bus.events[0]!.metadata, { traceparent, correlationId });
        await Promise.resolve();
        assert.deepEqual(store.announcements, { published: 6, failed: 0, dropped: 0, pending: 0 });
      },
    },

    {
      name: "nothing is announced but what is stored, and that once",
      run: async (): Promise<void> => {
        const bus = new Recorder();
        await using store = await open({ bus });
        const events = [{ ...HAPPENED, id: "e-1" }, { ...HAPPENED, id: "e-2" }];
        await store.append("a", events, { expectedVersion: 0 });
        const announced = bus.events.length;
        assert.equal(announced, 2);

        const repeated = await store.append("a", events, { expectedVersion: 0 });
        assert.equal(repeated.length, 2);
        await assert.rejects(store.append("a", [HAPPENED], { expectedVersion: 1 }), VersionConflictError);
        await assert.rejects(
          store.saveEvent({ ...HAPPENED, actorId: "a", version: 2, id: "e-2" }),
          VersionConflictError,
        );
        await assert.rejects(
          store.saveEvents([{ ...HAPPENED, actorId: "new", version: 1 }, {
            ...HAPPENED,
            actorId: "a",
            version: 1,
          }]),
          VersionConflictError,
        );
        await assert.rejects(store.saveEvent({ ...HAPPENED, actorId: "", version: 1 }), InvalidEventError);
        await assert.rejects(
          store.append("a", [{ ...HAPPENED, data: 1n }], { expectedVersion: 2 }),
          InvalidEventError,
        );
        const tooMany = Array.from({ length: store.limits.eventsPerCommit + 1 }, () => HAPPENED);
        await assert.rejects(store.append("a", tooMany, { expectedVersion: 2 }), CommitTooLargeError);
        await store.takeOver("a", 7);
        await assert.rejects(
          store.append("a", [HAPPENED], { expectedVersion: 2, fencingToken: 6 }),
          FencedError,
        );
        const signal = AbortSignal.abort(new Error("aborted"));
        await assert.rejects(
          store.append("a", [HAPPENED], { expectedVersion: 2, fencingToken: 7, signal }),
          /aborted/,
        );
        assert.deepEqual(await store.append("a", [], { expectedVersion: 2 }), []);
        assert.equal(bus.events.length, announced);
      },
    },

    {
      name: "announcements of an actor stand in the order of its versions, also among types with schemas",
      run: async (): Promise<void> => {
        const bus = new Recorder();
        const schema = {
          "~standard": {
            version: 1,
            vendor: "test",
            validate: (value: unknown) => Promise.resolve({ value }),
          },
        } as const;
        await using store = await open({ bus, events: { Checked: { version: 1, schema } } });
        await Promise.all(Array.from({ length: 100 }, (_, index) => {
          const eventType = index % 2 === 0 ? "Checked" : "Unchecked";
          return store.append("a", [{ eventType, data: index }], { expectedVersion: "any" });
        }));
        const versions = bus.events.map(({ version }) => version);
        assert.deepEqual(versions, Array.from({ length: 100 }, (_, index) => index + 1));
      },
    },

    {
      name: "a bus that throws, rejects, hangs or is closed neither fails nor delays a save, and is counted",
      run: async (): Promise<void> => {
        const closed = new LocalEventBus();
        await closed.close();
        const buses: Record<string, EventPublisher> = {
          "throws": {
            publish: () => {
              throw new Error("thrown");
            },
          },
          "rejects": { publish: () => Promise.reject(new Error("rejected")) },
          "returns nonsense": { publish: () => ({ then: 5 }) as unknown as Promise<void> },
          "returns a bad thenable": {
            publish: () =>
              ({
                then: () => {
                  throw new Error("then");
                },
              }) as unknown as Promise<void>,
          },
          "is closed": closed,
          "hangs": { publish: () => new Promise(() => {}) },
        };
        for (const [what, bus] of Object.entries(buses)) {
          const warnings: Warning[] = [];
          const store = await open({ bus, onWarning: (warning) => warnings.push(warning) });
          const events = await store.append("a", [HAPPENED, HAPPENED], { expectedVersion: 0 });
          assert.equal(events.length, 2, what);
          await new Promise((resolve) => setTimeout(resolve, 0));
          const { published, failed, pending } = store.announcements!;
          const expected = what === "hangs" ? [0, 0, 2] : what === "returns nonsense" ? [2, 0, 0] : [0, 2, 0];
          assert.deepEqual([published, failed, pending], expected, what);
          assert.equal(warnings.filter(({ code }) => code === "event-stored-failed").length, failed, what);
          const begun = performance.now();
          await store.close();
          assert(performance.now() - begun < 20_000, "close waits a bounded time");
          const abandoned = warnings.filter(({ code }) => code === "event-stored-abandoned").length;
          assert.equal(abandoned, what === "hangs" ? 1 : 0, what);
        }
      },
    },
  ];
}
