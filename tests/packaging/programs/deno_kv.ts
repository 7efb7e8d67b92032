/** `@flowmade-one/aether/deno-kv`. Needs to read and write the one file that it is given. */

import { DenoKvEventStore, type Event, VersionConflictError } from "@flowmade-one/aether/deno-kv";

type OrderEvent = Event<"OrderPlaced", { total: number }>;

await using store = await DenoKvEventStore.open<OrderEvent>("orders.kv");
try {
  await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
  console.log("placed");
} catch (error) {
  if (!(error instanceof VersionConflictError)) throw error;
  console.log("already placed");
}
