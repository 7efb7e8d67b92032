/** A leader that is cut off answers reads until it notices: what it does not know is no damage. */

import assert from "node:assert/strict";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { startNatsCluster } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";
import { sleep } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

Deno.test("what a deposed leader does not know is neither damage nor a wrong position, and is read when it has rejoined", async () => {
  await using cluster = await startNatsCluster(3, { isolable: true });
  const options = { replicas: 3, readTimeout: 60_000 };
  {
    await using first = await JetStreamEventStore.open(cluster.urls, options);
    await first.append("order", [event(1)], { expectedVersion: 0 });
  }
  const leader = await cluster.streamLeader("aether_default");
  const other = cluster.servers.find((server) => server !== leader);
  assert(leader && other);
  await using toOther = startProxy(other.url);
  await using toLeader = startProxy(leader.url);
  await using alone = await JetStreamEventStore.open(leader.url, options);
  await toLeader.cut();
  const connect = { client: { reconnectTimeWait: 50 } };
  const urls = [toOther.url, toLeader.url];
  await using store = await JetStreamEventStore.open(urls, { ...options, answerTimeout: 1_000, connect });
  await cluster.isolate(leader);
  // The others elect another leader, and take this.
  const [saved] = await store.append("order", [event(2)], { expectedVersion: 1 });
  // The store comes to the old one, which knows nothing of that, and neither of being none any more.
  toLeader.resume();
  await toOther.cut();
  const reads = Promise.all([
    store.getLatestVersion("order"),
    store.getEvents("order").then((events) => events.map(({ data }) => data)),
    store.append("order", [event(3)], { expectedVersion: 2 }).then(([saved]) => saved!.version),
    store.getLastPosition().then((position) => position! >= saved!.position),
    // A checkpoint that another process has come to.
    Array.fromAsync(alone.readAll({ after: saved!.position, limit: 1 })).then((events) => events.length <= 1),
  ]);
  reads.catch(() => {}); // awaited below
  await sleep(1_500);
  cluster.rejoin(leader);
  toOther.resume();
  const [latest, events, version, reached, accepted] = await reads;
  assert(latest >= 2, `${latest}`);
  assert.deepEqual(events.slice(0, 2), [1, 2]);
  assert.deepEqual([version, reached, accepted], [3, true, true]);
  assert.deepEqual((await alone.verify()).faults, []);
});
