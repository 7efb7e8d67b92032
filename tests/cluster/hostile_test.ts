/**
 * Records in the bucket that no node wrote: damaged, of another format, or with fields of any value. No process may crash or
 * hang, no lease and no shard may have two holders, and work goes on.
 */
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import {
  type Bucket,
  BucketLeaseStore,
  ConfigurationMismatchError,
  Coordinator,
  InMemoryBucket,
} from "../../src/cluster/mod.ts";
import { BucketView } from "../../src/cluster/bucket.ts";
import { encodeConfig } from "../../src/cluster/cluster_config.ts";
import { DenoKvBucket } from "../../src/cluster/deno_kv_bucket.ts";
import { openClusterBucket } from "../../src/cluster/jetstream/open.ts";
import { type LeaseRecord, readLease } from "../../src/cluster/lease_record.ts";
import { decodeNode } from "../../src/cluster/node_record.ts";
import { decodeRecord, encodeRecord } from "../../src/cluster/record.ts";
import { decodeShardMap } from "../../src/cluster/shard_map.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { Random } from "../support/random.ts";
import { until } from "../support/until.ts";
import { PATIENT } from "../support/patient.ts";

const QUICK = { ttl: 2000, maxClockSkew: 200, renewEvery: 100 };
const SHARDS = 6;
const DEEP = "[".repeat(100_000) + "]".repeat(100_000);
const HOSTILE: readonly unknown[] = [
  undefined,
  null,
  -1,
  0,
  1.5,
  1e308,
  Number.MAX_SAFE_INTEGER,
  "NaN",
  "Infinity",
  "",
  true,
  [],
  {},
  [[[]]],
  { toString: 1 },
];
const TEXTS: readonly string[] = [
  "",
  "null",
  "not a record",
  "{}",
  DEEP,
  "\u{fffd}\u{fffd}",
  "x".repeat(100_000),
  " aether lease 2 00000000 {}",
  " aether lease 1 00000000 {}",
];

/** A bucket, and how a program that does not know the protocol writes a value of its key. */
interface Place {
  readonly bucket: Bucket;
  overwrite(key: string, value: string | Uint8Array): Promise<void>;
}

const places: readonly { readonly name: string; use(run: (place: Place) => Promise<void>): Promise<void> }[] =
  [
    {
      name: "in one process",
      use: (run) => {
        const bucket = new InMemoryBucket();
        return run({ bucket, overwrite: (key, value) => overwrite(bucket, key, value) });
      },
    },
    {
      name: "in Deno KV",
      async use(run): Promise<void> {
        using kv = await Deno.openKv(":memory:");
        const prefix = ["aether", "default", "lease"];
        await run({
          bucket: new DenoKvBucket(kv, prefix),
          overwrite: async (key, value) => void await kv.set([...prefix, "value", key], value),
        });
      },
    },
    {
      name: "in JetStream",
      async use(run): Promise<void> {
        await using server = await startNatsServer();
        const connection = await connect({ servers: server.url });
        const { bucket, close } = await openClusterBucket(server.url, {});
        const info = await connection.request("$JS.API.STREAM.INFO.KV_aether_cluster_default", "", PATIENT);
        const [subject] = info.json<{ config: { subjects: [string] } }>().config.subjects;
        await run({
          bucket,
          overwrite: async (key, value) =>
            void await connection.request(subject.slice(0, -1) + key, value, PATIENT),
        });
        await close();
        await connection.close();
      },
    },
  ];

async function overwrite(bucket: Bucket, key: string, value: string | Uint8Array): Promise<void> {
  const text = typeof value === "string" ? value : new TextDecoder().decode(value);
  for (let stored = false; !stored;) {
    const entry = await bucket.get(key);
    stored = await bucket.put(key, text, { expected: entry?.revision ?? 0 }).then(() => true, () => false);
  }
}

/** What a program may have done to a record: any text, bytes that are no UTF-8, one changed character. */
function* damaged(sound: string, random: Random): Generator<string | Uint8Array> {
  yield* random.pick([[random.pick(TEXTS)!], [new Uint8Array([0xff, 0xfe, 0])]])!;
  const at = Math.floor(random.between(0, sound.length));
  yield sound.slice(0, at) + "~" + sound.slice(at + 1);
}

