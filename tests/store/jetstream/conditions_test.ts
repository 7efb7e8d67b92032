/** Conditions of a commit on JetStream: a message each in the commit's batch, which no reader sees. */

import assert from "node:assert/strict";
import {
  JetStreamEventStore,
  type JetStreamEventStoreOptions,
  VersionConflictError,
} from "@flowmade-one/aether/jetstream";
import type { NatsFrame } from "../../support/nats_frames.ts";
import { startNatsCluster, startNatsServer } from "../../support/nats_server.ts";
import { withTime } from "../../support/pulse.ts";
import { startProxy } from "../../support/proxy.ts";
import { client, sleep, text, until } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

Deno.test("conditions are counted, listed and delivered nowhere, and kept from no position", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  const subscription = store.subscribe();
  await subscription.ready;
  await store.append("read", [event(0)], { expectedVersion: 0 });
  const conditions = [{ actorId: "read", version: 1 }, { actorId: "never. *>", version: 0 }];
  const saved = [];
  for (let version = 0; version < 5; version++) {
    saved.push(...await store.append("order", [event(version)], { expectedVersion: version, conditions }));
  }
  const batch = ["p", "q"].map((actorId) => ({ actorId, version: 1, ...event(1) }));
  saved.push(...await store.saveEvents(batch, { conditions }));
  const { state } = await nats.requests.streamInfo("aether_default");
  assert.equal(state.messages, 1 + 5 * 3 + 4, "a condition is a message");

  const log = await Array.fromAsync(store.readAll());
  assert.deepEqual(log.slice(1), saved);
  assert.equal(await store.getLastPosition(), saved.at(-1)!.position);
  for (const [index, { position }] of log.entries()) {
    assert.deepEqual(await Array.fromAsync(store.readAll({ after: position })), log.slice(index + 1));
  }
  assert.deepEqual(await Array.fromAsync(store.readAll({ actorPrefix: "o" })), saved.slice(0, 5));
  const seen = [];
  for await (const each of subscription) if (seen.push(each) === log.length) break;
  assert.deepEqual(seen, log);
  const actors = await Array.fromAsync(store.listActors());
  assert.deepEqual(actors.map(({ actorId }) => actorId).sort(), ["order", "p", "q", "read"]);
  const report = await store.verify();
  assert.deepEqual([report.ok, report.commits, report.events, report.actors], [true, 8, 8, 4]);
  assert.deepEqual(await store.getEvents("never. *>"), []);
});

Deno.test("a run that preserves actors passes over conditions", () =>
  withTime(2_000, async (retention, pulse) => {
    await using server = await startNatsServer();
    await using nats = await client(server.url);
    await using store = await JetStreamEventStore.open(server.url, { retention });
    await pulse.watch(server.url);
    await store.append("read", [event(0)], { expectedVersion: 0 });
    const conditions = [{ actorId: "read", version: 1 }, { actorId: "never. *>", version: 0 }];
    for (let version = 0; version < 5; version++) {
      await store.append("order", [event(version)], { expectedVersion: version, conditions });
    }
    await sleep(retention * 0.925);
    await store.preserveExpiringActors();
    await until(async () => (await nats.requests.streamInfo("aether_default")).state.messages === 0);
    await using other = await JetStreamEventStore.open(server.url);
    for (const opened of [store, other]) assert.equal(await opened.getLatestVersion("order"), 5);
    await store.append("order", [event(6)], {
      expectedVersion: 5,
      conditions: [{ actorId: "read", version: 1 }],
    });
  }));

Deno.test("a commit under conditions whose acknowledgement is lost is stored once, and is no conflict", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using near = await JetStreamEventStore.open(server.url, { retention: "forever" });
  await using far = await JetStreamEventStore.open(proxy.url, { retention: "forever", answerTimeout: 200 });
  await near.append("read", [event(1)], { expectedVersion: 0 });
  const isAcknowledgement = ({ payload }: NatsFrame): boolean =>
    /^\{"stream":"aether_\w+",.*"seq":[1-9]/.test(text(payload));
  for (const expectedVersion of [0, "any"] as const) {
    let lost = 2;
    proxy.filter({ toClient: (frame) => isAcknowledgement(frame) && lost-- > 0 });
    const [saved] = await far.append("order", [event(1)], {
      expectedVersion,
      conditions: [{ actorId: "read", version: 1 }],
    });
    proxy.filter({});
    assert.deepEqual((await near.getEvents("order")).at(-1), saved);
  }
  assert.equal(await near.getLatestVersion("order"), 2);
  assert.equal((await near.verify()).ok, true);
});

/** How often a commit of each pair is tried again if it neither wins nor loses: never. */
const PAIRS = 60;

