/** A store compared with its seal: every kind of change is named, in every place. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { SealFolder, sealOnce, verifySealedLog } from "../../src/evidence/mod.ts";
import { copyEvents, type EventStore, type StoredEvent } from "../../src/store/mod.ts";
import { DenoKvEventStore } from "../../src/store/deno_kv/mod.ts";
import { InMemoryEventStore } from "../../src/store/memory/mod.ts";
import { bodyOf, logIdOf, sealed } from "../support/kv_forgery.ts";
import { fill, sealFixture, shortly } from "./support.ts";

const COUNT = 400;

/** A new store with other events than the sealed one: a forged copy. */
async function forge(events: readonly StoredEvent[]): Promise<EventStore> {
  const store = new InMemoryEventStore();
  for (const event of events) await store.saveEvent(event);
  return store;
}

Deno.test("verifySealedLog() names what a forger changed, left out, added and reordered", async () => {
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const { signer, folder, key } = seal;
  await fill(store, COUNT);
  await sealOnce(store, folder, { signer });
  const events = await Array.fromAsync(store.readAll());
  const { verified, unsealed, ok } = await verifySealedLog(store, folder, { key });
  assert.deepEqual([ok, verified, unsealed], [true, COUNT, 0]);

  const name = ({ actorId, version }: StoredEvent): string => `${actorId}@${version}`;
  const at = (index: number): StoredEvent => events[index]!;
  // The last event of an actor before two of other actors can be moved behind them.
  const movable = (from: number): number =>
    events.findIndex(({ actorId }, index) =>
      index >= from && [1, 2].every((step) => events[index + step]?.actorId !== actorId)
    );
  for (const index of [0, 255, 256, COUNT - 60]) {
    const moved = movable(index);
    const swapped = [
      ...events.slice(0, moved),
      at(moved + 1),
      at(moved + 2),
      at(moved),
      ...events.slice(moved + 3),
    ];
    const last = events.findLast(({ actorId }) => actorId === at(index).actorId)!;
    const renamed = (change: object): StoredEvent[] => events.with(index, { ...at(index), ...change });
    const forgeries: [StoredEvent[], string[]][] = [
      [renamed({ data: { total: -1 } }), [`changed ${name(at(index))} data`]],
      [renamed({ metadata: { userId: "user-2" } }), [`changed ${name(at(index))} data`]],
      [renamed({ id: "another" }), [`changed ${name(at(index))} data`]],
      [renamed({ eventType: "OrderLost" }), [`changed ${name(at(index))} eventType`]],
      [renamed({ timestamp: "2020-01-01T00:00:00.000Z" }), [`changed ${name(at(index))} timestamp`]],
      [events.filter((event) => event !== at(index)), [`missing ${name(at(index))}`]],
      [
        events.filter((event) => ![at(index), last].includes(event)),
        [...new Set([at(index), last])].map((event) => `missing ${name(event)}`).sort(),
      ],
      [events.toSpliced(index, 0, { ...at(index), actorId: "intruder", id: "intruder" }), [
        "added intruder@" + at(index).version,
      ]],
      [swapped, [`reordered ${name(at(moved))}`]],
    ];
    for (const [forgery, expected] of forgeries) {
      await using forged = await forge(forgery);
      const { faults, ok } = await verifySealedLog(forged, folder, { key, copy: true });
      assert.equal(ok, false);
      assert.deepEqual(shortly(faults), expected, `at ${index}`);
    }
  }
});

Deno.test("verifySealedLog() accepts a true copy, and counts events that are newer than the seal", async () => {
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const { signer, folder, key } = seal;
  await fill(store, 50);
  await sealOnce(store, folder, { signer });
  await using copy = await DenoKvEventStore.open(":memory:");
  await copyEvents(store, copy);
  for (const target of [store, copy]) {
    await fill(target, 5);
    const { ok, verified, unsealed } = await verifySealedLog(target, folder, { key, copy: target === copy });
    assert.deepEqual([ok, verified, unsealed], [true, 50, 5]);
  }
});

