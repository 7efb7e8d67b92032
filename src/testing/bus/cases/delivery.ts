/**
 * What is published arrives, as it was, in order, at all subscribers.
 *
 * @module
 */

import assert from "node:assert/strict";
import { EventTooLargeError, InvalidEventError } from "../../../event/errors.ts";
import type { EventInput } from "../../../event/types.ts";
import { refused } from "../../support.ts";
import type { BusTheme } from "../context.ts";

/** Delivery. */
export const delivery: BusTheme = {
  theme: "delivery",
  cases: [
    {
      name: "an event arrives as it was published",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        await subscription.ready;
        const event = {
          id: "event-1",
          eventType: "OrderPlaced",
          actorId: "order.1",
          version: 7,
          data: { total: 99.99, items: [{ name: "\u{1F980} e\u0301 \u00e9" }], nothing: null, yes: true },
          timestamp: "2026-01-31T12:00:00.000Z",
          metadata: { correlationId: "c-1", own: "text" },
        };
        await context.publisher.publish("orders", event);
        const [arrived] = await context.take(subscription[Symbol.asyncIterator](), 1);
        assert.deepEqual(arrived, event);
        await subscription.close();
      },
    },
    {
      name: "id and timestamp are stamped if they are absent, a position is left out",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        await subscription.ready;
        const input = {
          eventType: "OrderPlaced",
          actorId: "order-1",
          version: 1,
          data: null,
          position: "somewhere",
        };
        await context.publisher.publish("orders", input as EventInput);
        const [event] = await context.take(subscription[Symbol.asyncIterator](), 1);
        assert.match(event!.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4/);
        assert.match(event!.timestamp, /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/);
        assert.equal("position" in event!, false);
      },
    },
    {
      name: "what arrives is frozen, and the publisher's own object neither frozen nor read later",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        await subscription.ready;
        const data = { items: [{ price: 1 }] };
        const event = {
          eventType: "OrderPlaced",
          actorId: "order-1",
          version: 1,
          data,
          metadata: { a: "b" },
        };
        const publication = context.publisher.publish("orders", event);
        data.items[0]!.price = 2;
        event.metadata.a = "c";
        await publication;
        assert(!Object.isFrozen(event) && !Object.isFrozen(data) && !Object.isFrozen(data.items[0]));
        const [arrived] = await context.take(subscription[Symbol.asyncIterator](), 1);
        assert.deepEqual(arrived!.data, { items: [{ price: 1 }] });
        assert.deepEqual(arrived!.metadata, { a: "b" });
        const { items } = arrived!.data as typeof data;
        for (const part of [arrived, arrived!.data, arrived!.metadata, items, items[0]]) {
          assert(Object.isFrozen(part), "a part of it is not frozen");
        }
      },
    },
    {
      name: "names that pollute prototypes elsewhere are plain data",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        await subscription.ready;
        const text = '{"__proto__":{"polluted":true},"constructor":{"prototype":1}}';
        await context.publish("orders", JSON.parse(text));
        const [event] = await context.take(subscription[Symbol.asyncIterator](), 1);
        assert.equal(JSON.stringify(event!.data), text);
        assert.equal(({} as { polluted?: boolean }).polluted, undefined);
      },
    },
    {
      name: "events arrive in the order in which they were published, at every subscriber",
      async run(context): Promise<void> {
        const subscriptions = [1, 2, 3].map(() => context.listener.subscribe("orders"));
        await Promise.all(subscriptions.map(({ ready }) => ready));
        for (let index = 0; index < 500; index++) await context.publish("orders", index);
        await context.publish("orders", "end");
        const expected = Array.from({ length: 500 }, (_, index) => index);
        for (const subscription of subscriptions) {
          assert.deepEqual(await context.untilEnd(subscription), expected);
          assert.equal(subscription.lost, 0);
        }
      },
    },
    {
      name: "nothing that is published after a subscription is ready is missed",
      async run(context): Promise<void> {
        for (let round = 0; round < 30; round++) {
          const subscription = context.listener.subscribe("orders");
          await subscription.ready;
          await context.publish("orders", round);
          const [event] = await context.take(subscription[Symbol.asyncIterator](), 1);
          assert.equal(event!.data, round);
          await subscription.close();
        }
      },
    },
    {
      name: "what was published before is not delivered",
      async run(context): Promise<void> {
        const first = context.listener.subscribe("orders");
        await first.ready;
        await context.publish("orders", "early");
        const iterator = first[Symbol.asyncIterator]();
        await context.take(iterator, 1); // it has passed the transport
        const second = context.listener.subscribe("orders");
        await second.ready;
        await context.publish("orders", "end");
        assert.deepEqual(await context.untilEnd(second), []);
      },
    },
    {
      name: "an event of half a mebibyte arrives, and one of two is refused",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        await subscription.ready;
        await refused(() => context.publish("orders", "x".repeat(2 * 1024 * 1024)), EventTooLargeError);
        await context.publish("orders", "x".repeat(512 * 1024));
        const [event] = await context.take(subscription[Symbol.asyncIterator](), 1);
        assert.equal((event!.data as string).length, 512 * 1024);
      },
    },
    {
      name: "an event that cannot be published as it is, is refused and reaches no subscriber",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe("orders");
        await subscription.ready;
        const cycle: Record<string, unknown> = {};
        cycle["self"] = cycle;
        for (const data of [1n, NaN, undefined, new Date(), () => {}, cycle, "\ud800"]) {
          await refused(() => context.publish("orders", data), InvalidEventError);
        }
        const faults: readonly object[] = [
          { actorId: "" },
          { actorId: "\ud800" },
          { version: 0 },
          { version: 1.5 },
          { eventType: "" },
          { id: "x".repeat(257) },
          { timestamp: "yesterday" },
          { metadata: { a: 1 } },
          { unknown: true },
        ];
        for (const fault of faults) {
          await refused(() => context.publish("orders", null, fault), InvalidEventError);
        }
        await context.publish("orders", "end");
        assert.deepEqual(await context.untilEnd(subscription), []);
      },
    },
  ],
};
