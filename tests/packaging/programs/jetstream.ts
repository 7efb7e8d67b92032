/** `@flowmade-one/aether/jetstream`. Needs to reach the server that it is given. */

import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";

const [url = "nats://127.0.0.1:4222"] = Deno.args;
await using store = await JetStreamEventStore.open(url, { retention: "forever" });
await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
for await (const { actorId, version } of store.readAll()) console.log(actorId, version);
