/** Retries of parked events while workers run: the handler is called once for each request, whoever is busy. */

import assert from "node:assert/strict";
import {
  CheckpointConflictError,
  type CheckpointStore,
  DenoKvCheckpoints,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidArgumentError,
  JetStreamCheckpoints,
  type KvTransaction,
  listParked,
  type Projection,
  retryParked,
  runProjection,
} from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { add, type Counted, until } from "./support.ts";

/** Two objects for the same checkpoints, as two processes have them. */
interface Pair extends AsyncDisposable {
  readonly own: CheckpointStore<unknown>;
  readonly other: CheckpointStore<unknown>;
}

const PAIRS: Readonly<Record<string, () => Promise<Pair>>> = {
  memory: () => {
    const own = new InMemoryCheckpoints();
    return Promise.resolve({ own, other: own, [Symbol.asyncDispose]: () => own.close() });
  },
  "Deno KV": async () => {
    const folder = await kvFolder();
    const [own, other] = [
      await DenoKvCheckpoints.open(folder.file),
      await DenoKvCheckpoints.open(folder.file),
    ];
    return {
      own,
      other,
      async [Symbol.asyncDispose](): Promise<void> {
        await Promise.all([own.close(), other.close()]);
        await folder[Symbol.asyncDispose]();
      },
    };
  },
  JetStream: async () => {
    const server = await startNatsServer();
    const own = await JetStreamCheckpoints.open(server.url);
    const other = await JetStreamCheckpoints.open(server.url);
    return {
      own,
      other,
      async [Symbol.asyncDispose](): Promise<void> {
        await Promise.all([own.close(), other.close()]);
        await server[Symbol.asyncDispose]();
      },
    };
  },
};

/** Appends to other actors until it is told to end. */
function traffic(store: EventStore<Counted>): () => Promise<void> {
  let isOver = false;
  const writing = (async () => {
    for (let index = 0; !isOver; index++) {
      await add(store, 1, [`a${index % 50}`]);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  return () => {
    isOver = true;
    return writing;
  };
}

for (const [name, open] of Object.entries(PAIRS)) {
  for (
    const writes of name === "Deno KV" ? ["without transaction", "in a transaction"] : ["without transaction"]
  ) {
    Deno.test(`${name}, ${writes}: a retry during a busy run calls its handler once, and takes nothing back from the run`, async () => {
      await using pair = await open();
      await using store = new InMemoryEventStore<Counted>();
      let works = false;
      let mails = 0;
      const handled = new Map<string, number>();
      const projection = (checkpoints: CheckpointStore<unknown>): Projection<Counted, unknown> => ({
        name: "receipts",
        checkpoints,
        failure: { retries: 0, then: "park", laterEvents: "go-on" },
        handle: async ({ actorId, id }, context) => {
          if (writes === "in a transaction") (context.transaction as KvTransaction).set(["read", id], true);
          if (actorId !== "bad") return void handled.set(id, (handled.get(id) ?? 0) + 1);
          if (!works) throw new Error("out of paper");
          mails++;
          await new Promise((resolve) => setTimeout(resolve, 300));
        },
      });
      const [bad] = await add(store, 1, ["bad"]);
      await using run = runProjection(store, projection(pair.own), { onWarning: () => {} });
      await until("it is parked", async () => (await listParked(projection(pair.other))).length === 1);
      works = true;
      const end = traffic(store);
      await until("it is busy", () => handled.size > 10);
      // Two requests at once, from another process: one handles it, and the other finds nothing.
      const outcomes = await Promise.allSettled([
        retryParked(store, projection(pair.other), bad!.position),
        retryParked(store, projection(pair.other), bad!.position),
      ]);
      await end();
      await run.waitFor((await store.getLastPosition())!);
      assert.deepEqual(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
      const refusal = outcomes.find(({ status }) => status === "rejected") as PromiseRejectedResult;
      assert.ok(refusal.reason instanceof InvalidArgumentError, String(refusal.reason));
      assert.equal(mails, 1);
      assert.deepEqual(await listParked(projection(pair.other)), []);
      // The writes of a transaction are there once, whatever is handled again.
      if (writes === "without transaction") {
        assert.deepEqual([...handled.values()].filter((count) => count > 1), []);
      }
      assert.equal(run.state, "live");
    });
  }
}

Deno.test("a retry whose process has ended gives way after its time, and a retry that comes back too late rejects", async () => {
  await using checkpoints = new InMemoryCheckpoints();
  await using store = new InMemoryEventStore<Counted>();
  let mails = 0;
  let finish = (): void => {};
  const projection: Projection<Counted> = {
    name: "receipts",
    checkpoints,
    failure: { retries: 0, then: "park" },
    handle: () => {
      if (++mails === 1) throw new Error("out of paper");
      return new Promise((resolve) => finish = resolve);
    },
  };
  const [bad] = await add(store, 1, ["bad"]);
  const first = runProjection(store, projection, { onWarning: () => {} });
  await until("it is parked", async () => (await listParked(projection)).length === 1);
  await first.close();
  const late = retryParked(store, projection, bad!.position);
  await until("it is handled", () => mails === 2);
  // As after the end of its process: its claim is there, and shortened so that the test need not wait.
  const id = { name: "receipts", version: 1 };
  const stored = (await checkpoints.load(id))!;
  const record = JSON.parse(stored.value);
  assert.ok(record.retry.ttl > 30_000);
  await checkpoints.save(
    id,
    JSON.stringify({ ...record, retry: { ...record.retry, ttl: 200 } }),
    stored.revision,
  );
  await using run = runProjection(store, projection, { onWarning: () => {} });
  await until("the run goes on", () => run.state === "live");
  finish();
  await assert.rejects(late, CheckpointConflictError);
  assert.equal((await listParked(projection)).length, 1);
});
