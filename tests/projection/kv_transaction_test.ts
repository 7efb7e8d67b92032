/** What a handler writes to Deno KV, against what Deno KV itself takes. */

import assert from "node:assert/strict";
import {
  type DenoKvCheckpoints,
  type EventStore,
  HandlerError,
  InMemoryEventStore,
  type KvTransaction,
  listParked,
  projectOnce,
  retryParked,
  runProjection,
} from "../../mod.ts";
import { KvScope, KvWrites } from "../../src/projection/kv_transaction.ts";
import { add, type Counted, kvPlace, patient, sumsOf, until } from "./support.ts";

const quiet = { onWarning: () => {} };

const KEYS: Record<string, Deno.KvKey> = {
  "the longest text": ["x".repeat(2046)],
  "a text that is too long": ["x".repeat(2047)],
  "text of two bytes a character": ["\u00e9".repeat(1023)],
  "text of two bytes a character, too long": ["\u00e9".repeat(1024)],
  "zeros, which count twice": ["\0".repeat(1023)],
  "zeros, too many": ["\0".repeat(1024)],
  "the most bytes": [new Uint8Array(2046).fill(1)],
  "too many bytes": [new Uint8Array(2047).fill(1)],
  "zero bytes, which count twice": [new Uint8Array(1023)],
  "zero bytes, too many": [new Uint8Array(1024)],
  "many numbers": Array.from({ length: 227 }, (_, index) => index),
  "too many numbers": Array.from({ length: 228 }, (_, index) => index),
  "bigints": ["x", 0n, -1n, 2n ** 64n, 2n ** 2039n],
  "a bigint that is too large": [2n ** 2040n],
  "no part": [],
  "a part that is no part": ["x", { a: 1 } as unknown as string],
  "a part that is undefined": ["x", undefined as unknown as string],
};

const VALUES: Record<string, unknown> = {
  "the longest ASCII text": "x".repeat(65_530),
  "ASCII text that is too long": "x".repeat(65_531),
  "other text": "\u0436".repeat(32_765),
  "other text, too long": "\u0436".repeat(32_767),
  "the most bytes": new Uint8Array(65_536),
  "too many bytes": new Uint8Array(65_537),
  "many small numbers": Array.from({ length: 18_445 }, (_, index) => index),
  "too many small numbers": Array.from({ length: 18_446 }, (_, index) => index),
  "many objects": Array.from({ length: 4_372 }, (_, index) => ({ a: index, b: "x" })),
  "too many objects": Array.from({ length: 4_373 }, (_, index) => ({ a: index, b: "x" })),
  "a function": () => 1,
  "a symbol within": { a: Symbol("x") },
  "a counter": new Deno.KvU64(7n),
  "null": null,
  "undefined": undefined,
};

Deno.test("Deno KV: a handler's transaction takes the keys and values that Deno KV takes, and no others", async () => {
  using kv = await Deno.openKv(":memory:");
  const sample = async (what: string, key: Deno.KvKey, value: unknown): Promise<void> => {
    const scope = new KvScope(kv, new KvWrites(), []);
    let expected = true;
    try {
      if (value === undefined) throw new TypeError("Deno KV stores it; a transaction reads it as no value");
      await kv.set(key, value);
    } catch {
      expected = false;
    }
    let error: unknown;
    try {
      scope.set(key, value);
    } catch (thrown) {
      error = thrown;
    }
    assert.equal(error === undefined, expected, `${what}: ${error}`);
    if (expected) return assert.deepEqual(await scope.get(key), (await kv.get(key)).value, what);
    assert.match((error as HandlerError).reason, /^transaction-(refused|too-large)$/, what);
  };
  for (const [what, key] of Object.entries(KEYS)) {
    await sample(what, key, 1);
    const scope = new KvScope(kv, new KvWrites(), []);
    const deleted = await kv.delete(key).then(() => true, () => false);
    if (deleted) scope.delete(key);
    else assert.throws(() => scope.delete(key), HandlerError, what);
  }
  for (const [what, value] of Object.entries(VALUES)) await sample(what, ["key"], value);
});

/** Handles every event, one of them wrongly. */
async function once(
  checkpoints: DenoKvCheckpoints,
  store: EventStore<Counted>,
  wrong: (transaction: KvTransaction) => unknown,
): Promise<number> {
  let calls = 0;
  await projectOnce<Counted, KvTransaction>(store, {
    name: "p",
    checkpoints,
    failure: { retries: 1, firstDelay: 1, then: "park", laterEvents: "go-on" },
    handle: async ({ actorId }, { transaction }) => {
      transaction.set(["seen", actorId], true);
      if (actorId !== "b") return;
      calls++;
      await wrong(transaction);
    },
  }, quiet);
  return calls;
}

