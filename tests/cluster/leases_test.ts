/** One suite for the three lease stores. */
import { fileURLToPath } from "node:url";
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import {
  ClosedError,
  DenoKvLeases,
  InMemoryBucket,
  InMemoryLeases,
  JetStreamLeases,
} from "../../src/cluster/mod.ts";
import { BucketView } from "../../src/cluster/bucket.ts";
import { DenoKvBucket } from "../../src/cluster/deno_kv_bucket.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { startProxy } from "../support/proxy.ts";
import { until } from "../support/until.ts";
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
        fileURLToPath(new URL("./conformance/holder.ts", import.meta.url)),
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

Deno.test("a record in Deno KV that expires without a write is reported by a watch", async () => {
  using kv = await Deno.openKv(":memory:");
  const bucket = new DenoKvBucket(kv, ["leases"]);
  const revision = await bucket.put("key", "held", { expected: 0, ttl: 300 });
  const view = new BucketView();
  let changes = 0;
  const watch = bucket.watch(["key"], (update) => changes += view.apply(update).length);
  await until("it is there", () => view.get("key")?.value === "held");
  await until("it is over", () => view.get("key")?.value === undefined);
  watch.close();
  assert.deepEqual([view.get("key")?.revision, changes], [revision, 2]);
});

Deno.test("JetStreamLeases distinguishes a server that cannot be reached from a lease that is lost", async () => {
  await using server = await startNatsServer();
  await using leases = await JetStreamLeases.open(server.url);
  const lease = await leases.acquire("key", { ttl: 10_000, maxClockSkew: 200, renewEvery: 100 });
  await server.kill();
  await until("the lease is held, the server not there", () => lease.status === "unreachable");
  assert(lease.isHeld && !lease.signal.aborted);
  await server.restart();
  await until("it is renewed as soon as the server answers", () => lease.status === "held");
  await lease.release();
  assert.equal(lease.status, "released");
});

Deno.test("JetStreamLeases keeps a lease whose renewals are stored but not acknowledged", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using leases = await JetStreamLeases.open(proxy.url);
  await using rival = await JetStreamLeases.open(server.url);
  const lease = await leases.acquire("key", { ttl: 4000, maxClockSkew: 200, renewEvery: 200 });
  let dropped = 0;
  proxy.filter({
    toClient: ({ payload }) => {
      const acknowledged = /"stream":"KV_aether_leases", ?"seq":[1-9]/.test(
        new TextDecoder().decode(payload),
      );
      // Every second one is lost after the write was stored.
      return acknowledged && ++dropped % 2 === 1;
    },
  });
  await until("acknowledgements were lost", () => dropped >= 4);
  assert(lease.isHeld);
  assert.equal(await rival.tryAcquire("key"), undefined);
  proxy.filter({});
  await until("all is well", () => lease.status === "held");
});

Deno.test("DenoKvLeases leaves nothing of released leases in the database, and tokens rise all the same", async () => {
  using kv = await Deno.openKv(":memory:");
  await using leases = await DenoKvLeases.open(kv);
  let last = 0;
  for (let round = 0; round < 3; round++) {
    for (let key = 0; key < 20; key++) {
      const lease = await leases.acquire(`order-${key}`, { ttl: 2000, maxClockSkew: 200 });
      assert(lease.fencingToken > last);
      last = lease.fencingToken;
      await lease.release();
    }
  }
  const keys = (await Array.fromAsync(kv.list({ prefix: [] }))).map((entry) => entry.key.at(-1));
  assert.deepEqual(keys, ["revision"]);
});

const QUICK = { ttl: 2000, maxClockSkew: 200, renewEvery: 100 };

for (const wiped of ["every key", "the records", "the counter"]) {
  Deno.test(`DenoKvLeases whose keys are deleted (${wiped}) has no second holder, and tokens go on rising`, async () => {
    using kv = await Deno.openKv(":memory:");
    await using first = await DenoKvLeases.open(kv);
    await using second = await DenoKvLeases.open(kv);
    const held = await first.acquire("key", QUICK);
    const waiting = second.acquire("key", QUICK);
    for await (const { key } of kv.list({ prefix: [] })) {
      if (wiped === "every key" || (key.at(-1) === "revision") === (wiped === "the counter")) {
        await kv.delete(key);
      }
    }
    if (wiped === "the records") {
      // The bucket is known to be the same one: only the token protects what the lease guards.
      assert((await waiting).fencingToken > held.fencingToken);
      await until("the holder notices", () => !held.isHeld);
      return;
    }
    let both = false;
    held.signal.addEventListener("abort", () => both ||= held.isHeld);
    const next = await waiting;
    assert.equal(held.isHeld || both, false);
    assert(next.fencingToken > held.fencingToken);
    assert.equal(next.isHeld, true);
  });
}

Deno.test("DenoKvLeases ends when the file of its database is replaced, and the new file has one holder", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using old = await DenoKvLeases.open(`${folder}/kv`);
    const held = await old.acquire("key", QUICK);
    for (const end of ["", "-wal", "-shm"]) await Deno.remove(`${folder}/kv${end}`).catch(() => {});
    await using fresh = await DenoKvLeases.open(`${folder}/kv`);
    const next = await fresh.acquire("key", QUICK);
    assert.equal(held.isHeld, false, "the old holder stopped before the new one began");
    assert(next.fencingToken > held.fencingToken);
    await assert.rejects(old.acquire("other", QUICK), ClosedError);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("DenoKvLeases rejects acquire() and ends leases when the owner closes the database", async () => {
  const kv = await Deno.openKv(":memory:");
  const leases = await DenoKvLeases.open(kv);
  const lease = await leases.acquire("key", { ttl: 2000, maxClockSkew: 200, renewEvery: 100 });
  kv.close();
  await assert.rejects(leases.acquire("other"), ClosedError);
  await until("the lease is over", () => lease.signal.aborted);
  await leases.close();
});
