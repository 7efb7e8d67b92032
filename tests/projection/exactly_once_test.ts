/** Read models that commit together with the checkpoint: in Deno KV and in SQLite. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  DenoKvCheckpoints,
  HandlerError,
  InMemoryEventStore,
  InMemoryLeases,
  type KvTransaction,
  type Projection,
  ProjectionInUseError,
  projectOnce,
  runProjection,
  SqliteCheckpoints,
} from "../../mod.ts";
import { add, addUp, type Counted, kvPlace, sumsIn, sumsOf, until } from "./support.ts";

Deno.test("Deno KV: a handler that fails in the middle of its writes leaves none of them, and each event counts once", async () => {
  await using place = await kvPlace();
  const { store, checkpoints, kv } = place;
  let calls = 0;
  const projection: Projection<Counted, KvTransaction> = {
    name: "sums",
    checkpoints,
    failure: { firstDelay: 1, retries: 20 },
    handle: async (event, { transaction }) => {
      await addUp(transaction, event);
      transaction.set(["draft", event.id], true);
      if (++calls % 3 === 0) throw new Error("in the middle");
      transaction.delete(["draft", event.id]);
    },
  };
  await add(store, 60);
  await using run = runProjection(store, projection);
  await add(store, 20);
  await run.waitFor((await store.getLastPosition())!);
  assert.ok(calls > 80);
  assert.deepEqual(await sumsIn(kv), await sumsOf(store));
  assert.deepEqual(await Array.fromAsync(kv.list({ prefix: ["draft"] })), []);
});

Deno.test("Deno KV: what is too much for one operation is committed in several, and too much of one event is its failure", async () => {
  await using place = await kvPlace();
  const { store, checkpoints, kv } = place;
  await add(store, 30);
  await using run = runProjection(store, {
    name: "large",
    checkpoints,
    handle: ({ version, actorId }, { transaction }) => {
      for (let index = 0; index < 100; index++) {
        transaction.set(["large", actorId, version, index], "x".repeat(500));
      }
    },
  });
  await run.waitFor((await store.getLastPosition())!);
  assert.equal((await Array.fromAsync(kv.list({ prefix: ["large"] }))).length, 3000);
  await run.close();
  for (const [writes, unit] of [[1000, "writes"], [15, "bytes"]] as const) {
    await using tooMuch = runProjection(store, {
      name: `too much: ${unit}`,
      checkpoints,
      failure: { retries: 0 },
      handle: (_, { transaction }) => {
        for (let index = 0; index < writes; index++) {
          transaction.set(["much", index], "x".repeat(unit === "bytes" ? 30_000 : 1));
        }
      },
    });
    await assert.rejects(tooMuch.finished, (error: Error & { cause?: unknown }) => {
      const { cause } = error;
      return error.name === "ProjectionStoppedError" && cause instanceof HandlerError &&
        cause.reason === "transaction-too-large" && cause.message.includes(unit);
    });
  }
  assert.deepEqual(await Array.fromAsync(kv.list({ prefix: ["much"] })), []);
});

Deno.test("Deno KV: a handler that goes on after its time is over writes nothing any more", async () => {
  await using place = await kvPlace();
  const { store, checkpoints, kv } = place;
  await add(store, 1);
  const late = Promise.withResolvers<unknown>();
  await using run = runProjection(store, {
    name: "late",
    checkpoints,
    handlerTimeout: 20,
    failure: { retries: 0 },
    handle: async (_, context) => {
      const { transaction, signal } = context;
      transaction.set(["late"], "before");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      try {
        transaction.set(["late"], "after");
        late.resolve("written");
      } catch (error) {
        late.resolve(error);
      }
    },
  });
  await assert.rejects(run.finished, (error: Error) => (error.cause as Error).name === "HandlerError");
  assert.ok(await late.promise instanceof HandlerError);
  assert.equal((await kv.get(["late"])).value, null);
});

Deno.test("Deno KV: calls of projectOnce that overlap with each other and with a run count every event once", async () => {
  await using place = await kvPlace();
  const { store, checkpoints, kv, file } = place;
  using elsewhere = await Deno.openKv(file);
  await using others = await DenoKvCheckpoints.open(elsewhere);
  const sums = (own: DenoKvCheckpoints): Projection<Counted, KvTransaction> => ({
    name: "sums",
    checkpoints: own,
    checkpointEvents: 5,
    handle: async (event, { transaction }) => {
      await addUp(transaction, event);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 2));
    },
  });
  await add(store, 80);
  await using run = runProjection(store, sums(checkpoints));
  const calls = Array.from({ length: 6 }, async (_, index) => {
    for (let call = 0; call < 5; call++) {
      await projectOnce(store, sums(index % 2 ? checkpoints : others), { budgetMs: 30 });
    }
  });
  await Promise.all([...calls, add(store, 40)]);
  await run.waitFor((await store.getLastPosition())!, { timeout: 60_000 });
  await run.close();
  assert.deepEqual(await sumsIn(kv), await sumsOf(store));
});

Deno.test("SQLite: the read model and the checkpoint in one transaction, through failures and take-overs", async () => {
  const file = await Deno.makeTempFile({ suffix: ".sqlite3" });
  try {
    using database = new DatabaseSync(file);
    using second = new DatabaseSync(file);
    database.exec(
      "CREATE TABLE sums (actor TEXT PRIMARY KEY, total INTEGER NOT NULL, events INTEGER NOT NULL)",
    );
    await using store = new InMemoryEventStore<Counted>();
    let calls = 0;
    const sums = (connection: DatabaseSync): Projection<Counted, DatabaseSync> => ({
      name: "sums",
      checkpoints: new SqliteCheckpoints(connection),
      failure: { firstDelay: 1, retries: 20 },
      handle: ({ actorId, data }, { transaction }) => {
        transaction
          .prepare(
            "INSERT INTO sums VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET total = total + excluded.total, events = events + 1",
          )
          .run(actorId, data.by);
        if (++calls % 4 === 0) throw new Error("after the write");
      },
    });
    const rows = (): unknown =>
      second.prepare("SELECT * FROM sums ORDER BY actor").all().map((row) => ({ ...row }));
    const expected = async (): Promise<unknown> =>
      Array.from(
        await sumsOf(store),
        ([actor, { sum, versions }]) => ({ actor, total: sum, events: versions.length }),
      )
        .sort((a, b) => a.actor < b.actor ? -1 : 1);

    await add(store, 30);
    await using leases = new InMemoryLeases();
    {
      await using run = runProjection(store, sums(database), { leases });
      await using waiting = runProjection(store, sums(second), { leases });
      await run.waitFor((await store.getLastPosition())!);
      assert.equal(waiting.state, "waiting");
      assert.deepEqual(rows(), await expected());
      await run.close();
      await add(store, 20);
      await waiting.waitFor((await store.getLastPosition())!);
      assert.deepEqual(rows(), await expected());
    }
    // SQLite makes a connection wait without giving way to the other one of this process, so they must not wait.
    const quiet = { onWarning: () => {} };
    // Without leases whoever comes last goes on, and the other finds out before it can write anything.
    await using first = runProjection(store, sums(database), quiet);
    await until("the first one works", () => first.state === "live");
    await using last = runProjection(store, sums(second), quiet);
    await until("the last one works", () => last.state === "live");
    await add(store, 20);
    await assert.rejects(first.finished, ProjectionInUseError);
    await last.waitFor((await store.getLastPosition())!);
    assert.deepEqual(rows(), await expected());
  } finally {
    await Deno.remove(file);
  }
});
