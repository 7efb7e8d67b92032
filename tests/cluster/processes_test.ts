/**
 * Proof two: real processes and real servers. `AETHER_CHAOS_ROUNDS=n` repeats the faults n times, in a random order.
 */
import assert from "node:assert/strict";
import { startNatsCluster, startNatsServer } from "../support/nats_server.ts";
import { startProxy } from "../support/proxy.ts";
import { ClusterOfProcesses } from "./processes/cluster_of_processes.ts";
import { assertExclusive } from "./processes/merged_log.ts";
import { openSharedClock } from "../support/monotonic.ts";

const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);
const CHAOS = ROUNDS > 1;

function sleep(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}

/** As they are in a normal run; in another order in each further round. */
function inSomeOrder<T>(faults: readonly T[]): T[] {
  return CHAOS
    ? faults.map((fault) => ({ fault, rank: Math.random() })).sort((a, b) => a.rank - b.rank).map((f) =>
      f.fault
    )
    : [...faults];
}

Deno.test("openSharedClock() compares between processes", async () => {
  using clock = openSharedClock();
  const module = new URL("../support/monotonic.ts", import.meta.url).href;
  const before = clock.now();
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `import { openSharedClock } from "${module}"; using c = openSharedClock(); console.log(c.now())`,
    ],
  }).output();
  const inside = Number(new TextDecoder().decode(stdout));
  assert(before < inside && inside < clock.now());
});

Deno.test("assertExclusive() sees two nodes at one time", () => {
  const action = (time: number, token: number, node: string) => ({ time, what: "shard-1", token, node });
  assertExclusive([action(1, 10, "a"), action(2, 11, "b")]);
  assert.throws(() => assertExclusive([action(1, 10, "a"), action(2, 11, "b"), action(3, 10, "a")]), /past/);
  assert.throws(() => assertExclusive([action(1, 10, "a"), action(2, 10, "b")]), /one token/);
});

Deno.test("a cluster of processes on one server: no shard has two holders after any fault", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using cluster = await ClusterOfProcesses.open(server.url);
  cluster.start("a", server.url);
  cluster.start("b", server.url);
  cluster.start("c", proxy.url);
  await cluster.owned("a", "b", "c");

  const faults: (() => Promise<void>)[] = [
    async () => { // kill -9 of the leader
      const leader = cluster.leader ?? "a";
      await cluster.end(leader, "SIGKILL");
      await cluster.owned(...["a", "b", "c"].filter((name) => name !== leader));
      cluster.start(leader, leader === "c" ? proxy.url : server.url);
    },
    async () => { // suspended for longer than the time to live
      cluster.signal("b", "SIGSTOP");
      await cluster.owned("a", "c");
      await sleep(500);
      cluster.signal("b", "SIGCONT");
    },
    async () => { // cut off
      await proxy.cut();
      await cluster.owned("a", "b");
      proxy.resume();
    },
    async () => { // answers late, then silence
      proxy.delay(700);
      await sleep(1000);
      proxy.stall();
      await cluster.owned("a", "b");
      proxy.resume();
    },
    async () => { // the server
      await server.kill();
      await sleep(300);
      await server.restart();
    },
    async () => { // twenty come and go
      cluster.start("many", server.url, 20);
      await cluster.owned("a", "b", "c", ...Array.from({ length: 20 }, (_, index) => `many-${index}`));
      await cluster.end("many", "SIGTERM");
    },
  ];
  for (let round = 0; round < ROUNDS; round++) {
    for (const fault of inSomeOrder(faults)) {
      await fault();
      await cluster.owned("a", "b", "c");
    }
  }
  for (const name of ["a", "b", "c"]) await cluster.end(name, "SIGTERM");
  await cluster.assertExclusive(2000);
});

Deno.test("a cluster of processes on three servers: no shard has two holders while servers fail", async () => {
  await using servers = await startNatsCluster();
  await using cluster = await ClusterOfProcesses.open(servers.url, 3);
  for (const name of ["a", "b", "c"]) cluster.start(name, servers.url);
  await cluster.owned("a", "b", "c");

  const faults: (() => Promise<void>)[] = [
    async () => { // the leader of the bucket
      const leader = await servers.streamLeader(cluster.stream);
      assert(leader !== undefined);
      await leader.kill();
      await sleep(1000);
      await leader.restart();
    },
    async () => { // every server, one after the other
      for (const server of servers.servers) {
        await server.shutdown();
        await server.restart();
      }
    },
    async () => { // a process, while a server is down
      const [server] = servers.servers;
      await server?.kill();
      await cluster.end("b", "SIGKILL");
      await cluster.owned("a", "c");
      await server?.restart();
      cluster.start("b", servers.url);
    },
  ];
  for (let round = 0; round < ROUNDS; round++) {
    for (const fault of inSomeOrder(faults)) {
      await fault();
      await cluster.owned("a", "b", "c");
    }
  }
  for (const name of ["a", "b", "c"]) await cluster.end(name, "SIGTERM");
  await cluster.assertExclusive(2000);
});
