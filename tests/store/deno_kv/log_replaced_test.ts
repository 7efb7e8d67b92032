/** A database file, or a handle, that is not what it was when the store was opened. */

import assert from "node:assert/strict";
import {
  DenoKvEventStore,
  LogReplacedError,
  StoreClosedError,
  StoreOpenError,
} from "@flowmade-one/aether/deno-kv";
import { kvFolder } from "../../support/kv_file.ts";

const happened = [{ eventType: "Happened", data: null }];

for (const isMadeAgain of [false, true]) {
  const what = isMadeAgain ? "made again" : "not there any more";
  Deno.test(`a database file that was deleted and is ${what} gets no acknowledged event`, async () => {
    await using folder = await kvFolder();
    const { file } = folder;
    await using store = await DenoKvEventStore.open(file);
    const [known] = await store.append("known", happened, { expectedVersion: 0 });
    const subscription = store.subscribe({ after: known!.position });
    await subscription.ready;
    const next = subscription[Symbol.asyncIterator]().next();
    next.catch(() => {}); // it is awaited below
    for (const suffix of ["", "-wal", "-shm"]) await Deno.remove(file + suffix);
    const fresh = isMadeAgain ? await DenoKvEventStore.open(file) : undefined;
    const snapshot = { actorId: "known", kind: "state", schemaVersion: 1, version: 1, state: null };
    const calls: Record<string, () => Promise<unknown>> = {
      append: () => store.append("known", happened, { expectedVersion: 1 }),
      "append to a new actor": () => store.append("new", happened, { expectedVersion: 0 }),
      "a group of appends": async () => {
        const actors = Array.from({ length: 20 }, (_, index) => `actor-${index}`);
        const appends = actors.map((actor) => store.append(actor, happened, { expectedVersion: 0 }));
        const results = await Promise.allSettled(appends);
        assert(results.every(({ status }) => status === "rejected"));
        await appends[0];
      },
      takeOver: () => store.takeOver("known", 1),
      saveSnapshot: () => store.saveSnapshot(snapshot),
      getLatestSnapshot: () => store.getLatestSnapshot("known", "state"),
      getEvents: () => store.getEvents("known"),
      getLatestVersion: () => store.getLatestVersion("known"),
      readAll: () => Array.fromAsync(store.readAll()),
      getLastPosition: () => store.getLastPosition(),
      listActors: () => Array.fromAsync(store.listActors()),
      verify: () => store.verify(),
      subscribe: () => next,
    };
    for (const [name, call] of Object.entries(calls)) {
      await assert.rejects(call(), LogReplacedError, name);
    }
    await assert.rejects(store.getEvents("known"), /deleted, made again, or this is another file\. Restore/);
    assert.equal(await fresh?.getLastPosition(), undefined);
    await fresh?.close();
  });
}

Deno.test("a log that was deleted from an open database is reported as a log of that database", async () => {
  using kv = await Deno.openKv(":memory:");
  await using store = await DenoKvEventStore.open(kv);
  await store.append("known", happened, { expectedVersion: 0 });
  for await (const { key } of kv.list({ prefix: ["aether"] })) await kv.delete(key);
  await assert.rejects(store.append("known", happened, { expectedVersion: 1 }), (error) => {
    assert(error instanceof LogReplacedError);
    assert.match(
      error.message,
      /namespace "default" of the Deno KV database .* or this is another database\. Restore/,
    );
    return true;
  });
});

Deno.test("a database file that was moved is still the one that was opened when it comes back", async () => {
  await using folder = await kvFolder();
  await using store = await DenoKvEventStore.open(folder.file);
  await Deno.rename(folder.file, folder.file + "-moved");
  await Deno.rename(folder.file + "-moved", folder.file);
  await store.append("a", happened, { expectedVersion: 0 });
  assert.equal(await store.getLatestVersion("a"), 1);
});

Deno.test("a handle that cannot be read is refused by open() with what failed", async () => {
  using kv = await Deno.openKv(":memory:");
  const broken = new Proxy(kv, {
    get: (target, name) => {
      if (name === "getMany") return () => Promise.reject(new Error("KV Connect failed: status=503"));
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await assert.rejects(DenoKvEventStore.open(broken), (error) => {
    assert(error instanceof StoreOpenError);
    assert.match(error.message, /^Cannot open the Deno\.Kv handle: .*status=503/);
    return true;
  });
  const closed = await Deno.openKv(":memory:");
  closed.close();
  await assert.rejects(DenoKvEventStore.open(closed), /Cannot open the Deno\.Kv handle: .*closed/);
});

Deno.test("close() while the log is read ends the read with StoreClosedError at every moment", async () => {
  await using folder = await kvFolder();
  const data = "x".repeat(1_000);
  {
    await using store = await DenoKvEventStore.open(folder.file);
    for (let index = 0; index < 30; index++) {
      const events = Array.from({ length: 100 }, () => ({ eventType: "Happened", data }));
      await store.append(`actor-${index}`, events, { expectedVersion: 0 });
    }
  }
  let ended = 0;
  for (let round = 0; round < 20; round++) {
    const store = await DenoKvEventStore.open(folder.file);
    const reads = [
      Array.fromAsync(store.readAll()),
      Array.fromAsync(store.readEvents("actor-1")),
      Array.fromAsync(store.listActors()),
    ];
    await new Promise((resolve) => setTimeout(resolve, round / 2));
    const outcomes = Promise.allSettled(reads);
    await store.close();
    for (const outcome of await outcomes) {
      if (outcome.status === "fulfilled") continue;
      assert(outcome.reason instanceof StoreClosedError, String(outcome.reason));
      ended++;
    }
  }
  assert(ended > 0, "every read was over before the store was closed");
});
