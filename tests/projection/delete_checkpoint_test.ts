/** Deleting a checkpoint: its projection begins again, on every kind of checkpoints. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  CheckpointConflictError,
  type CheckpointStore,
  deleteCheckpoint,
  DenoKvCheckpoints,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryLeases,
  InvalidArgumentError,
  JetStreamCheckpoints,
  type Projection,
  ProjectionInUseError,
  projectionStatuses,
  ProjectionStoppedError,
  projectOnce,
  runProjection,
  SqliteCheckpoints,
} from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { add, type Counted, patient, until } from "./support.ts";

interface Backend extends AsyncDisposable {
  readonly checkpoints: CheckpointStore<unknown>;
  /** What is stored for the checkpoints, leases apart. */
  stored(): Promise<number>;
}

const owning = (stack: AsyncDisposableStack, backend: Omit<Backend, typeof Symbol.asyncDispose>): Backend => (
  { ...backend, [Symbol.asyncDispose]: () => stack.disposeAsync() }
);

const listed = async (checkpoints: CheckpointStore<unknown>): Promise<number> =>
  (await checkpoints.list()).length;

const BACKENDS: Readonly<Record<string, () => Promise<Backend>>> = {
  memory: () => {
    const checkpoints = new InMemoryCheckpoints();
    const stack = new AsyncDisposableStack();
    stack.use(checkpoints);
    return Promise.resolve(owning(stack, { checkpoints, stored: () => listed(checkpoints) }));
  },
  "Deno KV": async () => {
    const stack = new AsyncDisposableStack();
    const folder = stack.use(await kvFolder());
    const kv = stack.use(await Deno.openKv(folder.file));
    const checkpoints = stack.use(await DenoKvCheckpoints.open(kv));
    const stored = async (): Promise<number> => {
      const keys = await Array.fromAsync(kv.list({ prefix: ["aether"] }), ({ key }) => String(key[2]));
      return keys.filter((part) => part.startsWith("projection")).length;
    };
    return owning(stack, { checkpoints, stored });
  },
  SQLite: () => {
    const stack = new AsyncDisposableStack();
    const database = stack.use(new DatabaseSync(":memory:"));
    const checkpoints = new SqliteCheckpoints(database) as unknown as CheckpointStore<unknown>;
    return Promise.resolve(owning(stack, { checkpoints, stored: () => listed(checkpoints) }));
  },
  JetStream: async () => {
    const stack = new AsyncDisposableStack();
    const server = stack.use(await startNatsServer());
    const checkpoints = stack.use(await JetStreamCheckpoints.open(server.url));
    return owning(stack, { checkpoints, stored: () => listed(checkpoints) });
  },
};

