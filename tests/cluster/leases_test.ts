/** One suite for the three lease stores. */
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { DenoKvLeases, InMemoryBucket, InMemoryLeases, JetStreamLeases } from "../../src/cluster/mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { testLeases } from "./conformance/leases.ts";

testLeases("InMemoryLeases", async (run) => {
  let bucket = new InMemoryBucket();
  const stores: InMemoryLeases[] = [];
  await run({
    open: () => {
      const store = new InMemoryLeases(bucket);
      stores.push(store);
      return Promise.resolve(store);
    },
    wipe: async () => {
      // Memory is gone with its process only: so are the leases.
      await Promise.all(stores.map((store) => store.close()));
      bucket = new InMemoryBucket();
    },
  });
});

testLeases("DenoKvLeases", async (run) => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/leases.db`;
  try {
    await run({
      open: () => DenoKvLeases.open(path),
      wipe: async () => {
        const kv = await Deno.openKv(path);
        for await (const { key } of kv.list({ prefix: [] })) await kv.delete(key);
        kv.close();
      },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

testLeases("JetStreamLeases", async (run) => {
  await using server = await startNatsServer();
  await run({
    open: () => JetStreamLeases.open(server.url),
    wipe: async () => {
      const connection = await connect({ servers: server.url });
      await connection.request("$JS.API.STREAM.DELETE.KV_aether_leases");
      await connection.close();
    },
  });
});

Deno.test("DenoKvLeases frees the lease of a holder that died", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const holder = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--unstable-kv",
        new URL("./conformance/holder.ts", import.meta.url).pathname,
        `${folder}/kv`,
      ],
      stdout: "piped",
    }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    await using leases = await DenoKvLeases.open(`${folder}/kv`);
    assert.equal(await leases.tryAcquire("key", { ttl: 2000, maxClockSkew: 100 }), undefined);
    holder.kill("SIGKILL");
    await holder.status;
    await reader.cancel();
    const started = performance.now();
    const lease = await leases.acquire("key", { ttl: 2000, maxClockSkew: 100 });
    assert(performance.now() - started > 1000);
    await lease.release();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