for (const { name, use } of places) {
  Deno.test(`a lease ${name} whose record is overwritten has no second holder, and is granted again`, () =>
    use(async ({ bucket, overwrite }) => {
      const random = new Random(7);
      const stores = [new BucketLeaseStore(bucket), new BucketLeaseStore(bucket)] as const;
      await (await stores[0].acquire("warm", QUICK)).release();
      const texts = [...Array(3)].flatMap(() => [...damaged("aether lease 1 00000000 {}", random)]);
      await Promise.all(texts.map(async (text, index) => {
        const key = `key-${index}`;
        const held = await stores[0].acquire(key, QUICK);
        const waiting = stores[1].acquire(key, QUICK);
        await overwrite(`lease.${key}`, text);
        const next = await waiting;
        assert.equal(held.isHeld, false, `two holders after ${String(text).slice(0, 40)}`);
        assert(next.isHeld && next.fencingToken > held.fencingToken);
      }));
      await Promise.all(stores.map((store) => store.close()));
    }));
}

Deno.test("DenoKvLeases survive any value in place of a record or of the counter", async () => {
  using kv = await Deno.openKv(":memory:");
  const prefix = ["aether", "default", "lease"];
  const values = [
    ...HOSTILE,
    ...TEXTS.filter((text) => text.length < 60_000),
    new Uint8Array(9),
    7n,
    new Date(),
  ];
  const bucket = new DenoKvBucket(kv, prefix);
  for (const value of values) {
    await kv.set([...prefix, "value", "key"], value);
    const entry = await bucket.get("key");
    assert.equal(readLease(entry), undefined);
    await bucket.remove("key", entry!.revision);
    const before = await bucket.put("key", "sound", { expected: 0 });
    await kv.set([...prefix, "revision"], value);
    await assert.rejects(bucket.get("key"), { name: "BackendError" });
    assert((await bucket.put("key", "sound", { expected: before })) > before, "revisions go on rising");
    await bucket.remove("key", (await bucket.get("key"))!.revision);
  }
});

/** A sound record of each kind, as it is read at revision 100. */
const RECORDS: readonly { kind: string; key: string; fields: object; read(value: string): unknown }[] = [
  {
    kind: "lease",
    key: "leader",
    fields: { id: "a", attempt: 1, holder: "a", token: 50 } satisfies LeaseRecord,
    read: (value) => readLease({ key: "leader", revision: 100, value }),
  },
  {
    kind: "node",
    key: "node.a",
    fields: {
      name: "a",
      session: 5,
      address: "",
      metadata: {},
      weight: 1,
      draining: false,
      seen: 9,
      releasing: [1],
    },
    read: (value) => decodeNode({ key: "node.a", revision: 100, value }),
  },
  {
    kind: "map",
    key: "map",
    fields: {
      leader: "a",
      leaderToken: 7,
      genesis: 8,
      owners: [["a", 5]],
      grants: [[0, 8], [0, 8, 9]],
      width: 1,
      shards: "AABBCC",
    },
    read: (value) => decodeShardMap({ key: "map", revision: 100, value }),
  },
];

/** Fields whose absence means something, and fields that may be any string or any small number. */
const ALLOWED: Readonly<Record<string, readonly unknown[]>> = {
  holder: ["NaN", "Infinity", ""],
  id: ["NaN", "Infinity"],
  attempt: [-1, 0, Number.MAX_SAFE_INTEGER],
  token: [undefined],
  address: ["NaN", "Infinity", ""],
  metadata: [{}],
  weight: [0, 1.5],
  draining: [true],
  seen: [0],
  releasing: [[]],
  leader: ["NaN", "Infinity", ""],
  genesis: [undefined],
  owners: [],
  grants: [],
};

Deno.test("a record with a field of any other value reads as none", () => {
  for (const { kind, fields, read } of RECORDS) {
    assert.notEqual(read(encodeRecord(kind, fields)), undefined, kind);
    for (const field of Object.keys(fields)) {
      for (const value of HOSTILE) {
        const isAllowed = (ALLOWED[field] ?? []).some((allowed) =>
          Object.is(allowed, value) ||
          (typeof value === "object" && JSON.stringify(allowed) === JSON.stringify(value))
        );
        if (isAllowed) continue;
        const text = encodeRecord(kind, { ...fields, [field]: value });
        assert.equal(read(text), undefined, `${kind}.${field} = ${JSON.stringify(value)}`);
      }
    }
    for (const text of TEXTS) assert.equal(read(text), undefined);
    assert.equal(read(encodeRecord("other", fields)), undefined);
    assert.equal(read(encodeRecord(kind, fields).replace(" 1 ", " 2 ")), undefined, "a newer format");
  }
});

