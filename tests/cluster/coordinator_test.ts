/** One suite for the coordinator in one process and over JetStream, and what is special to JetStream. */
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import {
  BackendError,
  ClosedError,
  ConfigurationMismatchError,
  Coordinator,
  InMemoryBucket,
  JetStreamLeases,
} from "../../src/cluster/mod.ts";
import { InvalidArgumentError } from "../../src/errors.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { startProxy } from "../support/proxy.ts";
import { testCoordinator } from "./conformance/coordinator.ts";
import { until } from "../support/until.ts";
import { PATIENT } from "../support/patient.ts";

testCoordinator("Coordinator in one process", (run) => run({ target: new InMemoryBucket() }));

testCoordinator("Coordinator over JetStream", async (run) => {
  await using server = await startNatsServer();
  await run({ target: server.url, options: { ttl: 2000, maxClockSkew: 200 } });
});

Deno.test("Coordinator.join() refuses a bucket with other settings, and leaves it alone", async () => {
  await using server = await startNatsServer();
  const connection = await connect({ servers: server.url });
  const config = {
    name: "KV_aether_cluster_default",
    subjects: ["$KV.aether_cluster_default.>"],
    max_age: 10e9,
  };
  await connection.request(
    "$JS.API.STREAM.CREATE.KV_aether_cluster_default",
    JSON.stringify(config),
    PATIENT,
  );
  await assert.rejects(Coordinator.join(connection), (error) => {
    assert(error instanceof ConfigurationMismatchError && error.subject === "aether_cluster_default");
    assert.deepEqual(
      error.differences.map((difference) => difference.setting),
      ["allow_msg_ttl", "subject_delete_marker_ttl", "max_msgs_per_subject", "max_age", "discard"],
    );
    return true;
  });
  const info = (await connection.request("$JS.API.STREAM.INFO.KV_aether_cluster_default", "", PATIENT)).json<
    { config: { max_age: number } }
  >();
  assert.equal(info.config.max_age, 10e9);
  assert.equal(connection.isClosed(), false, "what was handed in is not closed");
  await connection.close();
});

Deno.test("Coordinator.join() reports that JetStream is missing", async () => {
  await using server = await startNatsServer({
    configText:
      "accounts { PLAIN: { users: [{ user: plain, password: pw }] }, JS: { jetstream: enabled, users: [{ user: js, password: pw }] } }\nno_auth_user: js",
  });
  const connection = await connect({ servers: server.url, user: "plain", pass: "pw" });
  await assert.rejects(
    Coordinator.join(connection),
    (error) => error instanceof BackendError && error.reason === "unsupported",
  );
  await connection.close();
});

Deno.test("Coordinator.join() names the permission that is missing", async () => {
  await using server = await startNatsServer({
    configText: `accounts { JS: { jetstream: enabled, users: [
      { user: js, password: pw },
      { user: poor, password: pw, permissions: { publish: ["nothing"], subscribe: ["_INBOX.>"] } }
    ] } }
    no_auth_user: js`,
  });
  const connection = await connect({ servers: server.url, user: "poor", pass: "pw" });
  await assert.rejects(Coordinator.join(connection), (error) => {
    assert(error instanceof BackendError && error.reason === "denied", String(error));
    assert(error.message.includes("$JS.API.STREAM.INFO.KV_aether_cluster_default"), error.message);
    return true;
  });
  await connection.close();
});

Deno.test("Coordinator.join() rejects when nothing listens, and for bad names of clusters", async () => {
  await assert.rejects(Coordinator.join("nats://127.0.0.1:1"), {
    name: "BackendError",
    reason: "unreachable",
  });
  for (const cluster of ["", "a.b", "*", ">", "x".repeat(300), "a b"]) {
    await assert.rejects(Coordinator.join("nats://127.0.0.1:1", { cluster }), (error) => {
      assert(error instanceof InvalidArgumentError);
      assert.equal(error.argument, "options.cluster");
      return true;
    });
  }
});

