/** What the guides of the stores describe: backing up, and starting again in development. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { DenoKvEventStore, InvalidPositionError, JetStreamEventStore } from "@flowmade-one/aether";
import { startNatsServer } from "./support/nats_server.ts";

const placed = [{ eventType: "OrderPlaced", data: { total: 5 } }];

Deno.test("a copy of the closed file of Deno KV is a backup, and a kept position distinguishes an old one from the newest", async () => {
  const folder = await Deno.makeTempDir();
  const file = join(folder, "orders.kv");
  const copy = join(folder, "copy.kv");
  const fill = async (version: number): Promise<string> => {
    await using store = await DenoKvEventStore.open(file);
    const [{ position } = { position: "" }] = await store.append("order-1", placed, {
      expectedVersion: version,
    });
    return position;
  };
  try {
    const first = await fill(0);
    for await (const { name } of Deno.readDir(folder)) {
      await Deno.copyFile(join(folder, name), join(folder, name.replace("orders", "copy")));
    }
    const second = await fill(1);
    await using restored = await DenoKvEventStore.open(copy);
    assert.equal((await restored.verify({ expectedPosition: first })).ok, true);
    assert.equal((await restored.verify({ expectedPosition: second })).ok, false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a namespace of Deno KV whose keys are deleted begins again, and knows no position from before", async () => {
  using kv = await Deno.openKv(":memory:");
  let before: string;
  {
    await using store = await DenoKvEventStore.open(kv);
    await using other = await DenoKvEventStore.open(kv, { namespace: "other" });
    await other.append("order-1", placed, { expectedVersion: 0 });
    before = (await store.append("order-1", placed, { expectedVersion: 0 }))[0]!.position;
  }
  for await (const { key } of kv.list({ prefix: ["aether", "default"] })) await kv.delete(key);
  await using store = await DenoKvEventStore.open(kv);
  await using other = await DenoKvEventStore.open(kv, { namespace: "other" });
  assert.equal(await store.getLatestVersion("order-1"), 0);
  assert.equal(await other.getLatestVersion("order-1"), 1);
  await store.append("order-1", placed, { expectedVersion: 0 });
  await assert.rejects(Array.fromAsync(store.readAll({ after: before })), foreign);
});

Deno.test("a namespace of JetStream whose stream and bucket are deleted begins again", async () => {
  await using server = await startNatsServer();
  let before: string;
  const snapshot = {
    kind: "order",
    schemaVersion: 1,
    version: 1,
    state: {},
    timestamp: new Date().toISOString(),
  };
  {
    await using store = await JetStreamEventStore.open(server.url);
    before = (await store.append("order-1", placed, { expectedVersion: 0 }))[0]!.position;
    await store.saveSnapshot({ actorId: "order-1", ...snapshot });
  }
  const connection = await connect({ servers: server.url });
  const { streams } = await jetstreamManager(connection);
  await streams.delete("aether_default");
  await streams.delete("KV_aether_default");
  await connection.close();
  await using store = await JetStreamEventStore.open(server.url);
  assert.equal(await store.getLatestVersion("order-1"), 0);
  assert.equal(await store.getLatestSnapshot("order-1", "order"), undefined);
  await store.append("order-1", placed, { expectedVersion: 0 });
  await assert.rejects(Array.fromAsync(store.readAll({ after: before })), foreign);
});

function foreign(error: unknown): boolean {
  return error instanceof InvalidPositionError && error.reason === "foreign";
}
