/** Planned moves: what the next owner of a shard reads before it has the shard, and after that. */

import assert from "node:assert/strict";
import { ActorClient, type EventStore } from "@flowmade-one/aether/actor";
import { type Bucket, Coordinator, InMemoryBucket } from "@flowmade-one/aether/cluster";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { connect } from "@nats-io/transport-node";
import { nextOwner } from "../../src/actor/planned_moves.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";
import { type Counted, counter } from "./counter.ts";
import { type Node, owns, startNode } from "./node.ts";

const SHARDS = 16;
const IDS: readonly string[] = Array.from({ length: 24 }, (_, index) => `counter-${index}`);

type Store = EventStore<Counted> & AsyncDisposable;

/** A store, and which histories are read over it. */
class Watched {
  /** From which versions each actor was read. */
  readonly reads = new Map<string, number[]>();
  /** What was read is handed over after this. */
  hold: Promise<void> = Promise.resolve();
  readonly store: Store;

  constructor(inner: Store) {
    const readEvents = async function* (
      this: Watched,
      ...[actorId, options]: Parameters<Store["readEvents"]>
    ): ReturnType<Store["readEvents"]> {
      const read = this.reads.get(actorId) ?? [];
      this.reads.set(actorId, [...read, options?.fromVersion ?? 1]);
      yield* inner.readEvents(actorId, options);
      await this.hold;
    }.bind(this);
    this.store = new Proxy(inner, {
      get: (target, key) => {
        const value = key === "readEvents" ? readEvents : Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }
}

/** The actors of a node. */
const actorsOf = ({ coordinator }: Node): string[] =>
  IDS.filter((id) => coordinator.shardFor(id) !== undefined);

/** Two hosts that own half of the shards each. */
async function startTwo(
  url: string,
  stores: readonly [Store, Store],
  options: { readonly maxActive?: number } = {},
): Promise<{ readonly nodes: readonly [Node, Node] } & AsyncDisposable> {
  const shared = { url, bucket: new InMemoryBucket(), actors: [counter] };
  const first = await startNode({ ...shared, name: "a", store: stores[0] });
  const second = await startNode({ ...shared, ...options, name: "b", store: stores[1] });
  await owns(first, SHARDS / 2);
  await owns(second, SHARDS / 2);
  const end = async (): Promise<void> => {
    await second[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
  };
  return { nodes: [first, second], [Symbol.asyncDispose]: end };
}

Deno.test("a planned move does not wait for histories: the next owner reads them before, and then what has come since", async (t) => {
  await using server = await startNatsServer();
  const folder = await Deno.makeTempDir();
  const stores: Record<string, () => Promise<Store>> = {
    "in memory": () => Promise.resolve(new InMemoryEventStore<Counted>({ onWarning: () => {} })),
    "Deno KV": () => DenoKvEventStore.open<Counted>(`${folder}/log.kv`),
    "JetStream": () => JetStreamEventStore.open<Counted>(server.url),
  };
  for (const [name, open] of Object.entries(stores)) {
    await t.step(name, async () => {
      await using store = await open();
      const [a, b] = [new Watched(store), new Watched(store)];
      await using two = await startTwo(server.url, [a.store, b.store]);
      const [first, second] = two.nodes;
      await using client = await ActorClient.connect(server.url, { actors: [counter] });
      const call = async (id: string): Promise<number> => (await client.get(counter, id).call(1)).version;
      for (let version = 1; version <= 4; version++) await Promise.all(IDS.map(call));

      // One gives its shards away.
      const given = actorsOf(first);
      first.coordinator.drain();
      await owns(second, SHARDS);
      const moved = given.filter((id) => b.reads.has(id)); // all of them, unless the machine is slow
      assert.ok(moved.length > 0);
      assert.deepEqual(await Promise.all(moved.map(call)), moved.map(() => 5));
      assert.deepEqual(moved.map((id) => b.reads.get(id)), moved.map(() => [1, 5]));

      // It takes half of them again, and the other one leaves, which answers calls while its actors are read.
      first.coordinator.drain(false);
      await owns(first, SHARDS / 2);
      await until("the other one has half", () => [...second.coordinator.shards].length === SHARDS / 2);
      const rest = actorsOf(second);
      a.reads.clear();
      const { promise, resolve } = Promise.withResolvers<void>();
      a.hold = promise;
      const leaving = second.coordinator.leave();
      await until("an actor is being read", () => rest.some((id) => a.reads.has(id)));
      const early = rest.filter((id) => a.reads.has(id));
      const versions = await Promise.all(early.map(call));
      a.hold = Promise.resolve();
      resolve();
      await leaving;
      await owns(first, SHARDS);
      assert.deepEqual(await Promise.all(early.map(call)), versions.map((version) => version + 1));
      for (const [index, id] of early.entries()) {
        const [from, since, ...more] = a.reads.get(id)!;
        assert.ok(
          from === 1 && since! >= versions[index]! && more.length === 0,
          `read from ${a.reads.get(id)}`,
        );
      }
    });
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a shard moves also if its next owner cannot read the actors, or has no room for them", async (t) => {
  await using server = await startNatsServer();
  const cases = { "cannot read": {}, "has no room": { maxActive: 1 } };
  for (const [name, options] of Object.entries(cases)) {
    await t.step(name, async () => {
      await using store = new InMemoryEventStore<Counted>({ onWarning: () => {} });
      const watched = new Watched(store);
      await using two = await startTwo(server.url, [store, watched.store], options);
      const [first, second] = two.nodes;
      await using client = await ActorClient.connect(server.url, { actors: [counter] });
      const call = async (id: string): Promise<number> => (await client.get(counter, id).call(1)).version;
      await Promise.all(IDS.map(call));
      const moved = actorsOf(first);
      const { promise, resolve } = Promise.withResolvers<void>();
      watched.hold = promise;
      first.coordinator.drain();
      await owns(second, SHARDS);
      assert.equal(moved.some((id) => watched.reads.has(id)), name === "cannot read");
      watched.hold = Promise.resolve();
      assert.deepEqual(new Set(await Promise.all(IDS.map(call))), new Set([2]));
      resolve();
    });
  }
});

Deno.test("announcements of moves that cannot be read, name other actors, or too many, harm no host", async () => {
  await using server = await startNatsServer();
  await using store = new InMemoryEventStore<Counted>({ onWarning: () => {} });
  const watched = new Watched(store);
  const connection = await connect({ servers: server.url });
  await using node = await startNode({
    url: server.url,
    bucket: new InMemoryBucket(),
    name: "a b",
    store: watched.store,
    actors: [counter],
  });
  await owns(node, SHARDS);
  const announce = (text: string): Promise<{ readonly data: Uint8Array }> =>
    connection.request("aether.actors.default.node.a=20b", text, { timeout: 10_000 });
  const many = Array.from({ length: 2_000 }, (_, index) => `counter-${index}`);
  for (const ids of [[], ["other-1", "counter", "unknown"], many]) {
    assert.equal(
      new TextDecoder().decode((await announce(JSON.stringify({ preload: ids }))).data),
      '{"ok":null}',
    );
  }
  assert.equal(watched.reads.size, 500);
  for (const text of ["", "no JSON", "null", "7", '{"preload":1}', '{"preload":[1]}', '{"preload":[""]}']) {
    connection.publish("aether.actors.default.node.a=20b", text, { reply: "nowhere" });
  }
  connection.publish("aether.actors.default.node.a=20b", "{}");
  await connection.flush();
  assert.deepEqual(await node.host.client.get(counter, "counter-1").call(1), { version: 1, state: 1 });
  await connection.close();
});

Deno.test("the next owner is the node that gets the shard, when a node drains, leaves, or joins", async () => {
  const bucket: Bucket = new InMemoryBucket();
  const join = (name: string, weight = 1): Promise<Coordinator> =>
    Coordinator.join(bucket, { name, weight, shardCount: SHARDS, ttl: 5_000 });
  const [a, b, c] = [await join("a"), await join("b", 2), await join("c")];
  const guesses = new Map<number, string | undefined>();
  const following = [a, b, c].map(async (coordinator) => {
    for await (const { type, shard } of coordinator.shardChanges()) {
      if (type === "lost") guesses.set(shard.id, nextOwner(coordinator, shard.id)?.name);
    }
  });
  const count = ({ shards }: Coordinator): number => [...shards].length;
  const haveAll = (...nodes: Coordinator[]): Promise<void> =>
    until("all shards are owned", () =>
      nodes.every((node) => count(node) > 0) &&
      nodes.reduce((sum, node) => sum + count(node), 0) === SHARDS);
  const check = (): void => {
    assert.ok(guesses.size > 0);
    for (const [shard, name] of guesses) assert.equal(c.shardOwners()[shard]?.name, name, `shard ${shard}`);
    guesses.clear();
  };
  await haveAll(a, b, c);
  guesses.clear();
  a.drain();
  await haveAll(b, c);
  await until("the drained node has none", () => count(a) === 0);
  check();
  a.drain(false);
  await haveAll(a, b, c);
  check();
  await b.leave();
  await haveAll(a, c);
  check();
  await a.leave();
  await haveAll(c);
  check();
  assert.equal(nextOwner(c, 0), undefined);
  await c.leave();
  await Promise.all(following);
});