Deno.test("Deno KV: what a transaction does not take is the handler's failure, after the tries of its policy", async () => {
  const wrong: Record<string, (transaction: KvTransaction) => unknown> = {
    "a long key": (transaction) => transaction.set(["x".repeat(3_000)], 1),
    "a long key that is deleted": (transaction) => transaction.delete(["x".repeat(3_000)]),
    "a long key that is read": (transaction) => transaction.get(["x".repeat(3_000)]),
    "a large value": (transaction) => transaction.set(["x"], "x".repeat(70_000)),
    "a function": (transaction) => transaction.set(["x"], { run: () => 1 }),
    "an event of the store": (transaction) => transaction.delete(["aether", "default", "event", "a", 1]),
    "the log": (transaction) => transaction.set(["aether", "default", "log"], 1),
    "a checkpoint": (transaction) => transaction.set(["aether", "default", "projection", "p", 1], 1),
    "another namespace": (transaction) => transaction.delete(["aether", "other", "event", "a", 1]),
  };
  for (const [what, write] of Object.entries(wrong)) {
    await using place = await kvPlace();
    const { store, checkpoints, kv } = place;
    await add(store, 3);
    assert.equal(await once(checkpoints, store, write), 2, what);
    const [entry, ...others] = await listParked({ name: "p", checkpoints });
    assert.deepEqual([entry?.actorId, entry?.attempts, others.length], ["b", 2, 0], what);
    assert.equal((await kv.get(["seen", "b"])).value, null, what);
    assert.equal((await kv.get(["seen", "c"])).value, true, what);
    assert.ok((await store.verify()).ok, what);
  }
});

/**
 * A value that is larger in the database than it is by its measure here: bytes within an object are written in
 * another way, which no check but Deno KV's own knows exactly.
 */
const MARGINAL = { bytes: new Uint8Array(65_519) };

Deno.test("Deno KV: what is refused at the commit alone is the failure of its event, and no other event's", async () => {
  await using place = await kvPlace();
  const { store, checkpoints, kv } = place;
  await assert.rejects(kv.set(["x"], MARGINAL), /too large/);
  new KvScope(kv, new KvWrites(), []).set(["x"], MARGINAL); // is not noticed
  await add(store, 9);
  let calls = 0;
  const projection = (value: unknown) => ({
    name: "sums",
    checkpoints,
    failure: { retries: 1, firstDelay: 1, then: "park", laterEvents: "wait" } as const,
    handle: async (
      { actorId, version }: { actorId: string; version: number },
      { transaction }: { transaction: KvTransaction },
    ) => {
      const count = await transaction.get<number>(["count", actorId]) ?? 0;
      transaction.set(["count", actorId], count + 1);
      if (actorId !== "b" || version !== 2) return;
      calls++;
      transaction.set(["x"], value);
    },
  });
  await using run = runProjection(store, projection(MARGINAL), quiet);
  await until("it is parked", async () => (await listParked(projection(1))).length > 0);
  await run.waitFor((await add(store, 1, ["c"]))[0]!.position);
  assert.ok(calls <= 3, `${calls} calls`); // in the first one, it was not alone
  const [entry] = await listParked(projection(1));
  assert.deepEqual([entry?.actorId, entry?.eventVersion, entry?.attempts], ["b", 2, 2]);
  assert.match(entry!.error, /HandlerError.*too large/);
  assert.equal((await kv.get(["count", "b"])).value, 1);
  await run.close();
  await assert.rejects(retryParked(store, projection(MARGINAL), entry!.position), (error: Error) => {
    return error.cause instanceof HandlerError;
  });
  await retryParked(store, projection(1), entry!.position);
  for (const [actorId, { versions }] of await sumsOf(store)) {
    assert.equal((await kv.get(["count", actorId])).value, versions.length, actorId);
  }
});

Deno.test("Deno KV: a reaction of one event of 120 KB is recorded, next to writes of its handler", async () => {
  await using place = await kvPlace();
  const { checkpoints, kv } = place;
  await using store = new InMemoryEventStore();
  await store.append("a", [{ eventType: "E", data: null }], { expectedVersion: 0 });
  await projectOnce(store, {
    name: "p",
    checkpoints,
    failure: { retries: 0 },
    handle: {
      E: (_, { transaction }) => {
        for (let index = 0; index < 6; index++) transaction.set(["text", index], "x".repeat(65_000));
        return [{ actorId: "b", events: [{ eventType: "R", data: "x".repeat(120_000) }] }];
      },
    },
  }, { ...quiet, ...patient });
  assert.equal((await store.getEvents("b")).length, 1);
  assert.equal((await Array.fromAsync(kv.list({ prefix: ["text"] }))).length, 6);
});