Deno.test("a record with any one character changed, added or removed reads as none", () => {
  const random = new Random(11);
  for (const { kind, fields, read } of RECORDS) {
    const sound = encodeRecord(kind, fields);
    for (let round = 0; round < 2_000; round++) {
      const at = Math.floor(random.between(0, sound.length));
      const char = String.fromCharCode(Math.floor(random.between(32, 127)));
      const cut = Math.floor(random.between(0, 3));
      const text = sound.slice(0, at) + char + sound.slice(at + cut);
      if (text !== sound) assert.equal(read(text), undefined, text);
    }
  }
});

for (const { name, use } of places.filter(({ name }) => name !== "in Deno KV")) {
  Deno.test(`a cluster ${name} goes on after each of its records was overwritten`, () =>
    use(async ({ bucket, overwrite }) => {
      const keys = ["map", "leader", "config"];
      const random = new Random(5);
      const codes = new Set<string>();
      const options = {
        ...QUICK,
        shardCount: SHARDS,
        onWarning: ({ code }: { readonly code: string }): void => void codes.add(code),
      };
      await using a = await Coordinator.join(bucket, { ...options, name: "a" });
      await using b = await Coordinator.join(bucket, { ...options, name: "b" });
      const held = (node: Coordinator): number[] =>
        [...node.shards].filter((shard) => shard.isHeld).map(({ id }) => id);
      const view = new BucketView();
      const damagedKeys = new Set<string>();
      const watch = bucket.watch([...keys, "node.>", "alive.>"], (update) => {
        for (const key of view.apply(update)) {
          if (!view.get(key)?.value?.startsWith("aether ")) damagedKeys.add(key);
        }
      });
      const settle = (what: string, overwritten: readonly string[] = []): Promise<void> =>
        until(what, () => {
          const ofA = held(a);
          assert(held(b).every((shard) => !ofA.includes(shard)), `two nodes hold one shard after ${what}`);
          assert(!(a.isLeader && b.isLeader), `two leaders after ${what}`);
          if (!overwritten.every((key) => view.get(key)?.value?.startsWith("aether "))) return false;
          return ofA.length === SHARDS / 2 && held(b).length === SHARDS / 2 && (a.isLeader || b.isLeader);
        });
      await settle("the start");
      for (const targets of [["map", "node.a"], ["leader", "node.b"], ["alive.a", "map"]]) {
        damagedKeys.clear();
        for (const key of targets) await overwrite(key, random.pick(TEXTS)!);
        await until("it is seen", () => targets.every((key) => damagedKeys.has(key)));
        await settle(`${targets} were overwritten`, targets);
      }
      await overwrite("node.stranger", encodeRecord("node", {}));
      await overwrite("config", random.pick(TEXTS)!);
      await assert.rejects(Coordinator.join(bucket, { ...options, name: "c" }), ConfigurationMismatchError);
      await settle("the configuration was overwritten");
      await overwrite("config", encodeConfig(SHARDS));
      const c = await Coordinator.join(bucket, { ...options, name: "c", weight: 0 });
      await c.leave();
      assert(codes.has("unreadable-record"), [...codes].join());
      assert.notEqual(decodeRecord("config", (await bucket.get("config"))?.value), undefined);
      watch.close();
    }));
}

Deno.test("a cluster whose configuration is deleted keeps its number of shards", async () => {
  const bucket = new InMemoryBucket();
  const options = { ...QUICK, shardCount: SHARDS, onWarning: (): void => {} };
  await using a = await Coordinator.join(bucket, { ...options, name: "a" });
  await a.ready;
  const config = await bucket.get("config");
  await bucket.remove("config", config!.revision);
  await assert.rejects(Coordinator.join(bucket, { ...options, name: "b", shardCount: SHARDS + 1 }), {
    name: "ConfigurationMismatchError",
  });
  await until("the node wrote it again", () => a.status === "joined");
  await bucket.get("config").then((entry) => assert.notEqual(entry?.value, undefined));
});

Deno.test("a node leaves a cluster whose configuration is overwritten with another number of shards", async () => {
  const bucket = new InMemoryBucket();
  const options = { ...QUICK, shardCount: SHARDS, onWarning: (): void => {} };
  await using a = await Coordinator.join(bucket, { ...options, name: "a" });
  await a.ready;
  await overwrite(bucket, "config", encodeConfig(SHARDS + 1));
  await until("it has left", () => a.status === "left");
  assert.equal((a.signal.reason as Error).name, "ConfigurationMismatchError");
  assert.deepEqual([...a.shards], []);
});
