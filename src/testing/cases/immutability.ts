/**
 * Events are immutable, no matter what a caller does to the objects that it passed in or got back.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { EventInput } from "../../event/types.ts";
import type { Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import { all, take, wholeLog } from "../support.ts";

interface Cart {
  total: number;
  items: { name: string; price: number }[];
}

function input(): { event: EventInput; data: Cart; metadata: Record<string, string> } {
  const data: Cart = { total: 5, items: [{ name: "tea", price: 5 }] };
  const metadata = { userId: "ada", note: "first" };
  return {
    data,
    metadata,
    event: { id: "one", eventType: "Placed", actorId: "order", version: 1, data, metadata },
  };
}

/** The first path that is not frozen. */
function unfrozen(value: unknown, path: string): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (!Object.isFrozen(value)) return path;
  for (const [key, member] of Object.entries(value)) {
    const found = unfrozen(member, `${path}.${key}`);
    if (found) return found;
  }
  return undefined;
}

/** All that hands out events, with what it hands out. */
async function handedOut(store: StoreUnderTest): Promise<Record<string, readonly unknown[]>> {
  const subscription = store.subscribe();
  const iterator = subscription[Symbol.asyncIterator]();
  const subscribed = [(await iterator.next()).value];
  await subscription.close();
  return {
    getEvents: await store.getEvents("order"),
    readEvents: await all(() => store.readEvents("order")),
    readAll: await wholeLog(store),
    subscribe: subscribed,
  };
}

/** Immutability. */
export const immutability: Theme = {
  topic: "immutable",
  cases: [
    {
      name: "changing an event after it was passed in changes nothing that is stored",
      async run({ open }): Promise<void> {
        const store = await open();
        const { event, data, metadata } = input();
        const pending = store.saveEvent(event);
        data.total = -1; // before the save has resolved
        const saved = await pending;
        data.items.push({ name: "stolen", price: 0 });
        data.items[0]!.price = 0;
        metadata["userId"] = "eve";
        Object.assign(event, { eventType: "Cancelled", version: 9 });
        const sound = input();
        for (const [how, events] of Object.entries({ ...await handedOut(store), saveEvent: [saved] })) {
          const [{ position: _, timestamp: __, ...kept }] = events as [typeof saved];
          assert.deepEqual(kept, sound.event, how);
        }
      },
    },
    {
      name: "the caller's own objects are neither frozen nor changed",
      async run({ open }): Promise<void> {
        const store = await open();
        const { event, data, metadata } = input();
        const list = [event];
        await store.saveEvents(list);
        const appended = { eventType: "Placed", data: { items: [1] } };
        await store.append("other", [appended], { expectedVersion: 0 });
        for (const own of [event, data, data.items, data.items[0], metadata, list, appended, appended.data]) {
          assert(!Object.isFrozen(own) && Object.isExtensible(own), "an object of the caller is frozen");
        }
        const sound = input();
        assert.deepEqual(event, sound.event);
        assert.deepEqual(appended, { eventType: "Placed", data: { items: [1] } });
        assert.equal(list.length, 1);
      },
    },
    {
      name: "what is handed out is frozen through and through",
      async run({ open }): Promise<void> {
        const store = await open();
        const saved = await store.saveEvent(input().event);
        const [appended] = await store.append("other", [{ eventType: "A", data: { items: [{ a: 1 }] } }], {
          expectedVersion: 0,
        });
        const sources = { ...await handedOut(store), saveEvent: [saved], append: [appended] };
        for (const [how, events] of Object.entries(sources)) {
          for (const event of events) assert.equal(unfrozen(event, how), undefined);
        }
      },
    },
    {
      name: "changing a list of events that was handed out changes nothing that is stored",
      async run({ open }): Promise<void> {
        const store = await open();
        const saved = await store.saveEvents([input().event]);
        const [kept] = saved;
        for (const list of [saved, await store.getEvents("order")]) {
          if (Object.isFrozen(list)) continue;
          list.pop();
        }
        assert.deepEqual(await store.getEvents("order"), [kept]);
        assert.deepEqual(await wholeLog(store), [kept]);
      },
    },
    {
      name: "an event that was delivered stays as it was while others are saved",
      async run(context): Promise<void> {
        const store = await context.open();
        await store.saveEvent(input().event);
        await using subscription = store.subscribe();
        const [delivered] = await take(context, subscription[Symbol.asyncIterator](), 1);
        const copy = structuredClone(delivered);
        await store.append("order", [{ eventType: "Other", data: 1 }], { expectedVersion: 1 });
        assert.deepEqual(delivered, copy);
      },
    },
  ],
};
