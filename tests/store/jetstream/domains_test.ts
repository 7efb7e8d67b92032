/** JetStream domains: a store is of one of them, whatever else hears its subjects. */

import assert from "node:assert/strict";
import {
  BackendError,
  JetStreamEventStore,
  type JetStreamEventStoreOptions,
  OutcomeUnknownError,
  StoreOpenError,
  type Warning,
} from "@flowmade-one/aether/jetstream";
import { type HubAndLeaf, startHubAndLeaf } from "../../support/leaf_node.ts";
import { type NatsServer, startNatsServer } from "../../support/nats_server.ts";
import { client, sleep } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

/** Opens a store, and notes its warnings. */
async function open(
  server: NatsServer,
  options: JetStreamEventStoreOptions = {},
): Promise<{ store: JetStreamEventStore; warnings: Warning[] }> {
  const warnings: Warning[] = [];
  const store = await JetStreamEventStore.open(server.url, {
    onWarning: (warning) => warnings.push(warning),
    ...options,
  });
  return { store, warnings };
}

/** Makes a stream that hears more than its own subjects. */
async function audit(server: NatsServer, name: string, subject: string): Promise<void> {
  await using nats = await client(server.url);
  await nats.requests.createStream({ name, subjects: [subject], storage: "memory" });
}

async function subjectsOf(server: NatsServer): Promise<string> {
  await using nats = await client(server.url);
  const { config } = await nats.requests.streamInfo("aether_default");
  return (config["subjects"] as string[])[0]!;
}

async function messagesOf({ hub, leaf }: HubAndLeaf, stream = "aether_default"): Promise<number[]> {
  const counts: number[] = [];
  for (const { url } of [hub, leaf]) {
    await using nats = await client(url);
    counts.push((await nats.requests.streamInfo(stream)).state.messages);
  }
  return counts;
}

for (const hubDomain of ["hub", undefined]) {
  Deno.test(`one namespace on a hub ${hubDomain ? "with" : "without"} a domain and on a leaf node are two logs`, async () => {
    await using servers = await startHubAndLeaf(hubDomain);
    await using edge = await JetStreamEventStore.open(servers.leaf.url);
    await using centre = await JetStreamEventStore.open(servers.hub.url);
    for (let index = 0; index < 10; index++) {
      await edge.append(`actor-${index}`, [event("edge")], { expectedVersion: 0 });
      await centre.append(`actor-${index}`, [event("centre")], { expectedVersion: 0 });
    }
    await centre.saveEvents(["p", "q"].map((actorId) => ({ actorId, version: 1, ...event("centre") })));
    await sleep(200);
    assert.deepEqual(await messagesOf(servers), [12, 10]);
    for (const [store, data] of [[edge, "edge"], [centre, "centre"]] as const) {
      for await (const stored of store.readAll()) assert.equal(stored.data, data);
      assert.equal((await store.verify()).ok, true);
    }
  });
}

Deno.test("a store of the hub's domain, opened over a leaf node, gets its positions from the hub alone", async () => {
  await using servers = await startHubAndLeaf();
  await using centre = await JetStreamEventStore.open(servers.hub.url);
  // The namespace was used on the leaf node too, and something there keeps all that is saved.
  {
    await using local = await JetStreamEventStore.open(servers.leaf.url);
    await local.append("anything", [event(0)], { expectedVersion: 0 });
  }
  await audit(servers.leaf, "AUDIT", await subjectsOf(servers.hub));
  const { store: edge, warnings } = await open(servers.leaf, { domain: "hub" });
  await using _edge = edge;
  assert.deepEqual(warnings.map(({ code }) => code), ["subject-heard-twice"]);
  assert.match(warnings[0]!.message, /"AUDIT"/);
  for (let index = 0; index < 20; index++) {
    const [saved] = await edge.append(`new-${index}`, [event(index)], { expectedVersion: 0 });
    const [stored] = await centre.getEvents(`new-${index}`);
    assert.equal(stored?.position, saved?.position);
  }
  const pair = ["p", "q"].map((actorId) => ({ actorId, version: 1, ...event(1) }));
  assert.deepEqual(
    (await edge.saveEvents(pair)).map(({ position }) => position),
    (await Array.fromAsync(centre.readAll())).slice(-2).map(({ position }) => position),
  );
  assert.equal((await edge.verify()).ok, true);
  assert.equal(warnings.length, 1);
});

