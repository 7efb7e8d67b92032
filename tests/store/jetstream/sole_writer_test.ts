/** A store that has written all of its log asks nothing before the first save of an actor, and no other store does so. */

import assert from "node:assert/strict";
import { DamagedHistoryError, JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import type { Layout } from "../../../src/store/jetstream/format/layout.ts";
import { HashSet } from "../../../src/store/jetstream/write/hash_set.ts";
import { NEW_HEAD } from "../../../src/store/jetstream/write/head.ts";
import { KnownActor } from "../../../src/store/jetstream/write/known_actor.ts";
import { SoleWriter } from "../../../src/store/jetstream/write/sole_writer.ts";
import { Write } from "../../../src/store/jetstream/write/write.ts";
import { Commit, CommitPart, NO_CONDITIONS } from "../../../src/store/commit.ts";
import { type NatsServer, startNatsCluster, startNatsServer } from "../../support/nats_server.ts";
import { flip, streamFiles } from "./stream_files.ts";
import { client } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

/** Counts what is asked of a stream, until it is disposed of. */
async function asking(url: string): Promise<AsyncDisposable & { count(): Promise<number> }> {
  const observer = await client(url);
  let asked = 0;
  for (const operation of ["DIRECT.GET", "STREAM.MSG.GET"]) {
    observer.connection.subscribe(`$JS.API.${operation}.aether_default`, { callback: () => void asked++ });
  }
  await observer.connection.flush();
  return {
    async count(): Promise<number> {
      await observer.connection.flush();
      const count = asked;
      asked = 0;
      return count;
    },
    [Symbol.asyncDispose]: () => observer[Symbol.asyncDispose](),
  };
}

/** Changes the only event of an actor while the server is down. */
async function damage(server: NatsServer, marker: string): Promise<void> {
  await server.shutdown();
  const { blocks } = await streamFiles(server, "aether_default");
  await flip(blocks[0]!, marker);
  await server.restart();
}

function isDamaged(error: unknown): boolean {
  return error instanceof DamagedHistoryError && error.actorId === "order";
}

/**
 * A store that has been idle for a second asks again. So what is asked of one that has not is tried again, if that took so
 * long because the machine stood still.
 *
 * @param asksNothing Is given a name that was not used before.
 */
async function untilQuick(asksNothing: (name: string) => Promise<boolean>): Promise<void> {
  for (let round = 0;; round++) {
    const begun = performance.now();
    if (await asksNothing(`quick-${round}`)) return;
    assert(performance.now() - begun > 500 && round < 20, "it asks although it was not idle");
  }
}

async function assertAsksNothing(url: string, replicas: number): Promise<void> {
  await using store = await JetStreamEventStore.open(url, { replicas });
  await store.append("first", [event(0)], { expectedVersion: 0 });
  await using asked = await asking(url);
  let last = "";
  await untilQuick(async (name) => {
    await store.append(`warm-${name}`, [event(0)], { expectedVersion: 0 });
    await asked.count();
    const saves: Promise<unknown>[] = [];
    for (let index = 0; index < 50; index++) {
      saves.push(store.append(`${name}-new-${index}`, [event(index)], { expectedVersion: 0 }));
      saves.push(store.saveEvent({ actorId: `${name}-given-${index}`, version: 1, ...event(index) }));
    }
    await Promise.all(saves);
    await store.saveEvents(["a", "b"].map((id) => ({ actorId: `${name}-${id}`, version: 1, ...event(1) })));
    await store.append(`${name}-after`, [event(1)], { expectedVersion: 0 });
    last = `${name}-given-7`;
    return await asked.count() === 0;
  });
  // That an actor has messages is still found out.
  await assert.rejects(store.append(last, [event(1)], { expectedVersion: 0 }), { currentVersion: 1 });
  assert.equal((await store.verify()).ok, true);
}

Deno.test("a store that has written all of the log asks nothing before the first save of an actor", async () => {
  await using server = await startNatsServer();
  await assertAsksNothing(server.url, 1);
});

Deno.test("a store that has written all of a replicated log asks nothing before the first save of an actor", async () => {
  await using cluster = await startNatsCluster();
  await assertAsksNothing(cluster.url, 3);
});

Deno.test("a store asks again as soon as another one may have written, so that no damaged actor begins a second time", async () => {
  for (const seesGap of [true, false]) {
    await using server = await startNatsServer();
    await using store = await JetStreamEventStore.open(server.url);
    await store.append("own", [event(0)], { expectedVersion: 0 });
    {
      await using other = await JetStreamEventStore.open(server.url);
      await other.append("order", [event("marker-")], { expectedVersion: 0 });
    }
    if (seesGap) await store.append("own", [event(0)], { expectedVersion: 1 });
    await damage(server, "marker-");
    await assert.rejects(store.append("order", [event(1)], { expectedVersion: 0 }), isDamaged);
    await store.append("new", [event(1)], { expectedVersion: 0 });
    await assert.rejects(store.append("order", [event(1)], { expectedVersion: 0 }), isDamaged);
    assert.equal((await store.verify()).events, 2 + (seesGap ? 1 : 0));
  }
});

Deno.test("a store asks again for an actor of its own that it has forgotten, and when it has been idle", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { cachedActors: 1 });
  await store.append("order", [event("marker-")], { expectedVersion: 0 });
  for (let index = 0; index < 5; index++) {
    await store.append(`other-${index}`, [event(index)], { expectedVersion: 0 });
  }
  await damage(server, "marker-");
  await store.append("other-4", [event(1)], { expectedVersion: 1 });
  await assert.rejects(store.append("order", [event(1)], { expectedVersion: 0 }), isDamaged);
  await using asked = await asking(server.url);
  await untilQuick(async (name) => {
    await store.append(`warm-${name}`, [event(1)], { expectedVersion: 0 });
    await asked.count();
    await store.append(name, [event(1)], { expectedVersion: 0 });
    return await asked.count() === 0;
  });
  await new Promise((resolve) => setTimeout(resolve, 1_050));
  await store.append("late", [event(1)], { expectedVersion: 0 });
  assert(await asked.count() > 0);
});

