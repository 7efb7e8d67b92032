/**
 * Point 12: `close()` finishes what is in flight, then refuses.
 *
 * @module
 */

import assert from "node:assert/strict";
import { StoreClosedError } from "../../store/errors.ts";
import type { Theme } from "../context.ts";
import { all, happened, happenedTo, history, refused, within } from "../support.ts";

/** Point 12. */
export const closing: Theme = {
  point: 12,
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
        if (store.saveSnapshot && store.getLatestSnapshot) {
          const { saveSnapshot, getLatestSnapshot } = store;
          const timestamp = "2026-01-01T00:00:00.000Z";
          const snapshot = { actorId: "order", kind: "k", schemaVersion: 1, version: 1, state: 1, timestamp };
          calls["saveSnapshot"] = () => saveSnapshot.call(store, snapshot);
          calls["getLatestSnapshot"] = () => getLatestSnapshot.call(store, "order", "k");
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
      name: "a read that is under way ends or is refused when the store is closed",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "order", 5);
        const iterator = store.readAll()[Symbol.asyncIterator]();
        await iterator.next();
        await store.close();
        const rest = async (): Promise<void> => {
          while (!(await iterator.next()).done);
        };
        await within(
          context,
          "the read ends",
          rest().catch((error) => assert(error instanceof StoreClosedError, String(error))),
        );
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
