/** How soon a cluster begins: at once if its bucket is the first of its name, and else after the leases of the one before. */

import assert from "node:assert/strict";
import { Coordinator } from "@flowmade-one/aether/cluster";
import { connect } from "@nats-io/transport-node";
import { type NatsServer, startNatsServer } from "../support/nats_server.ts";
import { withTime } from "../support/pulse.ts";
import { until } from "../support/until.ts";
import { PATIENT } from "../support/patient.ts";

const SETTINGS = { ttl: 3_000, renewEvery: 300, maxClockSkew: 200, shardCount: 4, onWarning: () => {} };

/** Joins, and returns how long it took until the node had its shards, in ms. */
async function beginning(
  url: string,
  settings: { readonly name: string; readonly storage?: "memory"; readonly ttl?: number },
): Promise<number> {
  const begun = performance.now();
  await using node = await Coordinator.join(url, { ...SETTINGS, ...settings });
  await until("the node has all shards", () => [...node.shards].length === 4);
  return performance.now() - begun;
}

async function deleteBucket({ url }: NatsServer): Promise<void> {
  const connection = await connect({ servers: url });
  const { success } =
    (await connection.request("$JS.API.STREAM.DELETE.KV_aether_cluster_default", "", PATIENT))
      .json<{ success: boolean }>();
  assert.ok(success);
  await connection.close();
}

Deno.test("a cluster whose bucket is the first of its name begins after one renewal, and one in place of another after its leases", () =>
  withTime(SETTINGS.ttl, async (ttl) => {
    await using server = await startNatsServer();
    const first = await beginning(server.url, { name: "a", ttl });
    assert.ok(first >= SETTINGS.renewEvery && first < ttl, `${first} ms`);
    await deleteBucket(server);
    // Another process: it has never heard of the bucket before.
    const second = await beginning(server.url, { name: "b", ttl });
    assert.ok(second >= ttl, `${second} ms`);
  }));

Deno.test("a cluster in memory begins after the leases of the one that a server has lost", () =>
  withTime(SETTINGS.ttl, async (ttl) => {
    await using server = await startNatsServer();
    const first = await beginning(server.url, { name: "a", storage: "memory", ttl });
    assert.ok(first < ttl, `${first} ms`);
    await server.shutdown();
    await server.restart();
    const second = await beginning(server.url, { name: "b", storage: "memory", ttl });
    assert.ok(second >= ttl, `${second} ms`);
  }));

Deno.test("a user who may not use the register of clusters waits as for a bucket that was made again", async () => {
  await using server = await startNatsServer({
    configText: `authorization { users = [
      { user: node, password: n, permissions: { publish: { allow: ">", deny: "$JS.API.STREAM.*.KV_aether_clusters" },
        subscribe: ">" } } ] }`,
  });
  const time = await beginning(server.url.replace("://", "://node:n@"), { name: "a" });
  assert.ok(time >= SETTINGS.ttl, `${time} ms`);
});
