/** The store in operation: servers that come and go under subscriptions and saves, and what an operator is told. */

import assert from "node:assert/strict";
import {
  BackendError,
  execute,
  JetStreamEventStore,
  OutcomeUnknownError,
} from "@flowmade-one/aether/jetstream";
import { startNatsCluster, startNatsServer } from "../../support/nats_server.ts";
import { client, until } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

Deno.test("a subscription goes on through the death of every server in turn, without a gap or a duplicate", async () => {
  await using cluster = await startNatsCluster();
  const connect = { client: { reconnectTimeWait: 50 } };
  const options = { replicas: 3, heartbeat: 200, connect, saveTimeout: 60_000, answerTimeout: 1_000 };
  await using writer = await JetStreamEventStore.open(cluster.urls, options);
  await using reader = await JetStreamEventStore.open(cluster.urls, options);
  const subscription = reader.subscribe({ actorPrefix: "order." });
  await subscription.ready;
  const seen: unknown[] = [];
  const reading = (async (): Promise<void> => {
    for await (const { data } of subscription) seen.push(data);
  })();
  const expected: number[] = [];
  for (const [round, server] of cluster.servers.entries()) {
    for (let count = 0; count < 20; count++) {
      const number = round * 100 + count;
      if (count === 10) await server.kill();
      await writer.append(`order.${count % 3}`, [event(number)], { expectedVersion: "any" });
      await writer.append("noise", [event(number)], { expectedVersion: "any" });
      expected.push(number);
    }
    await server.restart();
    await until(
      () => seen.length === expected.length,
      `${expected.length} events, of which ${seen.length} came`,
    );
  }
  assert.deepEqual(seen, expected);
  await subscription.close();
  await reading;
});

Deno.test("close waits for the saves under way, and each of them answers, also where the server is gone", async () => {
  await using server = await startNatsServer();
  const store = await JetStreamEventStore.open(server.url, { saveTimeout: 1_500, answerTimeout: 300 });
  await store.append("order-0", [event(0)], { expectedVersion: 0 });
  await server.suspend();
  const saves = Array.from(
    { length: 50 },
    (_, index) => store.append(`order-${index}`, [event(index)], { expectedVersion: index === 0 ? 1 : 0 }),
  );
  const settled = Promise.allSettled(saves);
  const begun = performance.now();
  await store.close();
  assert(performance.now() - begun < 15_000, "it waits for longer than its saves may take");
  for (const outcome of await settled) {
    assert.equal(outcome.status, "rejected");
    if (outcome.status !== "rejected") continue;
    assert(
      outcome.reason instanceof OutcomeUnknownError || outcome.reason instanceof BackendError,
      String(outcome.reason),
    );
  }
  server.resume();
});

Deno.test("diagnose names one replica, retention, a changed stream, and clocks that are apart", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  await using store = await JetStreamEventStore.open(server.url);
  const codes = async (): Promise<string[]> => (await store.diagnose()).map(({ code }) => code).sort();
  assert.deepEqual(await codes(), ["one-replica", "retention", "server-version", "sync-unknown"]);
  const { config } = await nats.requests.streamInfo("aether_default");
  await nats.requests.updateStream({ ...config, discard: "old", max_bytes: 10_000_000 });
  const changed = await store.diagnose();
  const critical = changed.filter(({ severity }) => severity === "critical");
  assert.deepEqual(critical.map(({ code }) => code), ["stream-changed"]);
  assert.match(critical[0]!.message, /discard/);
  assert(changed.some(({ code }) => code === "size-limit"));
  const { now } = Date;
  Date.now = (): number => now() - 60_000; // a clock that was set back
  try {
    assert((await codes()).includes("clocks-apart"));
    const [saved] = await store.append("order", [event(1)], { expectedVersion: 0 });
    assert.deepEqual(await store.getEvents("order"), [saved]);
  } finally {
    Date.now = now;
  }
});

Deno.test("diagnose names a replica that is unavailable", async () => {
  await using cluster = await startNatsCluster();
  await using store = await JetStreamEventStore.open(cluster.urls, { replicas: 3, retention: "forever" });
  await store.append("order", [event(1)], { expectedVersion: 0 });
  assert(!(await store.diagnose()).some(({ severity }) => severity === "critical"));
  const leader = await cluster.streamLeader("aether_default");
  await cluster.servers.find((server) => server !== leader)!.kill();
  await until(async () => {
    const findings = await store.diagnose().catch(() => []);
    return findings.some(({ code }) => code === "replica-offline" || code === "replica-behind");
  }, "the finding");
});

Deno.test("saves to new actors ask the server together, and wait for no answer to an earlier question for long", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  await using observer = await client(server.url);
  const asked: number[] = [];
  observer.connection.subscribe("$JS.API.DIRECT.GET.aether_default", {
    callback: (_, { data }) => asked.push(JSON.parse(new TextDecoder().decode(data)).multi_last.length),
  });
  await observer.connection.flush();
  await using other = await JetStreamEventStore.open(server.url);
  await other.append("before", [event(0)], { expectedVersion: 0 });
  await store.append("first", [event(0)], { expectedVersion: 0 });
  await observer.connection.flush();
  asked.length = 0;
  await server.suspend();
  const saves: Promise<unknown>[] = [];
  for (let index = 0; index < 100; index++) {
    saves.push(store.append(`new-${index}`, [event(index)], { expectedVersion: 0 }));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  server.resume();
  await Promise.all(saves);
  await observer.connection.flush();
  assert.equal(asked.reduce((sum, subjects) => sum + subjects, 0), 100);
  // The first one asks alone. Those after it do not wait until it is answered.
  assert.equal(asked[0], 1);
  assert(asked.length > 1 && asked.length < 50, `${asked}`);
  assert.equal((await Array.fromAsync(store.listActors())).length, 102);
});

Deno.test("a command on a new actor asks once whether the server counts messages of it", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  await using observer = await client(server.url);
  let asked = 0;
  observer.connection.subscribe("$JS.API.DIRECT.GET.aether_default", { callback: () => asked++ });
  await observer.connection.flush();
  await store.append("before", [event(0)], { expectedVersion: 0 });
  const decider = { initialState: () => 0, evolve: (sum: number) => sum + 1, decide: () => [event(1)] };
  asked = 0;
  assert.equal((await execute(store, "new", decider, null)).version, 1);
  await observer.connection.flush();
  assert.equal(asked, 1);
  // What was read longer ago does not count.
  assert.equal(await store.getLatestVersion("later"), 0);
  await new Promise((resolve) => setTimeout(resolve, 1_050));
  asked = 0;
  await store.append("later", [event(1)], { expectedVersion: 0 });
  await observer.connection.flush();
  assert.equal(asked, 1);
});
