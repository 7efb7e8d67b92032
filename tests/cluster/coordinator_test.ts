/** One suite for the coordinator in one process and over JetStream, and what is special to JetStream. */
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import {
  BucketMismatchError,
  Coordinator,
  InMemoryBucket,
  JetStreamUnavailableError,
  PermissionDeniedError,
  ServerUnreachableError,
} from "../../src/cluster/mod.ts";
import { InvalidArgumentError } from "../../src/errors.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { startProxy } from "../support/proxy.ts";
import { testCoordinator } from "./conformance/coordinator.ts";
import { until } from "./conformance/until.ts";

testCoordinator("Coordinator in one process", (run) => run({ target: new InMemoryBucket() }));

testCoordinator("Coordinator over JetStream", async (run) => {
  await using server = await startNatsServer();
  await run({ target: server.url });
});

Deno.test("Coordinator.join() refuses a bucket with other settings, and leaves it alone", async () => {
  await using server = await startNatsServer();
  const connection = await connect({ servers: server.url });
  const config = {
    name: "KV_aether_cluster_default",
    subjects: ["$KV.aether_cluster_default.>"],
    max_age: 10e9,
  };
  await connection.request("$JS.API.STREAM.CREATE.KV_aether_cluster_default", JSON.stringify(config));
  await assert.rejects(Coordinator.join(connection), (error) => {
    assert(error instanceof BucketMismatchError);
    assert.deepEqual(
      error.differences.map((difference) => difference.setting),
      ["allow_msg_ttl", "subject_delete_marker_ttl", "max_msgs_per_subject", "max_age", "discard"],
    );
    return true;
  });
  const info = (await connection.request("$JS.API.STREAM.INFO.KV_aether_cluster_default")).json<
    { config: { max_age: number } }
  >();
  assert.equal(info.config.max_age, 10e9);
  assert.equal(connection.isClosed(), false, "what was handed in is not closed");
  await connection.close();
});

Deno.test("Coordinator.join() says that JetStream is missing", async () => {
  await using server = await startNatsServer({
    configText:
      "accounts { PLAIN: { users: [{ user: plain, password: pw }] }, JS: { jetstream: enabled, users: [{ user: js, password: pw }] } }\nno_auth_user: js",
  });
  const connection = await connect({ servers: server.url, user: "plain", pass: "pw" });
  await assert.rejects(Coordinator.join(connection), JetStreamUnavailableError);
  await connection.close();
});

Deno.test("Coordinator.join() says which permission is missing", async () => {
  await using server = await startNatsServer({
    configText: `accounts { JS: { jetstream: enabled, users: [
      { user: js, password: pw },
      { user: poor, password: pw, permissions: { publish: ["nothing"], subscribe: ["_INBOX.>"] } }
    ] } }
    no_auth_user: js`,
  });
  const connection = await connect({ servers: server.url, user: "poor", pass: "pw" });
  await assert.rejects(Coordinator.join(connection), (error) => {
    assert(error instanceof PermissionDeniedError, String(error));
    assert.equal(error.subject, "$JS.API.STREAM.INFO.KV_aether_cluster_default");
    return true;
  });
  await connection.close();
});

Deno.test("Coordinator.join() rejects when nothing listens, and for bad names of clusters", async () => {
  await assert.rejects(Coordinator.join("nats://127.0.0.1:1"), ServerUnreachableError);
  for (const cluster of ["", "a.b", "*", ">", "x".repeat(300), "a b"]) {
    await assert.rejects(Coordinator.join("nats://127.0.0.1:1", { cluster }), (error) => {
      assert(error instanceof InvalidArgumentError);
      assert.equal(error.argument, "options.cluster");
      return true;
    });
  }
});

Deno.test("Coordinator recovers its cluster after somebody deleted every record", async () => {
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
  const before = Math.max(...[...a.shards, ...b.shards].map((shard) => shard.fencingToken));
  for (const key of ["map", "node.a", "node.b"]) {
    await connection.request(
      `$JS.API.STREAM.PURGE.KV_aether_cluster_default`,
      JSON.stringify({ filter: `$KV.aether_cluster_default.${key}` }),
    );
  }
  await connection.request("$KV.aether_cluster_default.map", "not a map");
  await until(
    "all is owned again, under new tokens",
    () => held() === 4 && [...a.shards, ...b.shards].every((shard) => shard.fencingToken > before),
  );
  await connection.close();
});

Deno.test("Coordinator knows exactly who is there after its watch was cut off", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  const options = { shardCount: 4, onWarning: () => {} };
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
