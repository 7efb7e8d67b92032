/**
 * A process with some nodes of a cluster. Every few milliseconds each of them acts on each shard that it holds, and as the
 * leader if it leads, and writes that down with a stamp of the clock that all processes share. SIGTERM makes it leave.
 *
 * Arguments: URL, cluster, name, number of nodes, log file, replicas.
 */
import { Coordinator } from "../../../src/cluster/mod.ts";
import { openSharedClock } from "../../support/monotonic.ts";

const ACT_EVERY_MS = 15;
const [url = "", cluster = "", name = "", count = "1", path = "", replicas = "1"] = Deno.args;

const clock = openSharedClock();
const log = await Deno.open(path, { create: true, append: true });
const encoder = new TextEncoder();

function act(coordinator: Coordinator): void {
  let lines = "";
  for (const shard of coordinator.shards) {
    // Stamped before it is asked: what is held afterwards was held at the stamp, too.
    const time = clock.now();
    if (shard.isHeld) lines += `${time} shard-${shard.id} ${shard.fencingToken} ${coordinator.name}\n`;
  }
  const time = clock.now();
  const token = coordinator.leaderToken;
  if (token !== undefined) lines += `${time} leader ${token} ${coordinator.name}\n`;
  if (lines !== "") log.writeSync(encoder.encode(lines));
}

const coordinators = await Promise.all(
  Array.from({ length: Number(count) }, (_, index) =>
    Coordinator.join(url, {
      cluster,
      name: count === "1" ? name : `${name}-${index}`,
      shardCount: 24,
      ttl: 2000,
      maxClockSkew: 200,
      replicas: Number(replicas),
      onWarning: () => {},
    })),
);
const timer = setInterval(() => coordinators.forEach(act), ACT_EVERY_MS);
Deno.addSignalListener("SIGTERM", async () => {
  await Promise.all(coordinators.map((coordinator) => coordinator.leave()));
  clearInterval(timer);
  Deno.exit(0);
});
