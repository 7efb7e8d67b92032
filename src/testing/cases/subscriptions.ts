/**
 * History, then live.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../errors.ts";
import type { StoredEvent } from "../../event/types.ts";
import type { Subscription } from "../../event/subscription.ts";
import type { CaseContext, Theme } from "../context.ts";
import type { StoreUnderTest } from "../harness.ts";
import {
  all,
  allOf,
  begun,
  dataOf,
  happened,
  happenedTo,
  history,
  refused,
  take,
  turn,
  wholeLog,
  within,
} from "../support.ts";

/** The position of a subscription's iteration. */
function iterate<T>(subscription: AsyncIterable<T>): AsyncIterator<T, unknown> {
  return subscription[Symbol.asyncIterator]();
}

/** Waits until a subscription has the expected position. */
async function standsAt(
  context: CaseContext,
  subscription: { readonly position: string | undefined },
  position: string | undefined,
): Promise<void> {
  const reach = async (): Promise<void> => {
    while (subscription.position !== position && !over) await turn();
  };
  let over = false;
  const reaching = reach();
  try {
    await within(context, `the subscription reaches ${position}`, reaching);
  } finally {
    over = true;
    await reaching;
  }
}

/** Subscribes at a random moment while commits of two events come in, and takes everything. */
async function crossTheSeam(
  context: CaseContext,
  writer: StoreUnderTest,
  reader: StoreUnderTest,
): Promise<void> {
  const count = context.scaled(60);
  let writing = true;
  const write = async (): Promise<void> => {
    for (let version = 1; version <= count; version++) {
      await writer.saveEvents([happenedTo("a", version), happenedTo("b", version)]);
      if (version % 3 === 0) await turn(); // for a store that answers without one
    }
  };
  const subscribers: Promise<StoredEvent[]>[] = [];
  const subscribe = async (): Promise<void> => {
    while (writing && subscribers.length < 25) {
      const subscription = reader.subscribe();
      const taking = take(context, iterate(subscription), count * 2);
      subscribers.push(begun(taking.finally(() => subscription.close())));
      await turn();
    }
  };
  await allOf([write().finally(() => writing = false), subscribe()]);
  const log = (await wholeLog(writer)).map(({ position }) => position);
  for (const events of await allOf(subscribers)) {
    assert.deepEqual(events.map(({ position }) => position), log);
  }
}