for (const [name, open] of Object.entries(BACKENDS)) {
  Deno.test(`${name}: deleteCheckpoint() deletes position, parked events and reactions, and the projection begins as a new one`, async () => {
    await using backend = await open();
    const { checkpoints } = backend;
    await using store = new InMemoryEventStore<Counted>();
    await add(store, 4, ["a"]);
    const seen: number[] = [];
    const projection: Projection<Counted, unknown> = {
      name: "p",
      checkpoints,
      filter: { actorId: "a" },
      handle: ({ version, data }) => {
        seen.push(version);
        if (version === 2) throw new Error("x".repeat(1_000));
        return [{ actorId: "b", events: [{ eventType: "Added", data }] }];
      },
      failure: { retries: 0, then: "park", laterEvents: "go-on" },
    };
    const once = (): Promise<unknown> => projectOnce(store, projection, { onWarning: () => {} });
    await once();
    await projectOnce(store, { ...projection, version: 2, handle: () => {} }, patient);
    const before = await checkpoints.load({ name: "p", version: 1 });
    // Pieces that an earlier, larger record has left behind are deleted too.
    const large = await checkpoints.save({ name: "p", version: 1 }, "x".repeat(150_000), before!.revision);
    const { revision } = {
      revision: await checkpoints.save({ name: "p", version: 1 }, before!.value, large),
    };
    assert.equal(await deleteCheckpoint(projection), true);
    assert.deepEqual((await projectionStatuses(store, checkpoints)).map(({ version }) => version), [2]);
    assert.equal(await backend.stored(), 1);
    assert.equal(await deleteCheckpoint(projection), false);
    const late = checkpoints.save({ name: "p", version: 1 }, before!.value, revision);
    await assert.rejects(late, CheckpointConflictError);
    assert.deepEqual(seen.splice(0), [1, 2, 3, 4]);

    await once();
    assert.deepEqual(seen, [1, 2, 3, 4]);
    assert.equal(await store.getLatestVersion("b"), 3, "no reaction is repeated");
    await assert.rejects(
      checkpoints.save({ name: "p", version: 1 }, before!.value, revision),
      CheckpointConflictError,
      "revisions are not used again",
    );
    const [status] = await projectionStatuses(store, checkpoints);
    assert.deepEqual([status!.handled, status!.parked.length], [3, 1]);
  });

  Deno.test(`${name}: a checkpoint is deleted and saved again and again, also one that cannot be read`, async () => {
    await using backend = await open();
    const { checkpoints } = backend;
    const id = { name: "p", version: 1 };
    const revisions = new Set<string>();
    for (const value of ["", "garbage", "{}", "3"]) {
      revisions.add(await checkpoints.save(id, value, undefined));
      await assert.rejects(checkpoints.save(id, "other", undefined), CheckpointConflictError);
      assert.equal(await deleteCheckpoint({ name: "p", checkpoints }), true);
      assert.equal(await checkpoints.load(id), undefined);
    }
    assert.equal(revisions.size, 4);
    const savers = Array.from({ length: 4 }, (_, index) => checkpoints.save(id, `${index}`, undefined));
    const settled = await Promise.allSettled(savers);
    assert.equal(settled.filter(({ status }) => status === "fulfilled").length, 1);
  });

  Deno.test(`${name}: deleteCheckpoint() while a run works deletes nothing, or ends the run if there are no leases`, async () => {
    await using backend = await open();
    const { checkpoints } = backend;
    await using store = new InMemoryEventStore<Counted>();
    await add(store, 3);
    const projection: Projection<Counted, unknown> = { name: "p", checkpoints, handle: () => {} };
    for (
      const leases of "leases" in checkpoints ? [undefined, new InMemoryLeases()] : [new InMemoryLeases()]
    ) {
      const options = { ...(leases && { leases }) };
      await using run = runProjection(store, projection, { ...options, onWarning: () => {} });
      await until("it is live", () => run.state === "live");
      await assert.rejects(deleteCheckpoint(projection, options), ProjectionInUseError);
      await run.waitFor((await add(store, 1))[0]!.position);
      assert.notEqual(await checkpoints.load({ name: "p", version: 1 }), undefined);
      await run.close();
      assert.equal(await deleteCheckpoint(projection, options), true);
      await leases?.close();
    }
    if ("leases" in checkpoints) return;
    await using run = runProjection(store, projection, { onWarning: () => {} });
    await until("it is live", () => run.state === "live");
    assert.equal(await deleteCheckpoint(projection), true);
    await add(store, 1);
    await assert.rejects(run.finished);
    assert.equal(await checkpoints.load({ name: "p", version: 1 }), undefined, "it has not begun again");
  });
}

Deno.test("deleteCheckpoint() refuses wrong arguments, an aborted signal and a closed handle", async () => {
  const kv = await Deno.openKv(":memory:");
  const checkpoints = await DenoKvCheckpoints.open(kv);
  const named = (argument: string) => (error: unknown): boolean =>
    error instanceof InvalidArgumentError && error.argument === argument;
  const wrong = { name: "p", checkpoints: {} as never };
  await assert.rejects(deleteCheckpoint(wrong), named("projection.checkpoints"));
  const projection = { name: "p", checkpoints };
  await assert.rejects(deleteCheckpoint(projection, { leases: {} as never }), named("options.leases"));
  const reason = new Error("enough");
  await assert.rejects(deleteCheckpoint(projection, { signal: AbortSignal.abort(reason) }), reason);
  kv.close();
  await assert.rejects(deleteCheckpoint(projection), ProjectionStoppedError);
  await checkpoints.close().catch(() => {});
});
