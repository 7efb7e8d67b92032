/**
 * Workers that share the partitions of a job. Start a nats-server with JetStream, then this in three terminals:
 *
 * ```sh
 * nats-server --jetstream
 * deno run --allow-net=127.0.0.1:4222 examples/workers.ts nats://127.0.0.1:4222 alice
 * deno run --allow-net=127.0.0.1:4222 examples/workers.ts nats://127.0.0.1:4222 bob
 * deno run --allow-net=127.0.0.1:4222 examples/workers.ts nats://127.0.0.1:4222 carol
 * ```
 *
 * Each prints which partitions it has whenever that changes. Stop one with Ctrl+C: the others have its partitions at once. Kill
 * one with `kill -9`: they have them when its lease has run out, 5 seconds later at most. Suspend one (Ctrl+Z) and
 * wake it up again (`fg`): it has lost its partitions, notices before it does anything else, and joins again.
 *
 * @module
 */
import { Coordinator, type OwnedShard } from "@flowmade-one/aether/cluster";

const [url = "nats://127.0.0.1:4222", name] = Deno.args;

const coordinator = await Coordinator.join(url, {
  cluster: "workers-example",
  shardCount: 12,
  ttl: 5000,
  ...(name === undefined ? {} : { name }),
});
Deno.addSignalListener("SIGINT", () => coordinator.leave());

/** One step of the job. What it writes should carry the token, so that a write that arrives late is refused. */
async function workOnce(_partition: number, _fencingToken: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 100));
}

async function work(shard: OwnedShard): Promise<void> {
  while (!shard.signal.aborted) {
    const step = workOnce(shard.id, shard.fencingToken);
    shard.waitUntil(step); // No other worker gets the partition in the middle of a step.
    await step;
  }
}

let announced = "";
function announce(): void {
  const partitions = [...coordinator.shards].map((shard) => shard.id).sort((a, b) => a - b).join(" ");
  if (partitions === announced) return;
  announced = partitions;
  console.log(
    `${coordinator.name}${coordinator.isLeader ? " (leader)" : ""}: partitions ${partitions || "(none)"}`,
  );
}

for await (const { type, shard } of coordinator.shardChanges()) {
  if (type === "gained") void work(shard);
  queueMicrotask(announce);
}
console.log(`${coordinator.name}: left`);
Deno.exit();