/** The cases of subscriptions. */
export const subscriptions: Theme = {
  topic: "subscriptions",
  cases: [
    {
      name: "a subscription delivers the history, and then what comes",
      async run(context): Promise<void> {
        const store = await context.open();
        const before = await history(store, "a", 3);
        await using subscription = store.subscribe();
        const events = iterate(subscription);
        assert.deepEqual(await take(context, events, 3), before);
        const pending = take(context, events, 3);
        const after = [
          ...await store.append("b", [happened(), happened()], { expectedVersion: 0 }),
          await store.saveEvent(happenedTo("a", 9)),
        ];
        assert.deepEqual(await pending, after);
      },
    },
    {
      name: "a subscription reports when its loop has done with what was in the log",
      async run(context): Promise<void> {
        const { open } = context;
        const store = await open();
        await using empty = store.subscribe();
        assert.equal(await within(context, "caught up with an empty log", empty.caughtUp()), true);
        await history(store, "a", 30);
        await history(store, "b", 1);
        const filters: readonly { readonly actorId?: string }[] = [{}, { actorId: "a" }, { actorId: "none" }];
        for (const filter of filters) {
          await using subscription = store.subscribe(filter);
          const done: number[] = [];
          const loop = (async (): Promise<void> => {
            for await (const { version } of subscription) {
              await turn();
              done.push(version);
            }
          })();
          try {
            assert.equal(await within(context, "caught up", subscription.caughtUp()), true);
            const log = await wholeLog(store);
            const expected = log.filter(({ actorId }) => actorId === (filter.actorId ?? actorId));
            assert.equal(done.length, expected.length);
            await store.append("c", [happened()], { expectedVersion: "any" });
            assert.equal(await within(context, "caught up again", subscription.caughtUp()), true);
          } finally {
            await subscription.close();
            await loop;
          }
          assert.equal(await subscription.caughtUp(), false);
        }
        await using unread = store.subscribe();
        const waiting = unread.caughtUp();
        await unread.close();
        assert.equal(await within(context, "the end of a subscription that is not read", waiting), false);
      },
    },
    {
      name: "a subscription on another store object delivers what is saved",
      needs: "sharing",
      async run(context): Promise<void> {
        const [writer, reader] = [await context.open(), await context.open()];
        await using subscription = reader.subscribe();
        await subscription.ready;
        const pending = take(context, iterate(subscription), 5);
        assert.deepEqual(await history(writer, "a", 5), await pending);
      },
    },
    {
      name: "there is no gap and no duplicate where history turns into live",
      async run(context): Promise<void> {
        const store = await context.open();
        await crossTheSeam(context, store, store);
      },
    },
    {
      name: "there is no gap and no duplicate at the seam on another store object",
      needs: "sharing",
      slow: true,
      async run(context): Promise<void> {
        await crossTheSeam(context, await context.open(), await context.open());
      },
    },
    {
      name: "from the end it delivers all that is saved once it is ready, and nothing before",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "a", 3);
        for (let round = 0; round < 5; round++) {
          await using subscription = store.subscribe({ after: "end" });
          await within(context, "ready", subscription.ready);
          const saved = await store.append("a", [happened(round)], { expectedVersion: "any" });
          assert.deepEqual(await take(context, iterate(subscription), 1), saved);
        }
        await using first = (await context.openElsewhere()).subscribe({ after: "end" });
        await within(context, "ready on an empty log", first.ready);
        assert.equal(first.position, undefined);
      },
    },
    {
      name: "it begins exactly behind a position",
      async run(context): Promise<void> {
        const store = await context.open();
        await store.append("a", [happened(1), happened(2), happened(3)], { expectedVersion: 0 });
        const log = await wholeLog(store);
        for (const [index, { position }] of [...log].entries()) {
          await using subscription = store.subscribe({ after: position });
          await within(context, "ready", subscription.ready);
          assert.equal(subscription.position, position);
          const events = iterate(subscription);
          const rest = log.slice(index + 1);
          assert.deepEqual(await take(context, events, rest.length), rest);
          const saved = await store.append("b", [happened()], { expectedVersion: "any" });
          log.push(...saved);
          const [next] = await take(context, events, 1);
          assert.deepEqual(next, saved[0]);
        }
      },
    },
    {
      name: "its position is that of the last event delivered, and one resumes from it without loss",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "a", 10);
        const seen: StoredEvent[] = [];
        let after: string = "start";
        while (seen.length < 10) {
          const subscription: Subscription<StoredEvent> = store.subscribe({ after });
          for await (const event of subscription) {
            seen.push(event);
            assert.equal(subscription.position, event.position);
            if (seen.length % 3 === 0 || seen.length === 10) break;
          }
          after = subscription.position!;
        }
        assert.deepEqual(dataOf(seen), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      },
    },
    {
      name: "filters choose what is delivered, and move the position past what they leave out",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "left.out", 5);
        await using subscription = store.subscribe({ actorPrefix: "order.", eventTypes: ["Placed"] });
        const events = iterate(subscription);
        const pending = take(context, events, 1);
        await store.append("order.1", [happened(), happened("this", { eventType: "Placed" })], {
          expectedVersion: 0,
        });
        assert.deepEqual(dataOf(await pending), ["this"]);
        const next = take(context, events, 1);
        const [last] = await store.append("left.out", [happened()], { expectedVersion: "any" });
        await standsAt(context, subscription, last!.position);
        await store.append("order.2", [happened("that", { eventType: "Placed" })], { expectedVersion: 0 });
        assert.deepEqual(dataOf(await next), ["that"]);
      },
    },
    {
      name: "close, disposal and break end its loop normally, waiting or not",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "a", 2);
        const waiting = store.subscribe({ after: "end" });
        const waited = begun(all(() => waiting));
        await within(context, "ready", waiting.ready);
        await waiting.close();
        await waiting.close();
        assert.deepEqual(await within(context, "the loop ends", waited), []);

        const busy = store.subscribe();
        const seen: StoredEvent[] = [];
        for await (const event of busy) {
          seen.push(event);
          await busy[Symbol.asyncDispose]();
        }
        assert.equal(seen.length, 1, "events come after it was closed");

        const left = store.subscribe();
        for await (const _ of left) break;
        await within(context, "ready of one that has ended", left.ready);
        await store.subscribe().close(); // never iterated
      },
    },
    {
      name: "a signal makes its loop throw the signal's reason, waiting or not",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "a", 2);
        const reason = new Error("enough");
        const abort = new AbortController();
        const waiting = store.subscribe({ after: "end", signal: abort.signal });
        const loop = begun(refused(() => all(() => waiting), Error));
        await within(context, "ready", waiting.ready);
        abort.abort(reason);
        assert.equal(await within(context, "the loop ends", loop), reason);
        const signal = AbortSignal.abort(reason);
        const aborted = store.subscribe({ signal });
        assert.equal(await within(context, "ready settles", refused(() => aborted.ready, Error)), reason);
        assert.equal(await within(context, "it ends", refused(() => all(() => aborted), Error)), reason);
      },
    },
    {
      name: "closing the store ends its subscriptions normally",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "a", 2);
        const loops = [
          begun(all(() => store.subscribe())),
          begun(all(() => store.subscribe({ after: "end" }))),
          begun(all(() => store.subscribe({ eventTypes: ["Never"] }))),
        ];
        await turn();
        await within(context, "close", store.close());
        const [whole, end, never] = await within(context, "the loops end", Promise.all(loops));
        assert(whole!.length <= 2);
        assert.deepEqual([end, never], [[], []]);
      },
    },
    {
      name: "it is iterated once",
      async run(context): Promise<void> {
        const store = await context.open();
        await history(store, "a", 1);
        await using subscription = store.subscribe();
        const events = iterate(subscription);
        await refused(() => all(() => subscription), InvalidArgumentError);
        assert.equal((await take(context, events, 1)).length, 1, "the first iteration is disturbed");
      },
    },
    {
      name: "a slow subscriber neither loses events nor holds up others",
      async run(context): Promise<void> {
        const store = await context.open();
        await using slow = store.subscribe();
        await using fast = store.subscribe();
        await Promise.all([slow.ready, fast.ready]);
        const [slowly, quickly] = [iterate(slow), iterate(fast)];
        const saved = await history(store, "a", 20);
        assert.deepEqual(await take(context, quickly, 20), saved);
        for (const event of saved) {
          assert.deepEqual(await take(context, slowly, 1), [event]);
          await turn();
        }
      },
    },
  ],
};
