/** `@flowmade-one/aether/memory`. Needs no permission. */

import { InMemoryEventStore } from "@flowmade-one/aether/memory";

await using store = new InMemoryEventStore();
await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
console.log(await store.getEvents("order-1").then((events) => events.length));
