/** Commits that depend on one another: given at once, they are stored in order, and many in one atomic operation. */

import assert from "node:assert/strict";
import {
  copyEvents,
  DenoKvEventStore,
  FencedError,
  InMemoryEventStore,
  type StoredEvent,
  VersionConflictError,
} from "../../../mod.ts";

const event = (data: unknown = 1): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

/** How many atomic operations have stored events. */
async function operations(kv: Deno.Kv): Promise<number> {
  return (await Array.fromAsync(kv.list({ prefix: ["aether", "default", "commit"] }))).length;
}

async function withStore(work: (store: DenoKvEventStore, kv: Deno.Kv) => Promise<void>): Promise<void> {
  using kv = await Deno.openKv(":memory:");
  await using store = await DenoKvEventStore.open(kv);
  await work(store, kv);
  const { ok, faults } = await store.verify();
  assert.deepEqual([ok, faults], [true, []]);
}

/** What readAll, readEvents and another store see of the log. */
async function assertReadable(
  store: DenoKvEventStore,
  kv: Deno.Kv,
  expected: readonly StoredEvent[],
): Promise<void> {
  assert.deepEqual(await Array.fromAsync(store.readAll()), expected);
  assert.deepEqual(await Array.fromAsync(store.readAll({ direction: "backward" })), expected.toReversed());
  await using other = await DenoKvEventStore.open(kv);
  for (const after of expected.filter((_, index) => index % 7 === 0).map(({ position }) => position)) {
    const rest = expected.filter(({ position }) => position > after);
    assert.deepEqual(await Array.fromAsync(other.readAll({ after })), rest);
  }
  for (const actorId of new Set(expected.map((event) => event.actorId))) {
    const own = expected.filter((event) => event.actorId === actorId);
    assert.deepEqual(await other.getEvents(actorId), own);
    assert.deepEqual(
      await Array.fromAsync(other.readEvents(actorId, { direction: "backward" })),
      own.toReversed(),
    );
    assert.equal(await other.getLatestVersion(actorId), own.at(-1)!.version);
  }
}

Deno.test("appends to one actor that are given at once are numbered in order, in few atomic operations", async () => {
  await withStore(async (store, kv) => {
    const saved = await Promise.all(
      Array.from({ length: 40 }, (_, index) => store.append("a", [event(index)], { expectedVersion: "any" })),
    );
    const events = saved.flat();
    assert.deepEqual(
      events.map(({ version, data }) => [version, data]),
      saved.map((_, index) => [index + 1, index]),
    );
    assert(await operations(kv) <= 2, `${await operations(kv)} operations`);
    await assertReadable(store, kv, events);
    const [next] = await store.append("a", [event()], { expectedVersion: 40 });
    await assertReadable(store, kv, [...events, next!]);
  });
});

Deno.test("saves that each depend on the one before are stored in order, in few atomic operations", async () => {
  await withStore(async (store, kv) => {
    const actors = ["a", "b", "c", "d", "e"];
    const saves: Promise<StoredEvent[]>[] = [];
    let behind: { actorId: string; version: number } | undefined;
    for (let round = 1; round <= 30; round++) {
      const inOrder = actors.toSorted((left, right) => (left > right ? 1 : -1) * (round % 2 ? 1 : -1));
      const events = inOrder.map((actorId) => ({ actorId, version: round, ...event(round) }));
      saves.push(store.saveEvents(events, { conditions: behind ? [behind] : [] }));
      behind = { actorId: inOrder.at(-1)!, version: round };
    }
    const events = (await Promise.all(saves)).flat();
    assert(await operations(kv) <= 3, `${await operations(kv)} operations`);
    assert.deepEqual(
      events.map(({ position }) => position),
      events.map(({ position }) => position).toSorted(),
    );
    await assertReadable(store, kv, events);
  });
});

Deno.test("what depends on a save that is refused is refused, and nothing of it is stored", async () => {
  await withStore(async (store, kv) => {
    const first = await store.append("a", [event()], { expectedVersion: 0 });
    const given = (
      actorId: string,
      version: number,
    ): { actorId: string; version: number; eventType: string; data: unknown } => ({
      actorId,
      version,
      ...event(),
    });
    const results = await Promise.allSettled([
      store.saveEvents([given("a", 2), given("b", 1)]),
      store.saveEvents([given("a", 1), given("c", 1)], { conditions: [{ actorId: "b", version: 1 }] }), // a is further
      store.saveEvents([given("d", 1)], { conditions: [{ actorId: "c", version: 1 }] }),
      store.saveEvents([given("e", 1)], { conditions: [{ actorId: "d", version: 1 }] }),
      store.saveEvents([given("f", 1)]),
    ]);
    assert.deepEqual(results.map(({ status }) => status), [
      "fulfilled",
      "rejected",
      "rejected",
      "rejected",
      "fulfilled",
    ]);
    for (const result of results.slice(1, 4)) {
      assert((result as PromiseRejectedResult).reason instanceof VersionConflictError);
    }
    const stored = (results.filter(({ status }) =>
      status === "fulfilled"
    ) as PromiseFulfilledResult<StoredEvent[]>[])
      .flatMap(({ value }) => value).sort((left, right) => left.position < right.position ? -1 : 1);
    await assertReadable(store, kv, [...first, ...stored]);
  });
});