Deno.test("Coordinator recovers its cluster after every record was deleted", async () => {
  await using server = await startNatsServer();
  await using a = await Coordinator.join(server.url, {
    name: "a",
    shardCount: 4,
    ttl: 2000,
    maxClockSkew: 100,
  });
  await using b = await Coordinator.join(server.url, {
    name: "b",
    shardCount: 4,
    ttl: 2000,
    maxClockSkew: 100,
  });
  const held = (): number => [...a.shards, ...b.shards].filter((shard) => shard.isHeld).length;
  await until("all is owned", () => held() === 4 && [...b.shards].length === 2);
  const connection = await connect({ servers: server.url });
  const info = (await connection.request("$JS.API.STREAM.INFO.KV_aether_cluster_default", "", PATIENT)).json<
    { config: { subjects: [string] } }
  >();
  const base = info.config.subjects[0].slice(0, -1);
  const before = Math.max(...[...a.shards, ...b.shards].map((shard) => shard.fencingToken));
  for (const key of ["map", "node.a", "node.b"]) {
    await connection.request(
      `$JS.API.STREAM.PURGE.KV_aether_cluster_default`,
      JSON.stringify({ filter: base + key }),
    );
  }
  await connection.request(`${base}map`, "not a map", PATIENT);
  await until(
    "all is owned again, under new tokens",
    () => held() === 4 && [...a.shards, ...b.shards].every((shard) => shard.fencingToken > before),
  );
  await connection.close();
});

Deno.test("Coordinator knows exactly which nodes there are after its watch was cut off", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  const options = { shardCount: 4, ttl: 4000, maxClockSkew: 200, onWarning: () => {} };
  await using watcher = await Coordinator.join(proxy.url, {
    ...options,
    name: "watcher",
    weight: 0,
    candidate: false,
  });
  await using a = await Coordinator.join(server.url, { ...options, name: "a" });
  const leaver = await Coordinator.join(server.url, { ...options, name: "leaver" });
  const restarter = await Coordinator.join(server.url, { ...options, name: "restarter" });
  await until("all are seen", () => watcher.nodes().length === 4);
  const changes: string[] = [];
  const watching = (async () => {
    for await (const { type, node } of watcher.nodeChanges()) changes.push(`${type} ${node.name}`);
  })();
  await proxy.cut();
  await leaver.leave();
  await restarter.leave();
  await using again = await Coordinator.join(server.url, { ...options, name: "restarter" });
  await using late = await Coordinator.join(server.url, { ...options, name: "late" });
  proxy.resume();
  const names = ["a", "late", "restarter", "watcher"];
  await until(
    "exactly those are there",
    () => String(watcher.nodes().map((node) => node.name)) === String(names),
  );
  await until("the new incarnation is known", () => watcher.nodes()[2]?.incarnation === again.incarnation);
  assert.equal(watcher.status === "left", false);
  assert(a.signal.aborted === false && late.signal.aborted === false);
  await watcher.leave();
  await watching;
  assert.deepEqual(
    changes.slice(4).filter((change) => change !== "left watcher").sort(),
    ["joined late", "joined restarter", "left leaver", "left restarter"],
  );
});

async function deleteBucket(url: string): Promise<void> {
  const connection = await connect({ servers: url });
  await connection.request("$JS.API.STREAM.DELETE.KV_aether_cluster_default", "", PATIENT);
  await connection.close();
}

function heldBy(node: Coordinator): number[] {
  return [...node.shards].filter((shard) => shard.isHeld).map((shard) => shard.id);
}

/** Looks at both nodes until a condition holds; no shard may be held by both. */
async function neverBoth(what: string, a: Coordinator, b: Coordinator, holds: () => boolean): Promise<void> {
  await until(what, () => {
    const held = heldBy(a);
    assert(heldBy(b).every((shard) => !held.includes(shard)), "two nodes hold one shard");
    return holds();
  });
}

const QUICK = { ttl: 3000, maxClockSkew: 200, shardCount: 8, onWarning: () => {} };

for (const storage of ["file", "memory"] as const) {
  Deno.test(`Coordinator heals by itself after its bucket in ${storage} was lost, and no shard has two owners`, async () => {
    await using server = await startNatsServer();
    await using a = await Coordinator.join(server.url, { ...QUICK, name: "a", storage });
    await until("a holds all", () => heldBy(a).length === 8);
    const before = Math.max(...[...a.shards].map((shard) => shard.fencingToken));
    if (storage === "file") await deleteBucket(server.url);
    else {
      await server.shutdown();
      await server.restart();
    }
    await using b = await Coordinator.join(server.url, { ...QUICK, name: "b", storage });
    await neverBoth("both share them again", a, b, () => heldBy(a).length === 4 && heldBy(b).length === 4);
    assert([...a.shards, ...b.shards].every((shard) => shard.fencingToken > before), "tokens go on rising");
  });
}

