/** Hosts that cannot store: they report it, keep their actors, and go on as soon as they can. */

import assert from "node:assert/strict";
import { ActorHost, AetherError, BackendError, OutcomeUnknownError } from "@flowmade-one/aether/actor";
import { Coordinator, InMemoryBucket } from "@flowmade-one/aether/cluster";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { connect } from "@nats-io/transport-node";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsCluster } from "../support/nats_server.ts";
import { readOnlyFolder, smallDisk } from "../support/small_disk.ts";
import { until } from "../support/until.ts";
import { type Counted, counter } from "./counter.ts";

Deno.test("a host on a Deno KV file whose disk is full reports it, and goes on once there is room", async () => {
  await using folder = await kvFolder();
  const path = `${folder.path}/small`;
  await using disk = await smallDisk(path, "1m");
  if (!disk) return console.warn("NOT TESTED: a full disk; this user cannot mount a tmpfs");
  await using store = await DenoKvEventStore.open<Counted>(`${path}/actors.kv`, { saveTimeout: 1_000 });
  const codes: string[] = [];
  const onWarning = ({ code }: { readonly code: string }): void => void codes.push(code);
  await using host = await ActorHost.start({ store, actors: [counter], onWarning });
  const [first, second] = ["counter-1", "counter-2"].map((id) => host.client.get(counter, id));
  assert.equal((await first!.call(1)).version, 1);

  await fill(`${path}/filler`);
  const failed = await first!.call(1, { id: "full" }).catch((error) => error);
  assert.ok(failed instanceof BackendError || failed instanceof OutcomeUnknownError, String(failed));
  await until("the host reports it", () => codes.includes("actor-not-stored"));
  // What needs no write is answered.
  assert.equal(await first!.query("sum"), 1);

  await disk.resize("16m");
  assert.deepEqual(await first!.call(1, { id: "full" }), { version: 2, state: 2 });
  assert.equal((await second!.call(3)).state, 3);
});

Deno.test("a host on a read-only Deno KV file names that, when it opens or at each call", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open<Counted>(folder.file);
    await using host = await ActorHost.start({ store, actors: [counter] });
    await host.client.get(counter, "counter-1").call(1);
  }
  await using readOnly = await readOnlyFolder(folder.path);
  if (!readOnly) return console.warn("NOT TESTED: a read-only file; this user cannot mount one");
  const call = async (): Promise<void> => {
    await using store = await DenoKvEventStore.open<Counted>(folder.file);
    const onWarning = (): void => {};
    await using host = await ActorHost.start({ store, actors: [counter], onWarning });
    await host.client.get(counter, "counter-1").call(1);
  };
  await assert.rejects(call(), (error: Error) => {
    assert.ok(error instanceof AetherError, String(error));
    assert.match(error.message, /read-only|writable/);
    return true;
  });
});

async function fill(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  for (const size of [64 * 1_024, 1_024, 1]) {
    try {
      for (;;) await file.write(new Uint8Array(size));
    } catch {
      // There is no room for as much.
    }
  }
}

Deno.test("a host whose store on three servers has lost its quorum reports it, keeps its actors, and goes on with it", async () => {
  await using servers = await startNatsCluster(3);
  const [near, ...others] = servers.servers;
  const connection = await connect({ servers: near!.url, reconnectTimeWait: 100 });
  const store = await JetStreamEventStore.open<Counted>(connection, {
    replicas: 3,
    saveTimeout: 2_000,
    onWarning: () => {},
  });
  const coordinator = await Coordinator.join(new InMemoryBucket(), { shardCount: 4 });
  const codes: string[] = [];
  const host = await ActorHost.start({
    store,
    actors: [counter],
    cluster: { coordinator, connection },
    onWarning: ({ code }) => codes.push(code),
  });
  await coordinator.ready;
  const actor = host.client.get(counter, "counter-1");
  assert.equal((await actor.call(1, { timeout: 20_000 })).version, 1);

  await Promise.all(others.map((server) => server.kill()));
  const failed = await actor.call(1, { id: "alone", timeout: 2_000 }).catch((error) => error);
  assert.ok(failed instanceof OutcomeUnknownError || failed instanceof BackendError, String(failed));
  await until("the host reports it", () => codes.includes("actor-not-stored"), 30_000);
  assert.equal([...coordinator.shards].length, 4, "no other host could store either");

  await Promise.all(others.map((server) => server.restart()));
  const [again, further] = await Promise.all([
    actor.call(1, { id: "alone", timeout: 60_000 }),
    host.client.get(counter, "counter-2").call(1, { timeout: 60_000 }),
  ]);
  assert.deepEqual([again, further], [{ version: 2, state: 2 }, { version: 1, state: 1 }]);
  await coordinator.leave();
  await host.close();
  await store.close();
  await connection.close();
});