Deno.test("while the hub is unavailable, an acknowledgement of another stream that hears the subject is no success", async () => {
  await using servers = await startHubAndLeaf();
  await using centre = await JetStreamEventStore.open(servers.hub.url, { retention: "forever" });
  await centre.append("a", [event(0)], { expectedVersion: 0 });
  const { store: edge, warnings } = await open(servers.leaf, {
    domain: "hub",
    saveTimeout: 3_000,
    answerTimeout: 500,
  });
  await using _edge = edge;
  await edge.getLatestVersion("a");
  const subjects = await subjectsOf(servers.hub);
  await servers.hub.kill();
  await audit(servers.leaf, "AUDIT", subjects); // it takes each message, acknowledges it, and is no part of the log
  await assert.rejects(edge.append("a", [event(1)], { expectedVersion: 1 }), OutcomeUnknownError);
  await assert.rejects(edge.append("b", [event(1)], { expectedVersion: 0 }), (error) => {
    // Without the hub it cannot be known that the actor is new.
    return error instanceof BackendError || error instanceof OutcomeUnknownError;
  });
  assert.deepEqual(warnings.map(({ code }) => code), ["subject-heard-twice"]);
  assert.match(warnings[0]!.message, /"AUDIT"/);
  await servers.hub.restart();
  await servers.connected();
  // The same saves, repeated, are stored once.
  for (const [actorId, expectedVersion] of [["a", 1], ["b", 0]] as const) {
    const saving = (): Promise<unknown> => edge.append(actorId, [event(2)], { expectedVersion });
    for (let tries = 1;; tries++) {
      try {
        await saving();
        break;
      } catch (error) {
        if (tries === 20) throw error;
      }
    }
    assert.equal((await centre.getEvents(actorId)).length, expectedVersion + 1);
  }
  assert.equal((await centre.verify()).ok, true);
});

Deno.test("diagnose names a stream of another domain that hears the log's subjects, from both sides", async () => {
  await using servers = await startHubAndLeaf();
  await using centre = await JetStreamEventStore.open(servers.hub.url);
  const heardTwice = async (store: JetStreamEventStore): Promise<string[]> => {
    const findings = await store.diagnose();
    return findings.filter(({ code }) => code === "subject-heard-twice").map(({ message }) => message);
  };
  assert.deepEqual(await heardTwice(centre), []);
  await audit(servers.leaf, "EVERYTHING", "aether.default.>");
  const [message, ...more] = await heardTwice(centre);
  assert.match(message ?? "", /"EVERYTHING"/);
  assert.deepEqual(more, []);
  await using edge = await JetStreamEventStore.open(servers.leaf.url, {
    domain: "hub",
    onWarning(): void {},
  });
  assert.match((await heardTwice(edge))[0] ?? "", /"EVERYTHING"/);
  // To look for them stores nothing.
  await using nats = await client(servers.leaf.url);
  assert.equal((await nats.requests.streamInfo("EVERYTHING")).state.messages, 0);
  assert.equal((await centre.verify()).commits, 0);
});

Deno.test("a copy of the stream in another domain is found, and its answers do not make a save fail or succeed", async () => {
  await using servers = await startHubAndLeaf();
  await using centre = await JetStreamEventStore.open(servers.hub.url);
  await centre.append("a", [event(0)], { expectedVersion: 0 });
  {
    await using hub = await client(servers.hub.url);
    await using leaf = await client(servers.leaf.url);
    const { config } = await hub.requests.streamInfo("aether_default");
    await leaf.requests.createStream(config); // as a backup is restored, without its messages
  }
  const { store: edge, warnings } = await open(servers.leaf, { domain: "hub" });
  await using _edge = edge;
  assert.deepEqual(warnings.map(({ code }) => code), ["subject-heard-twice"]);
  assert.match(warnings[0]!.message, /"aether_default" of another JetStream domain/);
  for (let index = 1; index < 10; index++) {
    const [saved] = await edge.append("a", [event(index)], { expectedVersion: index });
    assert.equal((await centre.getEvents("a")).at(-1)?.position, saved?.position);
  }
  assert.equal((await centre.verify()).ok, true);
});

Deno.test("a stream of the same domain that hears the subjects already is named when a store is opened", async () => {
  await using server = await startNatsServer();
  await audit(server, "EVERYTHING", "aether.orders.>");
  await assert.rejects(JetStreamEventStore.open(server.url, { namespace: "orders" }), (error) => {
    assert(error instanceof StoreOpenError);
    assert.match(error.message, /"EVERYTHING"/);
    return true;
  });
  await using _other = await JetStreamEventStore.open(server.url, { namespace: "billing" });
});
