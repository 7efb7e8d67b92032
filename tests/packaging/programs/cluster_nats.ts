/** `@flowmade-one/aether/cluster`, over NATS. Needs to reach the server that it is given. */

import { Coordinator, JetStreamLeases } from "@flowmade-one/aether/cluster";

const [url = "nats://127.0.0.1:4222"] = Deno.args;
await using coordinator = await Coordinator.join(url, { name: "node-1", shardCount: 1 });
for await (const { type, shard } of coordinator.shardChanges()) {
  console.log(type, shard.id);
  break;
}
await using leases = await JetStreamLeases.open(url);
await using lease = await leases.acquire("report", { holder: "node-1" });
console.log(lease.key);
