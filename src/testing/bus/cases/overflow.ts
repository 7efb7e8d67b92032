/**
 * Slow and failing subscribers harm themselves alone, and know it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { SubscriptionOverflowError } from "../../../bus/errors.ts";
import type { BusSubscription, Loss } from "../../../bus/types.ts";
import type { Event } from "../../../event/types.ts";
import { refused } from "../../support.ts";
import type { BusTheme } from "../context.ts";

/** Overflow and failure. */
export const overflow: BusTheme = {
  theme: "overflow",
  cases: [
    {
      name: "drop-oldest keeps the latest events, drop-newest the earliest, and both count and tell the loss",
      async run(context): Promise<void> {
        const losses: Loss[] = [];
        const onLoss = (loss: Loss): void => void losses.push(loss);
        const oldest = context.listener.subscribe("orders", { buffer: 3, onLoss });
        const newest = context.listener.subscribe("orders", { buffer: 3, overflow: "drop-newest", onLoss });
        await Promise.all([oldest.ready, newest.ready]);
        for (let index = 0; index < 10; index++) await context.publish("orders", index);
        await context.until("seven losses each", () => oldest.lost === 7 && newest.lost === 7);
        assert.deepEqual([oldest.pending, newest.pending], [3, 3]);
        const take = async (subscription: BusSubscription<Event>): Promise<unknown[]> =>
          (await context.take(subscription[Symbol.asyncIterator](), 3)).map(({ data }) => data);
        assert.deepEqual(await take(oldest), [7, 8, 9]);
        assert.deepEqual(await take(newest), [0, 1, 2]);
        assert.equal(losses.length, 14);
        assert(losses.every(({ reason, namespace }) => reason === "overflow" && namespace === "orders"));
        assert.equal(context.warnings.filter(({ code }) => code === "bus-overflow").length, 14);
      },
    },
    {
      name: "the policy error delivers what is buffered, and then throws",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders", { buffer: 3, overflow: "error" });
        await subscription.ready;
        for (let index = 0; index < 5; index++) await context.publish("orders", index);
        await context.until("the loss", () => subscription.lost === 1);
        const got: unknown[] = [];
        await refused(
          async () => {
            for await (const event of subscription) got.push(event.data);
          },
          SubscriptionOverflowError,
          { namespace: "orders", buffer: 3 },
        );
        assert.deepEqual(got, [0, 1, 2]);
      },
    },
    {
      name: "a subscriber that takes nothing holds up neither another nor the publisher",
      async run(context): Promise<void> {
        const idle = context.listener.subscribe("orders", { buffer: 1 });
        const quick = context.listener.subscribe("orders", { buffer: 10_000 });
        await Promise.all([idle.ready, quick.ready]);
        for (let index = 0; index < 2_000; index++) await context.publish("orders", index);
        await context.publish("orders", "end");
        const got = await context.untilEnd(quick);
        assert.equal(got.length, 2_000);
        assert.equal(quick.lost, 0);
        await context.until("the idle one's losses", () => idle.lost === 2_000);
      },
    },
    {
      name: "a handler that throws, now or later, is counted and goes on, and others hear nothing of it",
      async run(context): Promise<void> {
        const failing = context.listener.subscribe("orders");
        const steady = context.listener.subscribe("orders");
        await Promise.all([failing.ready, steady.ready]);
        const handled: unknown[] = [];
        const handling = failing.forEach(({ data }) => {
          handled.push(data);
          if (data === 1) throw new Error("at once");
          return data === 2 ? Promise.reject(new Error("later")) : undefined;
        });
        for (let index = 0; index < 5; index++) await context.publish("orders", index);
        await context.publish("orders", "end");
        assert.deepEqual(await context.untilEnd(steady), [0, 1, 2, 3, 4]);
        await context.until("the last event", () => handled.includes("end"));
        assert.deepEqual(handled, [0, 1, 2, 3, 4, "end"]);
        assert.equal(failing.failures, 2);
        const warned = context.warnings.filter(({ code }) => code === "handler-failed");
        assert.deepEqual(warned.map(({ cause }) => (cause as Error).message), ["at once", "later"]);
        await failing.close();
        await context.within("forEach", handling);
      },
    },
    {
      name: "a handler is waited for before it gets the next event",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        await subscription.ready;
        const log: string[] = [];
        const handling = subscription.forEach(async ({ data }) => {
          log.push(`begin ${data}`);
          await new Promise((resolve) => setTimeout(resolve, 1));
          log.push(`end ${data}`);
        });
        for (let index = 0; index < 3; index++) await context.publish("orders", index);
        await context.until("the last event", () => log.length === 6);
        assert.deepEqual(log, ["begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"]);
        await subscription.close();
        await context.within("forEach", handling);
      },
    },
    {
      name: "onLoss that throws is warned of, and nothing else",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders", {
          buffer: 1,
          onLoss: () => {
            throw new Error("mine");
          },
        });
        await subscription.ready;
        for (let index = 0; index < 3; index++) await context.publish("orders", index);
        await context.until("the losses", () => subscription.lost === 2);
        const [event] = await context.take(subscription[Symbol.asyncIterator](), 1);
        assert.equal(event!.data, 2);
        assert.equal(context.warnings.filter(({ code }) => code === "on-loss-failed").length, 2);
      },
    },
  ],
};
