/** Checkpoints of projections that are carried along when a store is copied. */

import assert from "node:assert/strict";
import {
  changeSegments,
  CheckpointConflictError,
  type CheckpointStore,
  copyEvents,
  type CopyProgress,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type Event,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidArgumentError,
  JetStreamCheckpoints,
  JetStreamEventStore,
  listParked,
  type Projection,
  projectionStatuses,
  projectOnce,
  retryParked,
  runProjection,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";

interface Noted {
  readonly projection: (checkpoints: CheckpointStore<unknown>) => Projection<never, unknown>;
  readonly calls: string[];
}

/** A projection that notes what it handles, and reacts to each order by an invoice. */
function noting(name: string, options: Partial<Projection> = {}): Noted {
  const calls: string[] = [];
  const projection = (checkpoints: CheckpointStore<unknown>): Projection<never, unknown> => ({
    name,
    checkpoints,
    handle: ({ actorId, eventType, data }) => {
      calls.push(`${eventType} ${actorId} ${data}`);
      if (eventType !== "Placed") return;
      return [{ actorId: `invoice-${actorId}`, events: [{ eventType: "Sent", data: null }] }];
    },
    filter: { actorPrefix: "order-" },
    ...options,
  } as Projection<never, unknown>);
  return { projection, calls };
}

async function place(store: EventStore, from: number, to: number): Promise<void> {
  for (let order = from; order <= to; order++) {
    const events = [{ eventType: "Placed", data: order }, { eventType: "Paid", data: order }];
    await store.append(`order-${order}`, events, { expectedVersion: 0 });
    await store.append("other", [{ eventType: "Other", data: order }], { expectedVersion: "any" });
  }
}

async function catchUp(store: EventStore, projection: Projection<never, unknown>): Promise<void> {
  assert((await projectOnce(store as EventStore<never>, projection, { budgetMs: 60_000 })).caughtUp);
}

interface Kind {
  readonly store: EventStore;
  readonly checkpoints: CheckpointStore<unknown>;
}

async function withKinds(work: (kinds: Record<string, Kind>) => Promise<void>): Promise<void> {
  await using server = await startNatsServer();
  using kv = await Deno.openKv(":memory:");
  await using memory = new InMemoryEventStore();
  await using inMemory = new InMemoryCheckpoints();
  await using denoKv = await DenoKvEventStore.open(kv);
  await using inKv = await DenoKvCheckpoints.open(kv);
  await using jetStream = await JetStreamEventStore.open(server.url);
  await using inBucket = await JetStreamCheckpoints.open(server.url);
  await work({
    "memory": { store: memory, checkpoints: inMemory },
    "Deno KV": { store: denoKv, checkpoints: inKv },
    "JetStream": { store: jetStream, checkpoints: inBucket },
  });
}

for (
  const [source, target] of [["memory", "Deno KV"], ["Deno KV", "JetStream"], [
    "JetStream",
    "memory",
  ]] as const
) {
  Deno.test(`copyEvents() carries checkpoints from ${source} to ${target}, and projections go on there`, async () => {
    await withKinds(async (kinds) => {
      const [from, to] = [kinds[source]!, kinds[target]!];
      const done = noting("done");
      const behind = noting("behind");
      const failing = noting("failing", {
        failure: { retries: 0, then: "park", laterEvents: "go-on" },
        handle: ({ data }) => {
          if (data === 1) throw new Error("not this one");
        },
      });
      await place(from.store, 1, 3);
      await catchUp(from.store, behind.projection(from.checkpoints));
      await place(from.store, 4, 5);
      await catchUp(from.store, done.projection(from.checkpoints));
      await catchUp(from.store, failing.projection(from.checkpoints));
      const report = await copyEvents(from.store, to.store, {
        checkpoints: [{ from: from.checkpoints, to: to.checkpoints }],
      });
      assert.equal(report.checkpoints, 3);
      const statuses = await projectionStatuses(to.store, to.checkpoints);
      assert.deepEqual(statuses.map(({ name, problem }) => [name, problem]), [
        ["behind", undefined],
        ["done", undefined],
        ["failing", undefined],
      ]);
      done.calls.length = behind.calls.length = 0;
      await place(to.store, 6, 6);
      await catchUp(to.store, done.projection(to.checkpoints));
      await catchUp(to.store, behind.projection(to.checkpoints));
      assert.deepEqual(done.calls, ["Placed order-6 6", "Paid order-6 6"]);
      assert.deepEqual(behind.calls.filter((call) => call.startsWith("Placed")), [
        "Placed order-4 4",
        "Placed order-5 5",
        "Placed order-6 6",
      ]);
      // What was parked is parked there, at the same event.
      const entries = await listParked(failing.projection(to.checkpoints));
      assert.deepEqual(entries.map(({ actorId, eventVersion }) => [actorId, eventVersion]), [
        ["order-1", 1],
        ["order-1", 2],
      ]);
      for (const { position } of entries) {
        await retryParked(
          to.store as EventStore<never>,
          { ...failing.projection(to.checkpoints), handle: () => {} },
          position,
        );
      }
      // And the same work in a run, with its lease.
      await using run = runProjection(to.store as EventStore<never>, done.projection(to.checkpoints));
      await run.waitFor((await to.store.getLastPosition())!);
      assert.equal(done.calls.length, 2);
    });
  });
}

Deno.test("copyEvents() carries checkpoints along in the same place, and once", async () => {
  await using from = new InMemoryEventStore();
  await using to = new InMemoryEventStore();
  await using other = new InMemoryEventStore();
  const checkpoints = new InMemoryCheckpoints();
  const mine = noting("mine");
  await place(from, 1, 2);
  await place(other, 1, 1);
  await catchUp(from, mine.projection(checkpoints));
  // A projection of another store in the same place stays as it is.
  const theirs = noting("theirs");
  await catchUp(other, theirs.projection(checkpoints));
  const options = { checkpoints: [{ from: checkpoints, to: checkpoints }] };
  assert.equal((await copyEvents(from, to, options)).checkpoints, 1);
  assert.equal((await copyEvents(from, to, options)).checkpoints, 0);
  mine.calls.length = theirs.calls.length = 0;
  await catchUp(to, mine.projection(checkpoints));
  await catchUp(other, theirs.projection(checkpoints));
  assert.deepEqual([mine.calls, theirs.calls], [[], []]);
});

Deno.test("copyEvents() leaves a checkpoint that has gone on in the target, and refuses one that is still written", async () => {
  await using from = new InMemoryEventStore();
  await using to = new InMemoryEventStore();
  const before = new InMemoryCheckpoints();
  const after = new InMemoryCheckpoints();
  const { projection, calls } = noting("mine");
  await place(from, 1, 2);
  await catchUp(from, projection(before));
  const options = { checkpoints: [{ from: before, to: after }] };
  let isRunning = true;
  const onProgress = (): void => {
    if (!isRunning) return;
    isRunning = false;
    // Its projection works on while the store is copied.
    before.load({ name: "mine", version: 1 }).then((stored) =>
      before.save({ name: "mine", version: 1 }, stored!.value, stored!.revision)
    );
  };
  await assert.rejects(copyEvents(from, to, { ...options, onProgress }), CheckpointConflictError);
  assert.equal((await copyEvents(from, to, options)).checkpoints, 1);
  calls.length = 0;
  const [first] = await to.append("order-9", [{ eventType: "Placed", data: 9 }], { expectedVersion: 0 });
  await catchUp(to, projection(after));
  assert.deepEqual(calls, ["Placed order-9 9"]);
  const stored = await after.load({ name: "mine", version: 1 });
  assert(JSON.parse(stored!.value).position >= first!.position);
});

Deno.test("copyEvents() calls onProgress at its end, also without anything to copy", async () => {
  for (const orders of [0, 1, 400]) {
    await using from = new InMemoryEventStore();
    await using to = new InMemoryEventStore();
    await place(from, 1, orders);
    const seen: CopyProgress[] = [];
    await copyEvents(from, to, { onProgress: (progress) => void seen.push(progress) });
    assert.deepEqual(seen.at(-1), { phase: "verifying", events: orders * 3 });
    assert.equal(seen.some(({ phase }) => phase === "copying"), orders > 0);
    seen.length = 0;
    await copyEvents(from, to, { onProgress: (progress) => void seen.push(progress) });
    assert.deepEqual(seen.at(-1), { phase: "verifying", events: orders * 3 });
  }
});

Deno.test("copyEvents() refuses what is no place for checkpoints", async () => {
  await using from = new InMemoryEventStore();
  await using to = new InMemoryEventStore();
  for (const checkpoints of [{}, [{}], [new InMemoryCheckpoints()], [null]] as never[]) {
    await assert.rejects(copyEvents(from, to, { checkpoints }), InvalidArgumentError);
  }
});

Deno.test("copyEvents() carries segments and lanes along: what was handled is not handled again, and what was parked stays", async () => {
  await using from = new InMemoryEventStore();
  await using to = new InMemoryEventStore();
  await using before = new InMemoryCheckpoints();
  await using after = new InMemoryCheckpoints();
  const actors = Array.from({ length: 16 }, (_, index) => `order-${index}`);
  const add = async (store: EventStore): Promise<void> => {
    for (const actor of actors) {
      await store.append(actor, [{ eventType: "Placed", data: null }], { expectedVersion: "any" });
    }
  };
  await add(from);
  await add(from);
  const handled: string[] = [];
  const blocking = Promise.withResolvers<void>();
  let isBroken = true;
  const projection = (
    checkpoints: CheckpointStore<unknown>,
    segments?: number,
  ): Projection<Event, unknown> => ({
    name: segments === undefined ? "lanes" : "segments",
    checkpoints,
    ...(segments !== undefined && { segments }),
    lanes: 4,
    filter: { actorPrefix: "order-" },
    checkpointInterval: 10,
    failure: { retries: 0, then: "park" },
    handle: async ({ actorId, version }) => {
      // The first event of the log is never done, so that records have no position.
      if (actorId === "order-0" && isBroken) await blocking.promise;
      await Promise.resolve();
      if (actorId === "order-9" && isBroken) throw new Error("broken");
      handled.push(`${segments === undefined ? "lanes" : "segments"} ${actorId} ${version}`);
    },
  });
  const done = async (): Promise<boolean> =>
    (await before.list()).map(({ value }) => JSON.parse(value).handled as number).reduce(
      (a, b) => a + b,
      0,
    ) === 56;
  const ending = new AbortController();
  const quiet = { signal: ending.signal, onWarning: (): void => {} };
  const runs = [
    runProjection(from, projection(before, 4), quiet),
    runProjection(from, projection(before), quiet),
  ];
  await until("all are done but those of one actor, and those that are parked", done);
  ending.abort(new Error("killed"));
  await Promise.all(runs.map((run) => assert.rejects(run.finished, /killed/)));
  await changeSegments({ name: "segments", checkpoints: before }, 8);
  const report = await copyEvents(from, to, { checkpoints: [{ from: before, to: after }] });
  assert.equal(report.checkpoints, (await before.list()).length);
  isBroken = false;
  blocking.resolve();
  await new Promise((resolve) => setTimeout(resolve, 5)); // the handlers that were abandoned end
  handled.splice(0, Infinity, ...handled.filter((entry) => !entry.includes(" order-0 ")));
  // A second copy leaves alone what is there.
  assert.equal((await copyEvents(from, to, { checkpoints: [{ from: before, to: after }] })).checkpoints, 0);
  await add(to);
  for (const segments of [8, undefined]) {
    // Before it runs: a worker that meets a retry may handle what it has not committed again, with checkpoints in memory.
    for (
      const { position } of await listParked({ name: segments ? "segments" : "lanes", checkpoints: after })
    ) {
      await retryParked(to, projection(after, segments), position);
    }
    await using run = runProjection(to, projection(after, segments), { onWarning: () => {} });
    await run.waitFor((await to.getLastPosition())!);
  }
  assert.equal(new Set(handled).size, 2 * 3 * actors.length);
  assert.equal(handled.length, 2 * 3 * actors.length);
  for (const name of ["lanes", "segments"]) {
    for (const actor of actors) {
      assert.deepEqual(
        handled.filter((entry) => entry.startsWith(`${name} ${actor} `)).map((entry) => entry.at(-1)),
        ["1", "2", "3"],
      );
    }
  }
});
