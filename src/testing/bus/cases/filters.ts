/**
 * Filters choose, and say so where they could choose nothing.
 *
 * @module
 */

import assert from "node:assert/strict";
import { InvalidArgumentError } from "../../../errors.ts";
import type { BusSubscribeOptions } from "../../../bus/types.ts";
import type { Event } from "../../../event/types.ts";
import { refused } from "../../support.ts";
import type { BusTheme } from "../context.ts";

/** Filters. */
export const filters: BusTheme = {
  theme: "filters",
  cases: [
    {
      name: "types, actor and prefix must all hold",
      async run(context): Promise<void> {
        const filters: readonly BusSubscribeOptions[] = [
          {},
          { eventTypes: ["Placed"] },
          { eventTypes: ["Placed", "Shipped", "Placed"] },
          { eventTypes: ["Placed", ...Array.from({ length: 30 }, (_, index) => `Other-${index}`)] },
          { actorId: "order.1" },
          { actorPrefix: "order." },
          { actorPrefix: "order.1" },
          { actorPrefix: "" },
          { eventTypes: ["Shipped"], actorPrefix: "order." },
          { eventTypes: ["Shipped"], actorId: "order.1", actorPrefix: "or" },
          { actorId: "order.1", actorPrefix: "x" },
        ];
        const events = ["order.1", "order.10", "order", "customer"].flatMap((actorId) =>
          ["Placed", "Shipped", "Paid"].map((eventType) => ({ actorId, eventType }))
        );
        const subscriptions = filters.map((filter) => context.listener.subscribe("orders", filter));
        const end = context.listener.subscribe("orders", { actorId: "the end" });
        await Promise.all([...subscriptions, end].map(({ ready }) => ready));
        for (const event of events) await context.publish("orders", event, event);
        await context.publish("orders", null, { actorId: "the end" });
        await context.take(end[Symbol.asyncIterator](), 1);
        for (const [index, subscription] of subscriptions.entries()) {
          const filter = filters[index]!;
          const expected = events.filter(({ actorId, eventType }) =>
            (filter.eventTypes?.includes(eventType) ?? true) && (filter.actorId ?? actorId) === actorId &&
            actorId.startsWith(filter.actorPrefix ?? "")
          );
          const iterator: AsyncIterator<Event> = subscription[Symbol.asyncIterator]();
          const got = await context.take(iterator, expected.length);
          assert.deepEqual(got.map(({ data }) => data), expected, JSON.stringify(filter));
          const whole = Object.keys(filter).length === 0 || filter.actorPrefix === "";
          assert.equal(subscription.pending, whole ? 1 : 0, "only the end is left, if it is chosen");
        }
      },
    },
    {
      name: "options out of range are refused at once",
      async run(context): Promise<void> {
        const faults: readonly object[] = [
          { eventTypes: [] },
          { actorId: "" },
          { actorId: "x".repeat(513) },
          { actorPrefix: "\ud800" },
          { actorPrefix: 1 },
          { buffer: 0 },
          { buffer: 1.5 },
          { buffer: Infinity },
          { overflow: "wait" },
          { onLoss: "log" },
        ];
        for (const fault of faults) {
          const what = JSON.stringify(fault).slice(0, 40);
          await refused(() => context.listener.subscribe("orders", fault), InvalidArgumentError, {}, what);
          await refused(() => context.listener.subscribePattern("*", fault), InvalidArgumentError, {}, what);
        }
      },
    },
  ],
};