async function noWriteSkew(urls: readonly string[], options: JetStreamEventStoreOptions): Promise<void> {
  const stores: JetStreamEventStore[] = [];
  for (const url of urls) stores.push(await JetStreamEventStore.open(url, options));
  const at = (index: number): JetStreamEventStore => stores[index % stores.length]!;
  try {
    let firsts = 0;
    await Promise.all(Array.from({ length: PAIRS }, async (_, pair) => {
      const [left, right] = [`${pair}.left`, `${pair}.right`];
      // Each is decided on the other's version: at most one of them may be stored.
      const endings = await Promise.allSettled([
        at(pair).append(left, [event(1)], {
          expectedVersion: 0,
          conditions: [{ actorId: right, version: 0 }],
        }),
        at(pair + 1).append(right, [event(1)], {
          expectedVersion: 0,
          conditions: [{ actorId: left, version: 0 }],
        }),
      ]);
      const [first, second] = endings;
      assert.equal(endings.filter(({ status }) => status === "fulfilled").length, 1, JSON.stringify(endings));
      if (first!.status === "fulfilled") firsts++;
      const { reason } = endings.find((each): each is PromiseRejectedResult => each.status === "rejected")!;
      assert(reason instanceof VersionConflictError && reason.isCondition, String(reason));
      assert.equal(reason.actorId, second!.status === "fulfilled" ? right : left);
      const events = [...await at(pair).getEvents(left), ...await at(pair + 1).getEvents(right)];
      assert.equal(events.length, 1);
    }));
    assert(firsts >= 0);
    // A rule over one actor that many read and few write: everybody goes through, and nobody on an old version.
    await at(0).append("rule", [event(1)], { expectedVersion: 0 });
    const decided = await Promise.allSettled(Array.from({ length: 30 }, async (_, index) => {
      for (;;) {
        const version = await at(index).getLatestVersion("rule");
        try {
          if (index % 10 === 9) {
            return void await at(index).append("rule", [event(index)], { expectedVersion: version });
          }
          const conditions = [{ actorId: "rule", version }];
          const decision = [event(version)];
          return void await at(index).append(`by-${index}`, decision, { expectedVersion: 0, conditions });
        } catch (error) {
          if (!(error instanceof VersionConflictError)) throw error;
        }
      }
    }));
    assert.deepEqual(decided.filter(({ status }) => status === "rejected"), []);
    let rule = 0;
    for await (const { actorId, version, data } of at(1).readAll()) {
      if (actorId === "rule") rule = version;
      else if (actorId.startsWith("by-")) {
        assert.equal(data, rule, `${actorId} was decided on another version`);
      }
    }
    assert.equal((await at(0).verify()).ok, true);
  } finally {
    for (const store of stores) await store.close();
  }
}

Deno.test("of two commits that depend on each other's actors exactly one is stored, on one server", async () => {
  await using server = await startNatsServer();
  await noWriteSkew([server.url, server.url], { retention: "forever" });
});

Deno.test("of two commits that depend on each other's actors exactly one is stored, on three servers", async () => {
  await using cluster = await startNatsCluster();
  await noWriteSkew(cluster.servers.map(({ url }) => url), { retention: "forever", replicas: 3 });
});

Deno.test("a commit that was lost on its way is a conflict once the actor of its condition has moved on, not an unknown outcome", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using near = await JetStreamEventStore.open(server.url);
  await near.append("read", [event(1)], { expectedVersion: 0 });
  await using far = await JetStreamEventStore.open(proxy.url, { answerTimeout: 200, saveTimeout: 60_000 });
  for (const actorId of ["new", "known"]) {
    if (actorId === "known") await near.append("known", [event(1)], { expectedVersion: 0 });
    const version = await far.getLatestVersion("read");
    const expectedVersion = await far.getLatestVersion(actorId);
    const lost = Promise.withResolvers<void>();
    proxy.filter({
      toServer: ({ subject }) => {
        const isCommit = subject?.startsWith("aether.") === true;
        if (isCommit) lost.resolve();
        return isCommit;
      },
    });
    const saving = far.append(actorId, [event(2)], {
      expectedVersion,
      conditions: [{ actorId: "read", version }],
    });
    saving.catch(() => {}); // it is awaited below
    await lost.promise;
    await near.append("read", [event(2)], { expectedVersion: version });
    await sleep(300); // the try has no answer
    proxy.resume();
    await assert.rejects(saving, (error) => {
      assert(error instanceof VersionConflictError, String(error));
      assert.deepEqual([error.isCondition, error.currentVersion], [true, version + 1]);
      return true;
    });
    assert.equal(await near.getLatestVersion(actorId), expectedVersion);
  }
  assert.equal((await near.verify()).ok, true);
});

Deno.test("an append under conditions is stored if an actor is forgotten while another one is read", async () => {
  await using server = await startNatsServer();
  {
    await using other = await JetStreamEventStore.open(server.url);
    for (const actorId of ["own", "p", "q"]) await other.append(actorId, [event(1)], { expectedVersion: 0 });
    for (let index = 0; index < 60; index++) {
      await other.append(`actor-${index}`, [event(1)], { expectedVersion: 0 });
    }
  }
  await using store = await JetStreamEventStore.open(server.url, { cachedActors: 1 });
  const conditions = ["p", "q"].map((actorId) => ({ actorId, version: 1 }));
  for (let round = 1; round <= 10; round++) {
    await store.getLatestVersion("own");
    await store.getLatestVersion("p");
    // These are answered before the read of "q", which the append begins.
    const reads = Array.from({ length: 60 }, (_, index) => store.getLatestVersion(`actor-${index}`));
    const [stored] = await store.append("own", [event(round)], { expectedVersion: round, conditions });
    assert.equal(stored!.version, round + 1);
    await Promise.all(reads);
  }
});
