/** Reads that wait for a server which stands still: an abort and close() end them at once, and leave nothing behind. */

import assert from "node:assert/strict";
import { InMemoryCheckpoints, type Projection, projectOnce, waitFor } from "@flowmade-one/aether";
import { execute, JetStreamEventStore, replay, StoreClosedError } from "@flowmade-one/aether/jetstream";
import { connectTo } from "../../../src/nats/connect.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { soon } from "../../support/running_time.ts";
import { sleep } from "./support.ts";

/** Far below the time that an answer may take, which is five seconds. */
const AT_ONCE = 2_500;

type Read = (store: JetStreamEventStore, signal?: AbortSignal) => Promise<unknown>;

function read(begin: (store: JetStreamEventStore, signal?: AbortSignal) => AsyncIterable<unknown>): Read {
  return (store, signal) => Array.fromAsync(begin(store, signal));
}

const options = (signal: AbortSignal | undefined): { signal?: AbortSignal } => (signal ? { signal } : {});

const iterations: Readonly<Record<string, Read>> = {
  readAll: read((store, signal) => store.readAll(options(signal))),
  "readAll, filtered": read((store, signal) => store.readAll({ ...options(signal), actorPrefix: "a" })),
  readEvents: read((store, signal) => store.readEvents("a", options(signal))),
  "readEvents backward": read((store, signal) =>
    store.readEvents("a", { ...options(signal), direction: "backward" })
  ),
  listActors: read((store, signal) => store.listActors(options(signal))),
  verify: (store, signal) => store.verify(options(signal)),
};

const counter = {
  initialState: (): number => 0,
  evolve: (count: number): number => count + 1,
  decide: (): readonly { eventType: string; data: null }[] => [{ eventType: "Counted", data: null }],
  snapshot: { kind: "count", schemaVersion: 1 },
};

const newProjection = (): Projection => ({
  name: "counts",
  checkpoints: new InMemoryCheckpoints(),
  handle: (): void => {},
});

/** What is built on several calls of the store. */
const folds = (position: string): Readonly<Record<string, Read>> => ({
  replay: (store, signal) => replay(store, "a", counter, options(signal)),
  execute: (store, signal) => execute(store, "a", counter, "count", options(signal)),
  waitFor: (store, signal) => waitFor(store, newProjection(), position, options(signal)),
  projectOnce: (store, signal) => projectOnce(store, newProjection(), options(signal)),
});

const reads: Readonly<Record<string, Read>> = {
  ...iterations,
  getEvents: (store) => store.getEvents("a"),
  getLatestVersion: (store) => store.getLatestVersion("b"),
  getLastPosition: (store) => store.getLastPosition(),
  diagnose: (store) => store.diagnose(),
  saveSnapshot: (store) =>
    store.saveSnapshot({ actorId: "a", kind: "k", schemaVersion: 1, version: 1, state: 1 }),
  getLatestSnapshot: (store) => store.getLatestSnapshot("a", "k"),
};

async function outcome(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(() => "an answer", (error) => error);
}

/** The outcomes of reads, of which one that takes long is "late". */
async function atOnce(outcomes: readonly Promise<unknown>[]): Promise<unknown[]> {
  return await Promise.all(outcomes.map((promise) => soon(promise, AT_ONCE)));
}

async function fill(store: JetStreamEventStore): Promise<void> {
  const data = "x".repeat(1_000);
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from("abcdefgh", async (actorId) => {
      await store.append(actorId, [{ eventType: "T", data }], { expectedVersion: round });
    }));
  }
}

Deno.test("an abort ends every read of a silent server at once with the signal's reason", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  await fill(store);
  const abortable = { ...iterations, ...folds((await store.getLastPosition())!) };
  await server.suspend();
  try {
    const abort = new AbortController();
    const outcomes = Object.values(abortable).map((begin) => outcome(begin(store, abort.signal)));
    const subscription = store.subscribe({ signal: abort.signal });
    const ready = outcome(subscription.ready);
    const followed = outcome(Array.fromAsync(subscription));
    await sleep(300);
    const reason = new Error("enough");
    abort.abort(reason);
    for (const [index, result] of (await atOnce([...outcomes, ready, followed])).entries()) {
      assert.equal(result, reason, [...Object.keys(abortable), "ready", "subscribe"][index]);
    }
  } finally {
    server.resume();
  }
});

for (const whose of ["its own", "a shared"]) {
  Deno.test(`close() ends every read of a silent server at once, over ${whose} connection`, async () => {
    await using server = await startNatsServer();
    const shared = await connectTo(server.url);
    const store = await JetStreamEventStore.open(whose === "its own" ? server.url : shared);
    await fill(store);
    await server.suspend();
    try {
      const outcomes = Object.values(reads).map((begin) => outcome(begin(store)));
      const followed = outcome(Array.fromAsync(store.subscribe()));
      await sleep(300);
      const closed = outcome(store.close());
      const results = await atOnce([...outcomes, followed, closed]);
      assert.equal(results.pop(), "an answer", "close()");
      assert.equal(results.pop(), "an answer", "subscribe");
      for (const [index, result] of results.entries()) {
        assert(
          result instanceof StoreClosedError,
          `${Object.keys(reads)[index]}: ${result instanceof Error ? result.stack : String(result)}`,
        );
      }
    } finally {
      server.resume();
      await shared.close();
    }
  });
}

Deno.test("close() ends reads that wait for a server that is unavailable, and saves within their time", async () => {
  await using server = await startNatsServer();
  const store = await JetStreamEventStore.open(server.url, { saveTimeout: 1_000 });
  await fill(store);
  await server.kill();
  await sleep(100);
  const outcomes = Object.values(reads).map((begin) => outcome(begin(store)));
  const save = outcome(store.append("a", [{ eventType: "T", data: 1 }], { expectedVersion: 20 }));
  await sleep(100);
  const closed = outcome(store.close());
  const results = await atOnce([...outcomes, closed, save]);
  assert(results.pop() instanceof Error, "the save");
  assert.equal(results.pop(), "an answer", "close()");
  for (const [index, result] of results.entries()) {
    assert(result instanceof StoreClosedError, `${Object.keys(reads)[index]}: ${String(result)}`);
  }
});
