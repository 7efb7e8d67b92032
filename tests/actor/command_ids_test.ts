/** The ids of commands behind a snapshot: found without reading what the snapshot replaced. */

import assert from "node:assert/strict";
import { ActorHost, defineActor, execute } from "@flowmade-one/aether/actor";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { type Counted, counter } from "./counter.ts";

const sums = defineActor("counter", {
  decider: { ...counter.decider, snapshot: { kind: "sum", schemaVersion: 1, every: 100 } },
  queries: counter.queries,
});
const ID = "counter-1";
type Store = InMemoryEventStore<Counted>;

/** A store that counts which events are read, and may show another position in the snapshots of ids. */
function watched(store: Store, position?: string): { readonly store: Store; readonly read: number[] } {
  const read: number[] = [];
  const watching = new Proxy(store, {
    get(target, name): unknown {
      if (name === "readEvents") {
        return async function* (...args: Parameters<Store["readEvents"]>): ReturnType<Store["readEvents"]> {
          for await (const event of target.readEvents(...args)) {
            read.push(event.version);
            yield event;
          }
        };
      }
      if (name === "getLatestSnapshot" && position !== undefined) {
        return async (actorId: string, kind: string): ReturnType<Store["getLatestSnapshot"]> => {
          const snapshot = await target.getLatestSnapshot(actorId, kind);
          return snapshot && kind !== "sum" ? { ...snapshot, position } : snapshot;
        };
      }
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { store: watching, read };
}

async function filled(store: Store, commands: number): Promise<void> {
  await using host = await ActorHost.start({ store, actors: [sums] });
  const actor = host.client.get(sums, ID);
  for (let number = 1; number <= commands; number++) await actor.call(1, { id: `command-${number}` });
}

Deno.test("after a load from a snapshot, the first command with an id reads few events, and a repetition is found", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await filled(store, 400);
  const { store: watching, read } = watched(store);
  await using host = await ActorHost.start({ store: watching, actors: [sums] });
  const actor = host.client.get(sums, ID);
  assert.equal((await actor.call(1, { id: "command-401" })).version, 401);
  assert.ok(read.length < 10, `${read.length} events were read`);
  assert.deepEqual(await actor.call(1, { id: "command-1" }), { version: 1, state: 1 });
  assert.deepEqual(await actor.call(1, { id: "command-400" }), { version: 400, state: 400 });
});

Deno.test("commands between the snapshots of the ids and of the state are found", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await filled(store, 100);
  for (let number = 101; number <= 250; number++) {
    await execute(store, ID, sums.decider, 1, { commandId: `command-${number}` });
  }
  assert.ok((await store.getLatestSnapshot(ID, "sum"))!.version > 100);
  const { store: watching, read } = watched(store);
  await using host = await ActorHost.start({ store: watching, actors: [sums] });
  const actor = host.client.get(sums, ID);
  for (const number of [1, 100, 101, 200, 250]) {
    assert.deepEqual(await actor.call(1, { id: `command-${number}` }), { version: number, state: number });
  }
  assert.ok(read.length > 0);
});

Deno.test("the ids of a log that was restored to an earlier state do not count", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await filled(store, 100);
  await store.saveSnapshot({
    actorId: ID,
    kind: "aether.commands",
    schemaVersion: 1,
    version: 100,
    state: { ids: ["lost/1"], versions: [90] },
  });
  const { store: restored } = watched(store, "another position");
  await using host = await ActorHost.start({ store: restored, actors: [sums] });
  const actor = host.client.get(sums, ID);
  assert.equal((await actor.call(1, { id: "lost" })).version, 101);
  assert.equal((await actor.call(1, { id: "command-100" })).version, 100);
});

Deno.test("a snapshot of ids that cannot be used is passed over", async () => {
  for (
    const state of [null, { ids: ["a/1"] }, { ids: [1], versions: [1] }, { ids: ["a/1"], versions: ["1"] }]
  ) {
    await using store = new InMemoryEventStore<Counted>();
    for (let number = 1; number <= 100; number++) {
      await execute(store, ID, sums.decider, 1, { commandId: `command-${number}` });
    }
    const ids = { actorId: ID, kind: "aether.commands", schemaVersion: 1, version: 100 };
    await store.saveSnapshot({ ...ids, state });
    await using host = await ActorHost.start({ store, actors: [sums] });
    assert.equal((await host.client.get(sums, ID).call(1, { id: "command-50" })).version, 50);
  }
});
