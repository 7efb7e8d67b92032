/**
 * `close()` finishes what is in flight, then refuses.
 *
 * @module
 */

import assert from "node:assert/strict";
import { StoreClosedError } from "../../store/errors.ts";
import type { Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { all, happened, happenedTo, history, refused, within } from "../support.ts";

/** Every iteration over what a store holds. */
const iterations: Readonly<
  Record<string, (store: StoreUnderTest, options?: { signal: AbortSignal }) => AsyncIterable<unknown>>
> = {
  readAll: (store, options) => store.readAll(options),
  "readAll of an actor": (store, options) => store.readAll({ ...options, actorId: "order" }),
  readEvents: (store, options) => store.readEvents("order", options),
  "readEvents backward": (store, options) => store.readEvents("order", { ...options, direction: "backward" }),
  listActors: (store, options) => store.listActors(options),
  subscribe: (store, options) => store.subscribe(options),
};

/** More of everything than is handed out at once. */
async function manyActors(store: StoreUnderTest): Promise<void> {
  await history(store, "order", 200);
  await Promise.all(Array.from({ length: 20 }, (_, index) => history(store, `other-${index}`, 1)));
}

/** The cases of closing. */
export const closing: Theme = {
  topic: "closing",
  cases: [
    {
      name: "a closed store refuses every call",
      async run({ open }): Promise<void> {
        const store = await open();
        const [event] = await history(store, "order", 1);
        const iterable = store.readEvents("order");
        await store.close();
        const calls: Record<string, () => unknown> = {
          saveEvent: () => store.saveEvent(happenedTo("order", 2)),
          saveEvents: () => store.saveEvents([happenedTo("order", 2)]),
          "saveEvents of nothing": () => store.saveEvents([]),
          append: () => store.append("order", [happened()], { expectedVersion: 1 }),
          takeOver: () => store.takeOver("order", 1),
          getEvents: () => store.getEvents("order"),
          readEvents: () => all(() => store.readEvents("order")),
          "readEvents from before": () => all(() => iterable),
          getLatestVersion: () => store.getLatestVersion("order"),
          readAll: () => all(() => store.readAll()),
          "readAll of nothing": () => all(() => store.readAll({ limit: 0 })),
          getLastPosition: () => store.getLastPosition(),
          subscribe: () => all(() => store.subscribe()),
          listActors: () => all(() => store.listActors()),
          verify: () => store.verify({ expectedPosition: event!.position }),
          diagnose: () => store.diagnose(),
        };
        if (store.saveSnapshot && store.getLatestSnapshot && store.deleteSnapshots) {
          const { saveSnapshot, getLatestSnapshot, deleteSnapshots } = store;
          const timestamp = "2026-01-01T00:00:00.000Z";
          const snapshot = { actorId: "order", kind: "k", schemaVersion: 1, version: 1, state: 1, timestamp };
          calls["saveSnapshot"] = () => saveSnapshot.call(store, snapshot);
          calls["getLatestSnapshot"] = () => getLatestSnapshot.call(store, "order", "k");
          calls["deleteSnapshots"] = () => deleteSnapshots.call(store, "k");
        }
        for (const [name, call] of Object.entries(calls)) await refused(call, StoreClosedError, {}, name);
        assert(store.limits.eventsPerCommit >= 100, "the limits can still be read");
      },
    },
    {
      name: "close can be called again, at once and later, and by disposal",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "order", 1);
        await within(context, "close", Promise.all([store.close(), store.close()]));
        await store.close();
        await store[Symbol.asyncDispose]();
        await (await context.open({ namespace: "unused" })).close();
      },
    },
    {
      name: "saves that were under way are stored when close resolves, or say that they are not",
      needs: "reopening",
      async run(context): Promise<void> {
        const store = await context.open();
        const saves = Array.from(
          { length: 20 },
          (_, index) => store.append(`order-${index}`, [happened(index)], { expectedVersion: 0 }),
        );
        const outcomes = Promise.allSettled(saves);
        await within(context, "close", store.close());
        const settled = await within(context, "the saves settle", outcomes);
        const again = await context.reopen();
        for (const [index, outcome] of settled.entries()) {
          const stored = await again.getEvents(`order-${index}`);
          if (outcome.status === "fulfilled") {
            assert.equal(stored.length, 1, "an acknowledged save is lost");
            assert.deepEqual(stored, outcome.value);
          } else {
            await refused(() => Promise.reject(outcome.reason), StoreClosedError);
            assert.deepEqual(stored, []);
          }
        }
        assert(settled.every(({ status }) => status === "fulfilled"), "a save that had begun was dropped");
      },
    },
    {
      name: "close ends every iteration in its middle with StoreClosedError, and subscriptions normally",
      async run(context): Promise<void> {
        for (const [name, read] of Object.entries(iterations)) {
          const store = await context.open({ namespace: "closing" });
          if (await store.getLatestVersion("order") === 0) await manyActors(store);
          const iterator = read(store)[Symbol.asyncIterator]();
          assert.equal((await within(context, `the first item of ${name}`, iterator.next())).done, false);
          await within(context, "close", store.close());
          const next = (): Promise<unknown> => within(context, `the end of ${name}`, iterator.next());
          if (name !== "subscribe") await refused(next, StoreClosedError, {}, name);
          assert.deepEqual(await next(), { done: true, value: undefined }, name);
        }
      },
    },
    {
      name: "an abort ends every iteration in its middle with the signal's reason",
      async run(context): Promise<void> {
        const store = await context.open();
        await manyActors(store);
        for (const [name, read] of Object.entries(iterations)) {
          const abort = new AbortController();
          const iterator = read(store, { signal: abort.signal })[Symbol.asyncIterator]();
          assert.equal((await within(context, `the first item of ${name}`, iterator.next())).done, false);
          const reason = new Error(`enough of ${name}`);
          abort.abort(reason);
          const next = (): Promise<unknown> => within(context, `the end of ${name}`, iterator.next());
          assert.equal(await refused(next, Error, {}, name), reason, name);
          assert.deepEqual(await next(), { done: true, value: undefined }, name);
        }
      },
    },
    {
      name: "reads that are in progress when the store is closed answer or reject with StoreClosedError",
      async run(context): Promise<void> {
        const store = await context.open();
        const [event] = await history(store, "order", 300);
        const reads = [
          store.getEvents("order"),
          store.getLatestVersion("order"),
          store.getLastPosition(),
          store.verify({ expectedPosition: event!.position }),
          store.diagnose(),
          all(() => store.readAll()),
          all(() => store.readEvents("order", { direction: "backward" })),
          all(() => store.listActors()),
        ];
        const outcomes = Promise.allSettled(reads);
        await within(context, "close", store.close());
        for (const outcome of await within(context, "the reads settle", outcomes)) {
          if (outcome.status === "rejected") {
            await refused(() => Promise.reject(outcome.reason), StoreClosedError);
          }
        }
      },
    },
    {
      name: "closing one store leaves another over the same backend at work",
      needs: "sharing",
      async run(context): Promise<void> {
        const [one, two] = [await context.open(), await context.open()];
        await using subscription = two.subscribe();
        const events = subscription[Symbol.asyncIterator]();
        await history(one, "order", 1);
        await one.close();
        await two.append("order", [happened(2)], { expectedVersion: 1 });
        for (const version of [1, 2]) {
          const next = await within(context, `event ${version}`, events.next());
          assert.equal(next.value?.version, version);
        }
      },
    },
  ],
};
