/** What `diagnose()` finds: each finding on a real server that has what it names. */

import assert from "node:assert/strict";
import { type Finding, JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { expire, LONG_RETENTION } from "../../support/expiry.ts";
import { startNatsCluster, startNatsServer } from "../../support/nats_server.ts";
import { client, until } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

function finding(findings: readonly Finding[], code: string): Finding | undefined {
  return findings.find((found) => found.code === code);
}

Deno.test("diagnose names compression, missing deny flags and every other changed setting of the stream", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  const changes: [string, Record<string, unknown>][] = [
    ["compression", { compression: "s2" }],
    ["allow_atomic", { allow_atomic: false }],
    ["deny_delete", { deny_delete: false }],
    ["deny_purge", { deny_purge: false, allow_rollup_hdrs: true }],
  ];
  for (const [setting, change] of changes) {
    await using store = await JetStreamEventStore.open(server.url, { namespace: setting });
    assert.equal(finding(await store.diagnose(), "stream-changed"), undefined);
    const { config } = await nats.requests.streamInfo(`aether_${setting}`);
    if (setting.startsWith("deny")) {
      // The server lets nobody switch these off; a stream can still be made anew.
      await assert.rejects(nats.requests.updateStream({ ...config, ...change }), { code: 10_052 });
      await nats.requests.request(`STREAM.DELETE.aether_${setting}`);
      await nats.requests.createStream({ ...config, ...change });
    } else await nats.requests.updateStream({ ...config, ...change });
    const changed = (await store.diagnose()).filter(({ code }) => code === "stream-changed");
    assert(changed.some(({ message }) => message.includes(setting)), JSON.stringify(changed));
    assert(changed.every(({ severity, advice }) => severity === "critical" && advice.includes("again")));
  }
});

Deno.test("diagnose names what retention has removed, and commits that no run has looked at", async () => {
  const publish = { deny: ["$KV.>"] };
  await using server = await startNatsServer({
    config: {
      authorization: {
        users: [{ user: "all", password: "p" }, { user: "none", password: "p", permissions: { publish } }],
      },
    },
  });
  const url = (user: string): string => `nats://${user}:p@127.0.0.1:${server.port}`;
  {
    await using sound = await JetStreamEventStore.open(url("all"), {
      namespace: "sound",
      retention: LONG_RETENTION,
    });
    await sound.append("order", [event(1)], { expectedVersion: 0 });
    assert.equal(finding(await sound.diagnose(), "history-removed"), undefined);
    await expire(url("all"), { stream: "aether_sound" });
    const removed = finding(await sound.diagnose(), "history-removed");
    assert.match(removed!.message, /has removed 1 commits/);
  }
  // A user that may not write what is to be remembered: its runs fail.
  const warnings = new Set<string>();
  const onWarning = ({ code }: { code: string }): unknown => warnings.add(code);
  await using store = await JetStreamEventStore.open(url("none"), { retention: 2_000, onWarning });
  let late: Finding | undefined;
  for (let count = 0; late === undefined && count < 10_000; count++) {
    await store.append(`order-${count}`, [event(1)], { expectedVersion: 0 });
    late = finding(await store.diagnose(), "preserve-late");
  }
  assert.equal(late?.severity, "warning");
  await until(() => warnings.has("preserve-failed"), "the warning");
});

Deno.test("diagnose names a stream without a quorum instead of failing", async () => {
  await using cluster = await startNatsCluster();
  await using store = await JetStreamEventStore.open(cluster.urls, {
    replicas: 3,
    retention: "forever",
    readTimeout: 1_000,
    answerTimeout: 1_000,
    connect: { client: { reconnectTimeWait: 50 } },
  });
  await store.append("order", [event(1)], { expectedVersion: 0 });
  let healthy: Finding[] = [];
  await until(async () => {
    healthy = await store.diagnose();
    return healthy.every(({ severity }) => severity === "info");
  }, "all replicas to have caught up");
  assert.match(finding(healthy, "server-version")!.message, /version 2\./);
  const [, second, third] = cluster.servers;
  await second!.kill();
  await third!.kill();
  let critical: Finding[] = [];
  await until(async () => {
    critical = (await store.diagnose()).filter(({ severity }) => severity === "critical");
    return critical.some(({ code }) => code === "no-leader");
  }, "the finding");
  assert.match(critical[0]!.advice, /majority/);
  await second!.restart();
  await third!.restart();
  await until(
    async () => (await store.diagnose()).every(({ severity }) => severity !== "critical"),
    "recovery",
  );
  assert.equal((await store.append("order", [event(2)], { expectedVersion: 1 }))[0]?.version, 2);
});

Deno.test("diagnose names a bucket with fewer replicas than its stream", async () => {
  await using cluster = await startNatsCluster();
  await using store = await JetStreamEventStore.open(cluster.urls, { replicas: 3 });
  await store.append("order", [event(1)], { expectedVersion: 0 });
  const find = async (): Promise<Finding | undefined> => finding(await store.diagnose(), "bucket-replicas");
  assert.equal(await find(), undefined, "the bucket does not exist yet");
  await store.saveSnapshot({ actorId: "order", kind: "k", schemaVersion: 1, version: 1, state: 1 });
  assert.equal(await find(), undefined, "it is made like the stream");
  await using nats = await client(cluster.urls[0]!);
  const setReplicas = async (count: number): Promise<void> => {
    const { config } = await nats.requests.streamInfo("KV_aether_default");
    await nats.requests.updateStream({ ...config, num_replicas: count });
  };
  await setReplicas(1);
  const found = await find();
  assert.equal(found?.severity, "warning");
  assert.match(found!.message, /"aether_default" has 3 replicas.*"KV_aether_default" has 1/);
  await setReplicas(3);
  assert.equal(await find(), undefined);
});

Deno.test("snapshots take the place of the one before: the bucket does not grow with them", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  await using nats = await client(server.url);
  for (let version = 1; version <= 20; version++) {
    await store.append("order", [event(version)], { expectedVersion: version - 1 });
    const timestamp = new Date().toISOString();
    await store.saveSnapshot({
      actorId: "order",
      kind: "total",
      schemaVersion: 1,
      version,
      state: version,
      timestamp,
    });
  }
  const { config, state } = await nats.requests.streamInfo("KV_aether_default");
  assert.equal(state.messages, 1);
  assert.equal(config.max_age, 0);
  assert.equal((await store.getLatestSnapshot("order", "total"))?.version, 20);
});