Deno.test("Coordinator makes a bucket that was lost again, without a new process", async () => {
  await using server = await startNatsServer();
  await using a = await Coordinator.join(server.url, { ...QUICK, name: "a" });
  await until("a holds all", () => heldBy(a).length === 8);
  const first = a.incarnation ?? 0;
  await deleteBucket(server.url);
  await until("a holds all again", () => heldBy(a).length === 8 && (a.incarnation ?? 0) > first);
});

Deno.test("Coordinator leaves a bucket that was made again with another number of shards, and reports why", async () => {
  await using server = await startNatsServer();
  const codes: string[] = [];
  const onWarning = ({ code }: { readonly code: string }): void => void codes.push(code);
  await using a = await Coordinator.join(server.url, { ...QUICK, name: "a", onWarning });
  await until("a holds all", () => heldBy(a).length === 8);
  const loop = (async () => {
    for await (const _ of a.shardChanges());
  })();
  loop.catch(() => {});
  // Which of them makes the bucket again is open: the first one may be quicker.
  const joined = async (): Promise<Coordinator | undefined> => {
    await deleteBucket(server.url);
    return await Coordinator.join(server.url, { ...QUICK, name: "b", shardCount: 6 }).catch((error) => {
      if (error instanceof ConfigurationMismatchError) return undefined;
      throw error;
    });
  };
  let other: Coordinator | undefined;
  await until("the second one makes the bucket", async () => (other = await joined()) !== undefined);
  await using b = other!;
  await until("one of them is refused, and the other holds all", () => {
    assert(heldBy(a).length === 0 || heldBy(b).length === 0, "two numbers of shards at once");
    return a.status === "left" && heldBy(b).length === 6;
  });
  assert(a.signal.reason instanceof ConfigurationMismatchError, String(a.signal.reason));
  await assert.rejects(loop, ConfigurationMismatchError);
  assert(codes.includes("left-by-force"), codes.join());
});