Deno.test("verifySealedLog() reports how many events were compared, to the last", async () => {
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const { signer, folder, key } = seal;
  await fill(store, 1_200);
  await sealOnce(store, folder, { signer });
  await fill(store, 50, 1_200);
  const seen: number[] = [];
  const { ok } = await verifySealedLog(store, folder, {
    key,
    onProgress: ({ events }) => void seen.push(events),
  });
  assert.deepEqual([ok, seen[0], seen.at(-1)], [true, 1_000, 1_250]);
});

Deno.test("verifySealedLog() names a change within a database whose own checksums were forged too", async () => {
  await using seal = await sealFixture();
  const { signer, folder, key } = seal;
  const file = `${seal.path}.kv`;
  try {
    {
      await using store = await DenoKvEventStore.open(file);
      for (let actor = 0; actor < 5; actor++) {
        const events = [{ eventType: "Paid", data: { amount: 100 + actor } }, {
          eventType: "Sent",
          data: null,
        }];
        await store.append(`account-${actor}`, events, { expectedVersion: 0 });
      }
      await sealOnce(store, folder, { signer });
    }
    using database = new DatabaseSync(file);
    const rows = database.prepare("select k, v from kv").all() as { k: Uint8Array; v: Uint8Array }[];
    const kv = await Deno.openKv(file);
    const id = await logIdOf(kv);
    kv.close();
    let forged = 0;
    for (const { k, v } of rows) {
      if (!new TextDecoder().decode(v).includes('"amount":103')) continue;
      const value = sealed(id, bodyOf(v).replace('"amount":103', '"amount":999'));
      database.prepare("update kv set v = ? where k = ?").run(value, k);
      forged++;
    }
    assert(forged > 0);
    database.close();
    await using store = await DenoKvEventStore.open(file);
    assert.deepEqual((await store.verify()).faults, [], "the store itself notices nothing");
    const { faults } = await verifySealedLog(store, folder, { key });
    assert.deepEqual(shortly(faults), ["changed account-3@1 data"]);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("verifySealedLog() reports files of the seal that were changed, and compares what is left", async () => {
  await using store = new InMemoryEventStore();
  await using seal = await sealFixture();
  const { signer, folder, key, path } = seal;
  await fill(store, COUNT);
  await sealOnce(store, folder, { signer });
  const file = `${path}/tile/entries/000`;
  const bytes = await Deno.readFile(file);
  await Deno.writeFile(file, bytes.with(50, bytes[50]! ^ 1));
  const changed = await verifySealedLog(store, folder, { key });
  assert.deepEqual([shortly(changed.faults), changed.verified], [["tree tile/entries/000"], COUNT - 1]);
  await Deno.remove(file);
  const removed = await verifySealedLog(store, new SealFolder(path), { key });
  assert.deepEqual([shortly(removed.faults), removed.verified], [["tree tile/entries/000"], COUNT - 256]);
});

Deno.test("verifySealedLog() names the events of a commit that is damaged, and compares the rest", async () => {
  await using seal = await sealFixture();
  const { signer, folder, key } = seal;
  const file = `${seal.path}.kv`;
  try {
    {
      await using store = await DenoKvEventStore.open(file);
      for (let actor = 0; actor < 5; actor++) {
        await store.append(`account-${actor}`, [{ eventType: "Paid", data: { amount: 100 + actor } }], {
          expectedVersion: 0,
        });
      }
      await sealOnce(store, folder, { signer });
    }
    using database = new DatabaseSync(file);
    const rows = database.prepare("select k, v from kv").all() as { k: Uint8Array; v: Uint8Array }[];
    for (const { k, v } of rows) {
      if (!new TextDecoder().decode(v).includes('"amount":102')) continue;
      database.prepare("update kv set v = ? where k = ?").run(v.with(30, v[30]! ^ 1), k);
    }
    database.close();
    await using store = await DenoKvEventStore.open(file);
    const { faults, verified, ok } = await verifySealedLog(store, folder, { key });
    assert.deepEqual([ok, verified], [false, 4]);
    assert.deepEqual(faults.map(({ kind }) => kind).sort(), ["missing", "unreadable"]);
    assert.equal(faults.find(({ kind }) => kind === "missing")?.actorId, "account-2");
  } finally {
    await Deno.remove(file);
  }
});
