/** `@flowmade-one/aether/cluster`, in one process. Needs no permission. */

import { Coordinator, InMemoryBucket, shardOf } from "@flowmade-one/aether/cluster";

await using coordinator = await Coordinator.join(new InMemoryBucket(), { name: "node-1", shardCount: 4 });
const own = new Set<number>();
for await (const { type, shard } of coordinator.shardChanges()) {
  if (type === "gained") own.add(shard.id);
  if (own.size === 4) break;
}
console.log(own.has(shardOf("order-1", 4)));
