/**
 * The quick start: save events, replay them into state.
 *
 *     deno task quick-start
 */

import { type Event, InMemoryEventStore, replay } from "@flowmade-one/aether";

type OrderEvent =
  | Event<"OrderPlaced", { total: number; items: number }>
  | Event<"OrderShipped", { carrier: string; tracking: string }>;

await using store = new InMemoryEventStore<OrderEvent>();

await store.saveEvent({
  id: "evt-1",
  eventType: "OrderPlaced",
  actorId: "order-123",
  version: 1,
  data: { total: 99.99, items: 3 },
  timestamp: new Date(),
});
await store.saveEvent({
  id: "evt-2",
  eventType: "OrderShipped",
  actorId: "order-123",
  version: 2,
  data: { carrier: "FastShip", tracking: "FS123456" },
  timestamp: new Date(),
});

interface Order {
  status: "unknown" | "placed" | "shipped";
  total: number;
  tracking: string;
}

const { state, events } = await replay(store, "order-123", {
  initialState: (): Order => ({ status: "unknown", total: 0, tracking: "" }),
  evolve(order, event: OrderEvent): Order {
    switch (event.eventType) {
      case "OrderPlaced":
        return { ...order, status: "placed", total: event.data.total };
      case "OrderShipped":
        return { ...order, status: "shipped", tracking: event.data.tracking };
    }
  },
});

console.log(`Order state after replaying ${events} events:`);
console.log(`  Status: ${state.status}`);
console.log(`  Total: $${state.total.toFixed(2)}`);
console.log(`  Tracking: ${state.tracking}`);
