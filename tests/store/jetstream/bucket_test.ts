/** The bucket next to a stream: it may be deleted under an open store, and what it remembers outlives the events. */

import assert from "node:assert/strict";
import { JetStreamEventStore, VersionConflictError } from "@flowmade-one/aether/jetstream";
import { startNatsServer } from "../../support/nats_server.ts";
import { client, sleep } from "./support.ts";

const BUCKET = "KV_aether_default";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });
const snapshot = (kind: string, version: number): Parameters<JetStreamEventStore["saveSnapshot"]>[0] => ({
  actorId: "order",
  kind,
  schemaVersion: 1,
  version,
  state: version,
});

Deno.test("a bucket that is deleted under an open store is created again by the next snapshot", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  await using nats = await client(server.url);
  await store.append("order", [event(1), event(2)], { expectedVersion: 0 });
  await store.saveSnapshot(snapshot("state", 1));
  for (const version of [1, 2]) {
    await nats.requests.request(`STREAM.DELETE.${BUCKET}`);
    assert.equal(await store.getLatestSnapshot("order", "state"), undefined);
    await store.saveSnapshot(snapshot("state", version));
    assert.equal((await store.getLatestSnapshot("order", "state"))?.version, version);
  }
});

Deno.test("a sweep remembers actors in a bucket that was deleted under the open store", async () => {
  const retention = 2_000;
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  await using store = await JetStreamEventStore.open(server.url, { retention });
  await store.append("order", [event(1)], { expectedVersion: 0 });
  await store.saveSnapshot(snapshot("state", 1));
  await nats.requests.request(`STREAM.DELETE.${BUCKET}`);
  await sleep(retention + 500);
  await using other = await JetStreamEventStore.open(server.url, { retention });
  assert.equal(await other.getLatestVersion("order"), 1);
});

Deno.test("an actor whose events have expired keeps the version of its furthest snapshot, of whatever kind", async () => {
  const retention = 1_000;
  await using server = await startNatsServer();
  {
    await using store = await JetStreamEventStore.open(server.url, { retention });
    await store.append("order", [event(1), event(2), event(3)], { expectedVersion: 0 });
    for (const [kind, version] of [["middle", 2], ["fast", 3], ["slow", 1]] as const) {
      await store.saveSnapshot(snapshot(kind, version));
    }
    // Nothing of a sweep is left: only the snapshots remember the actor.
  }
  await sleep(retention + 500);
  await using store = await JetStreamEventStore.open(server.url, { retention });
  assert.equal(await store.getLatestVersion("order"), 3);
  await assert.rejects(store.append("order", [event("again")], { expectedVersion: 1 }), VersionConflictError);
  const [stored] = await store.append("order", [event("next")], { expectedVersion: "any" });
  assert.equal(stored!.version, 4);
});
