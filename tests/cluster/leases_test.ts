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
import { PATIENT } from "../support/patient.ts";

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
      await connection.request("$JS.API.STREAM.DELETE.KV_aether_leases", "", PATIENT);
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
  assert.equal(lease.status, "closed");
  await leases.close();
});

/** Counts the atomic operations of a database. */
function countingCommits(kv: Deno.Kv): { commits: number } {
  const counted = { commits: 0 };
  const atomic = kv.atomic.bind(kv);
  kv.atomic = () => {
    const operation = atomic();
    const commit = operation.commit.bind(operation);
    operation.commit = () => {
      counted.commits++;
      return commit();
    };
    return operation;
  };
  return counted;
}

Deno.test("DenoKvLeases takes and releases many leases at once with few writes", async () => {
  using kv = await Deno.openKv(":memory:");
  await using leases = await DenoKvLeases.open(kv, { namespace: "many" });
  const until = { ttl: 2000, maxClockSkew: 200 };
  await (await leases.acquire("first", until)).release();
  const counted = countingCommits(kv);
  const keys = Array.from({ length: 32 }, (_, index) => `segment-${index}`);
  const held = await Promise.all(keys.map((key) => leases.tryAcquire(key, until)));
  const tokens = new Set(held.map((lease) => lease!.fencingToken));
  assert.equal(tokens.size, keys.length, "each has a token of its own");
  await Promise.all(held.map((lease) => lease!.release()));
  // At most 9 in an operation; of those of one process none fails because of another.
  assert(counted.commits <= 16, `${counted.commits} operations`);
});

Deno.test("a bucket in Deno KV that writes several records at once decides about each by itself", async () => {
  using kv = await Deno.openKv(":memory:");
  const bucket = new DenoKvBucket(kv, ["leases"]);
  const first = await bucket.put("a", "1", { expected: 0 });
  const results = await Promise.allSettled([
    bucket.put("a", "2", { expected: first }),
    bucket.put("b", "1", { expected: 5 }),
    bucket.put("c", "1", { expected: 0 }),
    bucket.put("a", "3", { expected: first }),
    bucket.remove("d", 0),
    bucket.put("c", "2", { expected: 0 }),
  ]);
  assert.deepEqual(results.map(({ status }) => status), [
    ...["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled", "rejected"],
  ]);
  for (const result of results) {
    if (result.status === "rejected") assert.equal(result.reason.name, "RevisionConflictError");
  }
  const revisions = results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  assert.equal(new Set([first, ...revisions]).size, 4);
  const [a, b, c] = await Promise.all(["a", "b", "c"].map((key) => bucket.get(key)));
  assert.deepEqual([a?.value, b, c?.value], ["2", undefined, "1"]);
  assert.deepEqual([a?.revision, c?.revision], [revisions[0], revisions[1]]);
});

Deno.test("a bucket in Deno KV that was deleted and made again takes no write that was asked for before", async () => {
  using kv = await Deno.openKv(":memory:");
  const bucket = new DenoKvBucket(kv, ["leases"]);
  await bucket.put("a", "1", { expected: 0 });
  for await (const { key } of kv.list({ prefix: [] })) await kv.delete(key);
  const writes = ["1", "2"].map((value) => bucket.put("a", value, { expected: 0 }));
  for (const result of await Promise.allSettled(writes)) {
    assert.equal(result.status, "rejected");
    assert.match(String(result.reason), /BackendError/);
  }
  assert.equal(await bucket.get("a"), undefined);
});
