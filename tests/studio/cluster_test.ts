/** The studio's picture of a cluster: of a coordinator in this process, and of a cluster of NATS servers. */

import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import {
  ActorHost,
  Coordinator,
  InMemoryBucket,
  InMemoryEventStore,
  JetStreamEventStore,
  JetStreamLeases,
} from "../../mod.ts";
import type { ClusterPicture, ShardMove } from "../../src/studio/api/mod.ts";
import { studio } from "../../src/studio/mod.ts";
import { type Counted, counter } from "../actor/counter.ts";
import { startNatsCluster } from "../support/nats_server.ts";
import { freePort } from "../support/ports.ts";
import { Studio } from "./process.ts";
import { Client, type Stream } from "./support.ts";

/** The owner of each shard after the moves that come, until it is as expected. */
async function followMoves(
  stream: Stream,
  first: ClusterPicture,
  holds: (owners: readonly string[]) => boolean,
): Promise<void> {
  const owners = first.owners.map((owner) => first.nodes[owner]?.name ?? "");
  while (!holds(owners)) {
    const { data } = await stream.until("moves");
    for (const { shard, from, to } of data as ShardMove[]) {
      assert.equal(owners[shard], from ?? "");
      owners[shard] = to ?? "";
    }
  }
}

Deno.test("a studio with a coordinator shows nodes, shards and moves", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const bucket = new InMemoryBucket();
  await using a = await Coordinator.join(bucket, { name: "a", shardCount: 8, address: "10.0.0.1" });
  await a.ready;
  await using host = await ActorHost.start({ store, actors: [counter] });
  await host.client.get(counter, "counter-1").call(2);
  const client = new Client(studio(store, { coordinator: a, host }));
  const alone = await client.get<ClusterPicture>("cluster");
  const [node] = alone.nodes;
  assert.deepEqual([node!.name, node!.address, node!.isLeader, node!.shards, node!.activeActors], [
    "a",
    "10.0.0.1",
    true,
    8,
    1,
  ]);
  assert.deepEqual([alone.shardCount, alone.owners], [8, Array(8).fill(0)]);
  assert.deepEqual(alone.leases.map(({ name, kind, holder }) => [name, kind, holder]), [
    ["leader", "leader", "a"],
    ["a", "node", "a"],
  ]);

  await using stream = await client.stream("cluster/live");
  const { data: first } = await stream.until("cluster");
  await using b = await Coordinator.join(bucket, { name: "b", shardCount: 8 });
  await b.ready;
  const { data: joined } = await stream.until("cluster", ({ nodes }) => nodes.length === 2);
  const half = (owners: readonly string[]): boolean => owners.filter((owner) => owner === "b").length === 4;
  const seen = joined.owners.map((owner: number) => joined.nodes[owner]?.name ?? "");
  if (!half(seen)) await followMoves(stream, joined, half);
  assert.equal(first.nodes.length, 1);
});

Deno.test("aether studio shows a cluster on three NATS servers, its actors and leases", async () => {
  await using cluster = await startNatsCluster(3);
  await using connection = await connectTo(cluster.urls);
  const replicas = 3;
  await using store = await JetStreamEventStore.open<Counted>(cluster.urls, { replicas });
  await using leases = await JetStreamLeases.open(cluster.urls, { replicas });
  await using _report = await leases.acquire("nightly report", { holder: "ann", ttl: 2_000 });
  const join = (name: string): Promise<Coordinator> =>
    Coordinator.join(cluster.urls, { name, shardCount: 12, ttl: 2_000, replicas });
  await using a = await join("a");
  await a.ready;
  await using host = await ActorHost.start({
    ...{ store, actors: [counter] },
    cluster: { coordinator: a, connection: connection.client },
  });
  for (let number = 0; number < 5; number++) await host.client.get(counter, `counter-${number}`).call(1);

  const port = freePort();
  const net = [...cluster.servers.map((server) => `127.0.0.1:${server.port}`), `127.0.0.1:${port}`].join(",");
  const target = cluster.url.replace("nats://", "nats://ann:secret@");
  await using studio = await Studio.start([target, "--port", String(port)], [`--allow-net=${net}`]);
  const { client } = studio;
  const session = await client.get<{ target: string; hasCluster: boolean }>("session");
  assert.equal(session.hasCluster, true);
  assert.doesNotMatch(JSON.stringify(session), /secret/);
  const picture = await client.get<ClusterPicture>("cluster");
  assert.deepEqual(picture.nodes.map(({ name, shards, activeActors }) => [name, shards, activeActors]), [[
    "a",
    12,
    5,
  ]]);
  assert.deepEqual(picture.leases.map(({ name, kind }) => `${kind} ${name}`).sort(), [
    "leader leader",
    "lease nightly report",
    "node a",
  ]);
  assert.equal(picture.leases.find(({ kind }) => kind === "lease")!.holder, "ann");

  await using stream = await client.stream("cluster/live");
  const { data: first } = await stream.until("cluster");
  await using b = await join("b");
  await b.ready;
  const { data: joined } = await stream.until("cluster", ({ nodes }) => nodes.length === 2);
  const shared = (owners: readonly string[]): boolean => owners.filter((owner) => owner === "b").length === 6;
  await followMoves(stream, joined, shared);
  assert.equal(first.nodes.length, 1);
  const { data: renewed } = await stream.until("leases", ({ leases }) =>
    // deno-lint-ignore no-explicit-any -- rows of JSON
    leases.filter(({ renewed }: any) => renewed !== null && renewed < 2_000).length >= 3);
  assert.equal(renewed.activeActors.b, undefined);

  const settled = await client.get<ClusterPicture>("cluster");
  a.drain();
  await followMoves(stream, settled, (owners) => owners.every((owner) => owner === "b"));
  assert.equal((await studio.end())[0], 0);
});

async function connectTo(
  servers: string[],
): Promise<AsyncDisposable & { client: Awaited<ReturnType<typeof connect>> }> {
  const client = await connect({ servers, maxReconnectAttempts: -1 });
  return { client, [Symbol.asyncDispose]: () => client.close() };
}