Deno.test("the first saves of a store that was just opened read no heads one by one", async () => {
  await using server = await startNatsServer();
  {
    await using other = await JetStreamEventStore.open(server.url);
    await other.append("order", [event(0)], { expectedVersion: 0 });
  }
  await using asked = await asking(server.url);
  await using store = await JetStreamEventStore.open(server.url);
  await asked.count();
  const saves = Array.from({ length: 100 }, (_, index) => {
    return store.append(`new-${index}`, [event(index)], { expectedVersion: 0 });
  });
  await Promise.all(saves);
  const count = await asked.count();
  assert(count > 0 && count < 10, `${count}`);
  await assert.rejects(store.append("order", [event(1)], { expectedVersion: 0 }), { currentVersion: 1 });
});

/** A write of one event of each actor, whose actors are known. */
function writeTo(...actors: KnownActor[]): Write {
  const parts = actors.map(({ actorId }) => new CommitPart(actorId, [], "any"));
  const commit = new Commit(parts, undefined, false, undefined, NO_CONDITIONS);
  const layout = { subject: (actorId: string) => actorId } as Layout;
  const write = new Write("id", commit, actors.map(() => "[]"), layout, Infinity, () => {});
  for (const [index, part] of write.parts.entries()) part.actor = actors[index];
  return write;
}

Deno.test("SoleWriter knows what has messages while sequences are consecutive, and for a second", () => {
  const sole = new SoleWriter(3);
  const [a, b, c, d, e] = Array.from("abcde", (name, index) => new KnownActor(name, index + 1));
  assert.equal(sole.hasNone(a!, 0), false);
  sole.stored(writeTo(a!), 1, 100);
  sole.stored(writeTo(b!, c!), 2, 200);
  assert.deepEqual([a, b, c, d].map((actor) => sole.hasNone(actor!, 1_199)), [false, false, false, true]);
  assert.equal(sole.hasNone(d!, 1_200), false);
  sole.onDisconnect();
  assert.equal(sole.hasNone(d!, 1_100), false);
  const again = writeTo(a!);
  again.parts[0]!.head = { ...NEW_HEAD, sequence: 1 };
  sole.stored(again, 4, 300);
  assert.equal(sole.hasNone(d!, 1_299), true);
  // With more actors than it remembers, it knows nothing.
  sole.stored(writeTo(d!), 5, 300);
  assert.equal(sole.hasNone(e!, 301), false);

  for (const sequence of [1, 3, 4]) {
    const gapped = new SoleWriter();
    gapped.stored(writeTo(a!), 1, 100);
    gapped.stored(writeTo(b!), sequence, 100);
    gapped.stored(writeTo(b!), 2, 100);
    assert.equal(gapped.hasNone(c!, 101), false);
  }
  const late = new SoleWriter();
  late.stored(writeTo(a!), 2, 100);
  assert.equal(late.hasNone(c!, 101), false);
});

Deno.test("HashSet has what was added, and nothing else", () => {
  const set = new HashSet();
  const expected = new Set<number>();
  let hash = 0;
  for (let count = 0; count < 20_000; count++) {
    hash = Math.imul(hash + 12_345, 1_103_515_245) ^ (count & 1 ? -1 : 0);
    if (count % 3 === 0) {
      set.add(hash);
      expected.add(hash);
    }
    assert.equal(set.has(hash), expected.has(hash));
  }
  for (const hash of [-1, 2 ** 31 - 1, -(2 ** 31)]) {
    set.add(hash);
    expected.add(hash);
    assert(set.has(hash));
  }
  for (const hash of expected) assert(set.has(hash));
  assert.equal(set.size, expected.size);
  set.add(0);
  assert(set.has(0));
  set.clear();
  assert.equal(set.size, 0);
  assert.equal(set.has(-1) || set.has(0), false);
});
