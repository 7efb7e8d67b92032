/** `@flowmade-one/aether/projection`. Needs no permission. */

import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { InMemoryCheckpoints, projectOnce } from "@flowmade-one/aether/projection";

await using store = new InMemoryEventStore();
await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });

let orders = 0;
await projectOnce(store, {
  name: "orders",
  checkpoints: new InMemoryCheckpoints(),
  handle: () => void orders++,
}, { budgetMs: 10_000 });
console.log(orders);