Deno.test("of appends at one version that are given at once, one is stored, and the others see its version", async () => {
  await withStore(async (store) => {
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, (_, index) => store.append("a", [event(index)], { expectedVersion: 0 })),
    );
    assert.deepEqual(results.map(({ status }) => status), ["fulfilled", ...Array(4).fill("rejected")]);
    for (const result of results.slice(1)) {
      const { reason } = result as PromiseRejectedResult;
      assert(reason instanceof VersionConflictError);
      assert.equal(reason.currentVersion, 1);
    }
  });
});

Deno.test("an append that is aborted takes none of those behind it along", async () => {
  await withStore(async (store, kv) => {
    const controller = new AbortController();
    const saves = Array.from({ length: 6 }, (_, index) =>
      store.append("a", [event(index)], {
        expectedVersion: "any",
        ...(index === 2 && { signal: controller.signal }),
      }));
    controller.abort(new Error("no more"));
    const results = await Promise.allSettled(saves);
    assert.deepEqual(results.map(({ status }) => status), [
      "fulfilled",
      "fulfilled",
      "rejected",
      "fulfilled",
      "fulfilled",
      "fulfilled",
    ]);
    const events = await store.getEvents("a");
    assert.deepEqual(events.map(({ version, data }) => [version, data]), [[1, 0], [2, 1], [3, 3], [4, 4], [
      5,
      5,
    ]]);
    await assertReadable(store, kv, events);
  });
});

Deno.test("a takeOver among appends of its actor counts for those behind it", async () => {
  await withStore(async (store, kv) => {
    const results = await Promise.allSettled([
      store.append("a", [event(1)], { expectedVersion: "any" }),
      store.takeOver("a", 7),
      store.append("a", [event(2)], { expectedVersion: "any" }),
      store.append("a", [event(3)], { expectedVersion: "any", fencingToken: 7 }),
      store.takeOver("a", 9),
      store.append("b", [event(4)], { expectedVersion: 0, conditions: [{ actorId: "a", version: 2 }] }),
      store.append("a", [event(5)], { expectedVersion: "any", fencingToken: 9 }),
    ]);
    assert.deepEqual(results.map(({ status }) => status === "fulfilled"), [
      true,
      true,
      false,
      true,
      true,
      true,
      true,
    ]);
    assert((results[2] as PromiseRejectedResult).reason instanceof FencedError);
    assert.deepEqual((await store.getEvents("a")).map(({ data }) => data), [1, 3, 5]);
    await assertReadable(store, kv, await Array.fromAsync(store.readAll()));
  });
});

Deno.test("a store at each side of a database stores what depends on each other's actors in order", async () => {
  using kv = await Deno.openKv(":memory:");
  await using one = await DenoKvEventStore.open(kv);
  await using other = await DenoKvEventStore.open(kv);
  const saves: Promise<StoredEvent[]>[] = [];
  for (let index = 0; index < 60; index++) {
    const store = index % 3 === 0 ? other : one;
    saves.push(store.append(`a-${index % 4}`, [event(index), event(index)], { expectedVersion: "any" }));
  }
  await Promise.all(saves);
  const events = await Array.fromAsync(one.readAll());
  assert.equal(events.length, 120);
  assert.equal(new Set(events.map(({ actorId, version }) => `${actorId} ${version}`)).size, 120);
  await assertReadable(other, kv, events);
  assert.equal((await one.verify()).ok, true);
});

Deno.test("a copy of a log in which actors come again and again needs an atomic operation for many events", async () => {
  await using from = new InMemoryEventStore();
  for (let round = 1; round <= 25; round++) {
    for (const actorId of ["a", "b", "a", "c"]) {
      await from.append(actorId, [event("\u00e9".repeat(100))], { expectedVersion: "any" });
    }
  }
  await withStore(async (store, kv) => {
    assert.equal((await copyEvents(from, store)).copied, 100);
    assert(await operations(kv) <= 5, `${await operations(kv)} operations`);
    await assertReadable(store, kv, await Array.fromAsync(store.readAll()));
  });
});
