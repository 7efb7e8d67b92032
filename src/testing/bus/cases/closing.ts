/**
 * How subscriptions and buses end.
 *
 * @module
 */

import assert from "node:assert/strict";
import { ClosedError, InvalidArgumentError } from "../../../errors.ts";
import { refused } from "../../support.ts";
import type { BusTheme } from "../context.ts";

/** Ends. */
export const closing: BusTheme = {
  theme: "closing",
  cases: [
    {
      name: "close, disposal and break end a loop normally",
      async run(context): Promise<void> {
        const waiting = context.listener.subscribe("orders");
        const loop = (async (): Promise<string> => {
          for await (const _event of waiting);
          return "ended";
        })();
        await waiting.ready;
        await waiting.close();
        assert.equal(await context.within("the loop", loop), "ended");
        await waiting.close();
        {
          await using disposed = context.listener.subscribe("orders");
          await disposed.ready;
        }
        const broken = context.listener.subscribe("orders");
        await broken.ready;
        await context.publish("orders", 1);
        await context.publish("orders", 2);
        for await (const _event of broken) break;
        await context.publish("orders", 3);
        assert.equal(broken.pending, 0);
      },
    },
    {
      name: "a signal makes the loop throw its reason",
      async run(context): Promise<void> {
        const controller = new AbortController();
        const subscription = context.listener.subscribe("orders", { signal: controller.signal });
        await subscription.ready;
        await context.publish("orders", 1);
        await context.until("the event", () => subscription.pending === 1);
        const iterator = subscription[Symbol.asyncIterator]();
        await context.take(iterator, 1);
        const next = iterator.next();
        controller.abort(new TypeError("enough"));
        await refused(() => context.within("next", next), TypeError);
        assert.deepEqual(await iterator.next(), { done: true, value: undefined });

        const already = context.listener.subscribe("orders", { signal: controller.signal });
        await refused(async () => {
          for await (const _event of already);
        }, TypeError);
        const handled = context.listener.subscribe("orders", {
          signal: AbortSignal.abort(new TypeError("already")),
        });
        await refused(() => handled.forEach(() => {}), TypeError);
      },
    },
    {
      name: "a subscription is taken from once",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        const iterator = subscription[Symbol.asyncIterator]();
        await refused(() => subscription[Symbol.asyncIterator](), InvalidArgumentError);
        await refused(() => subscription.forEach(() => {}), InvalidArgumentError);
        await iterator.return?.();
      },
    },
    {
      name: "calls of next that are made at once are answered in turn",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        await subscription.ready;
        const iterator = subscription[Symbol.asyncIterator]();
        const nexts = [iterator.next(), iterator.next(), iterator.next()];
        for (let index = 0; index < 3; index++) await context.publish("orders", index);
        const results = await context.within("three items", Promise.all(nexts));
        assert.deepEqual(results.map(({ value }) => value?.data), [0, 1, 2]);
      },
    },
    {
      name: "a closed bus refuses every call, and its loops end with what had arrived",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        const pattern = context.listener.subscribePattern("*");
        await Promise.all([subscription.ready, pattern.ready]);
        for (let index = 0; index < 3; index++) await context.publish("orders", index);
        await context.until("the events", () => subscription.pending === 3 && pattern.pending === 3);
        await context.within("close", Promise.all([context.listener.close(), context.listener.close()]));
        const event = { eventType: "Late", actorId: "a", version: 1, data: null };
        await refused(() => context.listener.publish("orders", event), ClosedError);
        await refused(() => context.listener.subscribe("orders"), ClosedError);
        await refused(() => context.listener.subscribePattern("*"), ClosedError);
        const got: unknown[] = [];
        for await (const { data } of subscription) got.push(data);
        assert.deepEqual(got, [0, 1, 2]);
        let events = 0;
        await pattern.forEach(() => void events++);
        assert.equal(events, 3);
      },
    },
  ],
};
