/** A leaf node under a hub, each with JetStream in a domain of its own: everything reaches the domain that was asked for. */

import assert from "node:assert/strict";
import {
  Coordinator,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  projectionStatuses,
  projectOnce,
} from "@flowmade-one/aether";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type NatsServer, startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";
import { PATIENT } from "../support/patient.ts";

interface Edge extends AsyncDisposable {
  readonly hub: NatsServer;
  readonly leaf: NatsServer;
}

async function startEdge(): Promise<Edge> {
  const port = 20_000 + Math.floor(Math.random() * 12_000);
  const hub = await startNatsServer({
    jetstream: { domain: "hub" },
    config: { leafnodes: { listen: `127.0.0.1:${port}` } },
  });
  const leaf = await startNatsServer({
    jetstream: { domain: "leaf" },
    config: { leafnodes: { reconnect: 1, remotes: [{ urls: [`nats-leaf://127.0.0.1:${port}`] }] } },
  });
  const connection = await connect({ servers: leaf.url });
  let linked = false;
  void (async () => {
    while (!linked) {
      linked = await connection.request("$JS.hub.API.INFO", "", { timeout: 500 }).then(
        () => true,
        () => false,
      );
    }
  })();
  await until("the leaf reaches the hub", () => linked);
  await connection.close();
  return {
    hub,
    leaf,
    async [Symbol.asyncDispose](): Promise<void> {
      await leaf.stop();
      await hub.stop();
    },
  };
}

async function streams(url: string, domain: string): Promise<readonly string[]> {
  const connection: NatsConnection = await connect({ servers: url });
  const answer = await connection.request(`$JS.${domain}.API.STREAM.NAMES`, "", PATIENT);
  await connection.close();
  return (answer.json<{ streams: string[] | null }>().streams ?? []).sort();
}

Deno.test("domain reaches events, snapshots, records of expired actors, checkpoints, leases and the cluster", async () => {
  await using edge = await startEdge();
  const { leaf } = edge;
  const domain = "hub";
  {
    await using store = await JetStreamEventStore.open(leaf.url, { domain, retention: 60_000 });
    await store.append("a", [{ eventType: "T", data: 1 }], { expectedVersion: 0 });
    await store.saveSnapshot({ actorId: "a", kind: "k", schemaVersion: 1, version: 1, state: { n: 1 } });
    assert.deepEqual((await store.getLatestSnapshot("a", "k"))?.state, { n: 1 });
    await store.preserveExpiringActors();
    await using checkpoints = await JetStreamCheckpoints.open(leaf.url, { domain });
    let handled = 0;
    await projectOnce(store, { name: "p", checkpoints, handle: () => void handled++ });
    await projectOnce(store, { name: "p", checkpoints, handle: () => void handled++ });
    assert.equal(handled, 1);
    assert.equal((await projectionStatuses(store, checkpoints)).length, 1);
  }
  {
    await using leases = await JetStreamLeases.open(leaf.url, { domain });
    await using near = await JetStreamLeases.open(edge.hub.url);
    await using lease = await leases.acquire("job", { ttl: 2000, maxClockSkew: 200, renewEvery: 100 });
    assert.equal(await near.tryAcquire("job"), undefined, "one lease, whichever way it is reached");
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert(lease.isHeld, "renewals reach the domain too");
  }
  await using a = await Coordinator.join(leaf.url, {
    domain,
    name: "a",
    shardCount: 4,
    ttl: 2000,
    maxClockSkew: 200,
  });
  await until("a holds all shards", () => [...a.shards].length === 4);
  assert.deepEqual(await streams(leaf.url, "hub"), [
    "KV_aether_cluster_default",
    "KV_aether_clusters",
    "KV_aether_default",
    "KV_aether_leases",
    "KV_aether_projections",
    "aether_default",
  ]);
  assert.deepEqual(await streams(leaf.url, "leaf"), []);
});

Deno.test("apiPrefix reaches the JetStream of another account, for events, snapshots and leases", async () => {
  await using server = await startNatsServer({
    configText: `accounts {
      MAIN: { jetstream: enabled, users: [{ user: main, password: m }],
        exports: [
          { service: "$JS.API.>", response_type: stream }, { service: "$KV.>" }, { service: "aether.>" },
          { stream: "_INBOX.>" }, { service: "$JS.FC.>" } ] }
      APP: { users: [{ user: app, password: a }],
        imports: [
          { service: { account: MAIN, subject: "$JS.API.>" }, to: "JS.main.API.>" },
          { service: { account: MAIN, subject: "$KV.>" }, to: "JS.main.API.$KV.>" },
          { service: { account: MAIN, subject: "aether.>" } }, { service: { account: MAIN, subject: "$JS.FC.>" } },
          { stream: { account: MAIN, subject: "_INBOX.>" } } ] } }`,
  });
  const connect = { client: { user: "app", pass: "a" } };
  const options = { connect, apiPrefix: "JS.main.API" };
  {
    await using leases = await JetStreamLeases.open(server.url, options);
    await using lease = await leases.acquire("job", { ttl: 2000, maxClockSkew: 200, renewEvery: 100 });
    assert.equal(await leases.tryAcquire("job"), undefined);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    assert(lease.isHeld);
  }
  await using store = await JetStreamEventStore.open(server.url, options);
  await store.append("a", [{ eventType: "T", data: 1 }], { expectedVersion: 0 });
  await store.saveSnapshot({ actorId: "a", kind: "k", schemaVersion: 1, version: 1, state: 1 });
  assert.equal((await store.getLatestSnapshot("a", "k"))?.state, 1);
  assert.equal((await Array.fromAsync(store.readAll())).length, 1);
  await using checkpoints = await JetStreamCheckpoints.open(server.url, options);
  await checkpoints.save({ name: "p", version: 1 }, "here", undefined);
  assert.equal((await checkpoints.load({ name: "p", version: 1 }))?.value, "here");
});