Deno.test("Coordinator.join() of a user who cannot watch is refused, and takes no shards from others", async () => {
  await using server = await startNatsServer({
    configText: `authorization { users = [
      { user: admin, password: a },
      { user: node, password: n, permissions: { publish: { allow: ">", deny: "$JS.API.CONSUMER.>" }, subscribe: ">" } } ] }`,
  });
  const as = (user: string, pass: string): string => server.url.replace("://", `://${user}:${pass}@`);
  await using first = await Coordinator.join(as("admin", "a"), { ...QUICK, name: "first" });
  await until("the first holds all", () => heldBy(first).length === 8);
  await assert.rejects(Coordinator.join(as("node", "n"), { ...QUICK, name: "second" }), (error) => {
    assert(error instanceof BackendError && error.reason === "denied", String(error));
    assert.match(error.message, /"\$JS\.API\.CONSUMER\.CREATE\.KV_aether_cluster_default\./);
    return true;
  });
  assert.equal(heldBy(first).length, 8);
  assert.deepEqual(first.nodes().map((node) => node.name), ["first"]);
});

Deno.test("Coordinator.join() and leases name the inbox where that is what is denied", async () => {
  await using server = await startNatsServer({
    configText: `authorization { users = [
      { user: node, password: n, permissions: { publish: ">", subscribe: { deny: "_INBOX.>" } } } ] }`,
  });
  const url = server.url.replace("://", "://node:n@");
  for (const open of [() => Coordinator.join(url, QUICK), () => JetStreamLeases.open(url)]) {
    await assert.rejects(open(), (error) => {
      assert(error instanceof BackendError && error.reason === "denied", String(error));
      assert.match(error.message, /"_INBOX\./);
      return true;
    });
  }
});

Deno.test("Coordinator and leases end with a typed error when the owner closes the connection", async () => {
  await using server = await startNatsServer();
  const connection = await connect({ servers: server.url });
  const node = await Coordinator.join(connection, { ...QUICK, name: "a" });
  const leases = await JetStreamLeases.open(connection);
  const lease = await leases.acquire("key", { ttl: 3000, maxClockSkew: 200 });
  const waiting = leases.acquire("key", { ttl: 3000, maxClockSkew: 200 });
  waiting.catch(() => {});
  await connection.close();
  await assert.rejects(waiting, ClosedError);
  await assert.rejects(leases.acquire("other"), ClosedError);
  await until("the lease is over", () => lease.signal.aborted);
  await until("the node has left", () => node.signal.aborted);
  assert(node.signal.reason instanceof ClosedError, String(node.signal.reason));
  await node.leave();
  await leases.close();
});

Deno.test("Coordinator.drain() refuses what is no boolean, and OwnedShard.waitUntil() what is no promise", async () => {
  const target = new InMemoryBucket();
  await using a = await Coordinator.join(target, { name: "a", shardCount: 2 });
  await using b = await Coordinator.join(target, { name: "b", shardCount: 2 });
  await until("each has a shard", () => [...a.shards].length === 1 && [...b.shards].length === 1);
  const isRefused = (argument: string) => (error: unknown): boolean =>
    error instanceof InvalidArgumentError && error.argument === argument;
  for (const wrong of ["x", 0, 1, null, {}]) {
    assert.throws(() => a.drain(wrong as never), isRefused("draining"), String(wrong));
  }
  const [shard] = a.shards;
  for (const wrong of [undefined, null, 1, "work", () => {}, {}]) {
    assert.throws(() => shard!.waitUntil(wrong as never), isRefused("work"), String(wrong));
  }
  // What was refused keeps no shard: it moves, and the other node still knows this one.
  a.drain();
  await until("the other node has both", () => [...b.shards].length === 2);
  assert.deepEqual(b.nodes().map(({ name, draining }) => [name, draining]), [["a", true], ["b", false]]);
});

Deno.test("Coordinator.join() names the limit if the server takes no more subscriptions", async () => {
  await using server = await startNatsServer({ configText: "max_subscriptions: 1" });
  await assert.rejects(
    Coordinator.join(server.url, QUICK).then((node) => node.leave()),
    (error) =>
      error instanceof Error && error.name === "BackendError" &&
      /raise max_subscriptions/.test(error.message),
  );
});

Deno.test("Coordinator.join() refuses in memory the options that NATS would refuse", async () => {
  const wrong: [string, object][] = [
    ["options.cluster", { cluster: "a.b" }],
    ["options.cluster", { cluster: "" }],
    ["options.cluster", { cluster: 1 }],
    ["options.replicas", { replicas: 2 }],
    ["options.storage", { storage: "disk" }],
    ["options.domain", { domain: "a b" }],
    ["options.apiPrefix", { domain: "hub", apiPrefix: "JS.hub.API" }],
  ];
  for (const [argument, options] of wrong) {
    for (const target of [new InMemoryBucket(), "nats://127.0.0.1:1"]) {
      await assert.rejects(
        Coordinator.join(target, { ...QUICK, ...options }).then((node) => node.leave()),
        (error) => error instanceof InvalidArgumentError && error.argument === argument,
        JSON.stringify(options),
      );
    }
  }
  const node = await Coordinator.join(new InMemoryBucket(), { ...QUICK, cluster: "orders", replicas: 3 });
  await node.leave();
});

Deno.test("Coordinator.leave() resolves right after the owner has closed the connection", async () => {
  await using server = await startNatsServer();
  const connection = await connect({ servers: server.url });
  const node = await Coordinator.join(connection, { ...QUICK, name: "a" });
  const loop = (async () => {
    for await (const _ of node.nodeChanges());
  })();
  await connection.close();
  await node.leave();
  await loop;
  assert.equal(node.status, "left");
});

Deno.test("Coordinator with 16,384 shards works under a max_payload of 64 KiB, and refuses one that is too small", async () => {
  const many = { ...QUICK, shardCount: 16_384 };
  {
    await using server = await startNatsServer({ maxPayload: 64 * 1024 });
    await using a = await Coordinator.join(server.url, { ...many, name: "a" });
    await using b = await Coordinator.join(server.url, { ...many, name: "b" });
    await until("both have half", () => heldBy(a).length === 8192 && heldBy(b).length === 8192, 60_000);
  }
  await using server = await startNatsServer({ maxPayload: 8 * 1024 });
  await assert.rejects(Coordinator.join(server.url, many), (error) => {
    assert(error instanceof BackendError && error.reason === "too-large", String(error));
    assert.match(error.message, /options\.shardCount/);
    return true;
  });
});
