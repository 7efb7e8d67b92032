/**
 * The bus carries what stores announce.
 *
 * @module
 */

import assert from "node:assert/strict";
import { INTERNAL_NAMESPACE } from "../../../event/event_stored.ts";
import { InMemoryEventStore } from "../../../store/memory/mod.ts";
import { happened } from "../../support.ts";
import type { BusTheme } from "../context.ts";

/** EventStored. */
export const stored: BusTheme = {
  theme: "event-stored",
  cases: [
    {
      name: "a store announces each event, with its place, in order",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe(INTERNAL_NAMESPACE);
        const others = context.listener.subscribePattern("*", { eventTypes: ["Happened"] });
        await Promise.all([subscription.ready, others.ready]);
        await using store = new InMemoryEventStore({ bus: context.publisher, namespace: "shop" });
        const events = await store.append("order.1", [happened(1), happened(2)], { expectedVersion: 0 });
        const got = await context.take(subscription[Symbol.asyncIterator](), 2);
        for (const [index, { id: eventId, ...event }] of events.entries()) {
          const { actorId, version, timestamp, eventType, position } = event;
          const { id, timestamp: at, ...announced } = got[index]!;
          assert.equal(id, position);
          assert.match(at, /Z$/);
          assert.deepEqual(announced, {
            eventType: "EventStored",
            actorId,
            version,
            data: { eventId, actorId, version, timestamp, eventType, namespace: "shop", position },
          });
          assert(Object.isFrozen(got[index]) && Object.isFrozen(got[index]!.data));
        }
        assert.equal(
          others.pending,
          0,
          "the store's own events are not published, only that they are stored",
        );
        assert.deepEqual(store.announcements, { published: 2, failed: 0, dropped: 0, pending: 0 });
      },
    },
    {
      name: "announcements are filtered by actor as all else",
      async run(context): Promise<void> {
        const subscription = context.listener.subscribe(INTERNAL_NAMESPACE, { actorPrefix: "order." });
        await subscription.ready;
        await using store = new InMemoryEventStore({ bus: context.publisher });
        for (const actorId of ["customer.1", "order.1", "orders", "order.2"]) {
          await store.append(actorId, [happened()], { expectedVersion: 0 });
        }
        const got = await context.take(subscription[Symbol.asyncIterator](), 2);
        assert.deepEqual(got.map(({ data }) => data.actorId), ["order.1", "order.2"]);
      },
    },
  ],
};
