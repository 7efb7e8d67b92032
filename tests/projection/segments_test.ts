/** Segments: several runs share one projection, and its segments are split and merged while they work. */

import assert from "node:assert/strict";
import {
  changeSegments,
  type CheckpointStore,
  deleteCheckpoint,
  DenoKvCheckpoints,
  discardParked,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryLeases,
  InMemoryStorage,
  InvalidArgumentError,
  JetStreamCheckpoints,
  JetStreamEventStore,
  type KvTransaction,
  listParked,
  type Projection,
  ProjectionInUseError,
  type ProjectionRun,
  projectionStatuses,
  ProjectionStoppedError,
  projectOnce,
  rebuildProjection,
  retryParked,
  runProjection,
  shardOf,
  SqliteCheckpoints,
  type StoredEvent,
  waitFor,
} from "../../mod.ts";
import { DatabaseSync } from "node:sqlite";
import { startNatsServer } from "../support/nats_server.ts";
import { add, addUp, type Counted, kvPlace, memoryPlace, patient, sumsIn, sumsOf, until } from "./support.ts";

const quiet = { onWarning: () => {} };
const ACTORS = Array.from({ length: 24 }, (_, index) => `actor-${index}`);
const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Notes which versions of each actor were handled, in order. */
class Notes {
  readonly versions = new Map<string, number[]>();
  count = 0;

  note({ actorId, version }: StoredEvent): void {
    this.versions.set(actorId, [...this.versions.get(actorId) ?? [], version]);
    this.count++;
  }

  /** Each event once, in the order of its actor. */
  assertComplete(events: number): void {
    for (const [actor, versions] of this.versions) {
      assert.deepEqual(versions, versions.map((_, index) => index + 1), actor);
    }
    assert.equal(this.count, events);
  }
}

function noting(
  notes: Notes,
  checkpoints: CheckpointStore<unknown>,
  segments: number,
  wait = 0,
): Projection<Counted, unknown> {
  return {
    name: "noted",
    checkpoints,
    segments,
    checkpointInterval: 20,
    handle: async (event) => {
      if (wait > 0) await pause(wait);
      notes.note(event);
    },
  };
}

/** How many segments have the worker as their owner. */
async function owned(checkpoints: CheckpointStore<unknown>): Promise<number[]> {
  const owners = new Map<string, number>();
  for (const { value } of await checkpoints.list()) {
    const { owner, layout, closed } = JSON.parse(value);
    if (!layout && !closed && owner) owners.set(owner.id, (owners.get(owner.id) ?? 0) + 1);
  }
  return [...owners.values()].sort();
}

/** How long it takes from the close of a run until the others have handled an event of each actor that comes then, in ms. */
async function handedOver(run: ProjectionRun, store: EventStore<Counted>, notes: Notes): Promise<number> {
  const before = notes.count;
  const begun = performance.now();
  const closing = run.close();
  await add(store, ACTORS.length, ACTORS);
  await until("the others handle its events", () => notes.count === before + ACTORS.length);
  const took = performance.now() - begun;
  await closing;
  return took;
}

Deno.test("segments: runs share them fairly, split and merge them while they work, and hand them over", async () => {
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  const notes = new Notes();
  const start = (segments: number): ProjectionRun =>
    runProjection(store, noting(notes, checkpoints, segments, 1), quiet);
  await add(store, 100, ACTORS);
  await using one = start(4);
  await one.waitFor((await store.getLastPosition())!);
  await using two = start(4);
  await until("they share", async () => (await owned(checkpoints)).join() === "2,2");
  for (const segments of [8, 16, 4, 2, 1, 6]) {
    const adding = add(store, 60, ACTORS);
    await changeSegments({ name: "noted", checkpoints }, segments);
    await adding;
    const position = (await add(store, 40, ACTORS)).at(-1)!.position;
    await Promise.all([one.waitFor(position), two.waitFor(position)]);
    notes.assertComplete((await Array.fromAsync(store.readAll())).length);
  }
  await using three = start(6);
  await until("all share", async () => (await owned(checkpoints)).join() === "2,2,2");
  const took = await handedOver(one, store, notes);
  assert(took < 2_000, `${took} ms: ten times what is promised`);
  await until("the others have its segments", async () => (await owned(checkpoints)).join() === "3,3");
  const position = (await add(store, 40, ACTORS)).at(-1)!.position;
  await three.waitFor(position);
  notes.assertComplete((await Array.fromAsync(store.readAll())).length);
  await until(
    "the records before the last change are deleted",
    async () => (await checkpoints.list()).length === 7,
  );
});

Deno.test("segments: an event belongs to the shard of its key, also with a key of the projection's own", async () => {
  await using store = new InMemoryEventStore();
  await using checkpoints = new InMemoryCheckpoints();
  const lists: string[][] = [];
  await using run = runProjection(store, {
    name: "keyed",
    checkpoints,
    segments: 4,
    key: ({ data }) => (data as { customer: string }).customer,
    handle: ({ actorId }) => void lists.push([actorId]),
  }, quiet);
  for (let index = 0; index < 20; index++) {
    const data = { customer: `c${index % 5}` };
    await store.append(`order-${index}`, [{ eventType: "Placed", data }], { expectedVersion: 0 });
  }
  await run.waitFor((await store.getLastPosition())!);
  const [status] = await projectionStatuses(store, checkpoints);
  const expected = [0, 0, 0, 0];
  for (let index = 0; index < 20; index++) expected[shardOf(`c${index % 5}`, 4)]! += 1;
  assert.deepEqual(status!.segments!.map(({ handled }) => handled), expected);
  assert.equal(status!.segments![0]!.lag, undefined);
  assert.deepEqual([status!.handled, lists.length], [20, 20]);
});

Deno.test("segments: one that fails and is tried again keeps no other one waiting, and stops the run in the end", async () => {
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  const handled: string[] = [];
  await add(store, 48, ACTORS);
  await using run = runProjection(store, {
    name: "failing",
    checkpoints,
    segments: 8,
    failure: { retries: 2, firstDelay: 300, longestDelay: 300 },
    checkpointInterval: 10,
    handle: ({ actorId }) => {
      if (actorId === "actor-3") throw new Error("always");
      handled.push(actorId);
    },
  }, quiet);
  const others = ACTORS.filter((actor) => shardOf(actor, 8) !== shardOf("actor-3", 8)).length;
  await until("the other segments are done", () => handled.length >= others * 2, 5_000);
  await assert.rejects(run.finished, ProjectionStoppedError);
  assert.equal(run.state, "stopped");
  const [status] = await projectionStatuses(store, checkpoints);
  assert.equal(status!.stopped, true);
  assert.deepEqual(status!.segments!.map(({ stopped }) => stopped).filter(Boolean).length, 1);
});

Deno.test("segments: parked events are listed, retried in order and discarded while it runs, also after a split", async () => {
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  const notes = new Notes();
  let isBroken = true;
  const projection: Projection<Counted, unknown> = {
    ...noting(notes, checkpoints, 4),
    failure: { retries: 0, then: "park" },
    handle: (event) => {
      if (isBroken && event.actorId.endsWith("5")) throw new Error("broken");
      notes.note(event);
    },
  };
  await using run = runProjection(store, projection, quiet);
  await add(store, 72, ACTORS);
  const parkedAll = async (count: number): Promise<void> =>
    await until("the events are parked", async () => (await listParked(projection)).length === count);
  await parkedAll(2); // actor-5 and actor-15
  const position = (await store.getLastPosition())!;
  await assert.rejects(run.waitFor((await listParked(projection))[0]!.position), {
    name: "ProjectionBehindError",
  });
  await changeSegments(projection, 8);
  await add(store, 24, ACTORS);
  await until("the segments after the split work", async () => {
    const [status] = await projectionStatuses(store, checkpoints);
    return status!.segments!.length === 8 &&
      status!.segments!.every((segment) => (segment.position ?? "") > position);
  });
  const entries = await listParked(projection);
  assert.deepEqual(entries.map(({ actorId }) => actorId), ["actor-5", "actor-15"]);
  const [status] = await projectionStatuses(store, checkpoints);
  assert.equal(status!.segments!.reduce((sum, { parked }) => sum + parked.length, 0), 2);
  isBroken = false;
  await retryParked(store, projection, entries[0]!.position);
  await discardParked(store, projection, entries[1]!.position);
  assert.deepEqual(await listParked(projection), []);
  await run.waitFor((await store.getLastPosition())!);
  assert.deepEqual(notes.versions.get("actor-5"), [1, 2, 3, 4]);
  assert.deepEqual(notes.versions.get("actor-15"), [2, 3, 4]);
  await assert.rejects(retryParked(store, projection, entries[0]!.position), InvalidArgumentError);
});

Deno.test("segments: each has lanes of its own", async () => {
  await using place = await kvPlace();
  const { store, kv } = place;
  await using checkpoints = await DenoKvCheckpoints.open(kv);
  await add(store, 48, ACTORS);
  const sums: Projection<Counted, KvTransaction> = {
    name: "sums",
    checkpoints,
    segments: 4,
    lanes: 4,
    handle: (event, { transaction }) => addUp(transaction, event),
  };
  {
    await using run = runProjection(store, sums, quiet);
    await run.waitFor((await store.getLastPosition())!);
    await changeSegments(sums, 8);
    await add(store, 48, ACTORS);
    await run.waitFor((await store.getLastPosition())!);
  }
  assert.deepEqual(await sumsIn(kv), await sumsOf(store));
});

Deno.test("segments: an event that its upcaster refuses is parked by its segment, and the others go on", async () => {
  const storage = new InMemoryStorage();
  await using old = new InMemoryEventStore({ storage });
  await using store = new InMemoryEventStore({
    storage,
    events: {
      Placed: {
        version: 2,
        upcast: [(data: { n: number | null }) => {
          if (data.n === null) throw new Error("no number");
          return data;
        }],
      },
    },
  });
  await using checkpoints = new InMemoryCheckpoints();
  for (const [index, actor] of ACTORS.entries()) {
    const data = { n: index % 6 === 5 ? null : index };
    await old.append(actor, [{ eventType: "Placed", data }], { expectedVersion: 0 });
  }
  const handled: string[] = [];
  const projection: Projection = {
    name: "p",
    checkpoints,
    segments: 4,
    failure: { retries: 1, firstDelay: 1, then: "park" },
    handle: ({ actorId }) => void handled.push(actorId),
  };
  await using _run = runProjection(store, projection, quiet);
  await until(
    "all are handled or parked",
    async () => handled.length + (await listParked(projection)).length === ACTORS.length,
  );
  const parked = (await listParked(projection)).map(({ actorId, attempts }) => [actorId, attempts]);
  assert.deepEqual(parked, ["actor-5", "actor-11", "actor-17", "actor-23"].map((actor) => [actor, 2]));
  assert.equal(new Set(handled).size, 20);
});

Deno.test("segments: each event is counted once in Deno KV, over several runs, splits and merges", async () => {
  await using place = await kvPlace();
  const { store, kv, file } = place;
  using second = await Deno.openKv(file);
  await using checkpoints = await DenoKvCheckpoints.open(kv);
  await using others = await DenoKvCheckpoints.open(second);
  const sums = (own: DenoKvCheckpoints): Projection<Counted, KvTransaction> => ({
    name: "sums",
    checkpoints: own,
    segments: 4,
    checkpointEvents: 7,
    handle: (event, { transaction }) => addUp(transaction, event),
  });
  await using one = runProjection(store, sums(checkpoints), quiet);
  await using two = runProjection(store, sums(others), quiet);
  await add(store, 60, ACTORS);
  for (const segments of [8, 2, 4]) {
    const adding = add(store, 60, ACTORS);
    await changeSegments(sums(others), segments);
    await adding;
  }
  const last = (await store.getLastPosition())!;
  await Promise.all([one, two].map((run) => run.waitFor(last, { timeout: 60_000 })));
  assert.deepEqual(await sumsIn(kv), await sumsOf(store));
});

Deno.test("segments: in SQLite with leases of another place each event is counted once", async () => {
  using database = new DatabaseSync(":memory:");
  database.exec("CREATE TABLE seen (actor TEXT, version INTEGER)");
  await using leases = new InMemoryLeases();
  await using store = new InMemoryEventStore<Counted>();
  const checkpoints = new SqliteCheckpoints(database);
  await add(store, 60, ACTORS);
  const seen: Projection<Counted, DatabaseSync> = {
    name: "seen",
    checkpoints,
    segments: 3,
    handle: ({ actorId, version }, { transaction }) =>
      void transaction.prepare("INSERT INTO seen VALUES (?, ?)").run(actorId, version),
  };
  await using run = runProjection(store, seen, { leases, ...quiet });
  await run.waitFor((await store.getLastPosition())!);
  await changeSegments(seen, 6);
  await add(store, 60, ACTORS);
  await run.waitFor((await store.getLastPosition())!);
  const rows = database.prepare("SELECT count(*) AS n, count(DISTINCT actor || version) AS d FROM seen")
    .get();
  assert.deepEqual({ ...rows }, { n: 120, d: 120 });
  await using without = runProjection(store, { ...seen, name: "no leases" }, quiet);
  await assert.rejects(without.finished, (error: Error) => {
    return error instanceof InvalidArgumentError && error.argument === "options.leases";
  });
});

Deno.test("segments: on JetStream runs share them, and split and merge them", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<Counted>(server.url);
  const notes = new Notes();
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  await using others = await JetStreamCheckpoints.open(server.url);
  const options = { leaseTtl: 2_000, ...quiet };
  await using one = runProjection(store, noting(notes, checkpoints, 4), options);
  await using two = runProjection(store, noting(notes, others, 4), options);
  await add(store, 40, ACTORS);
  await until("they share", async () => (await owned(checkpoints)).join() === "2,2");
  for (const segments of [8, 2]) {
    await changeSegments({ name: "noted", checkpoints }, segments);
    const position = (await add(store, 40, ACTORS)).at(-1)!.position;
    await Promise.all([one.waitFor(position), two.waitFor(position)]);
  }
  notes.assertComplete(120);
  const took = await handedOver(one, store, notes);
  assert(took < 2_000, `${took} ms: ten times what is promised`);
  await until("the other has its segments", async () => (await owned(checkpoints)).join() === "2");
  notes.assertComplete(144);
});

Deno.test("segments: what cannot be is refused, and names the field", async () => {
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  const named = (argument: string) => (error: unknown): boolean => {
    assert(error instanceof InvalidArgumentError, String(error));
    assert.equal(error.argument, argument);
    return true;
  };
  const handle = (): void => {};
  for (const segments of [0, 1.5, -1, 100_000, NaN, "4", null]) {
    const projection = { name: "bad", checkpoints, segments: segments as number, handle };
    assert.throws(() => runProjection(store, projection), named("projection.segments"));
    await assert.rejects(changeSegments({ name: "bad", checkpoints }, segments as number), named("segments"));
  }
  const projection = (segments?: number): Projection<Counted, unknown> => ({
    name: "p",
    checkpoints,
    handle,
    ...(segments && { segments }),
  });
  await assert.rejects(changeSegments({ name: "p", checkpoints }, 4), named("projection"));
  await assert.rejects(projectOnce(store, projection(4), patient), named("projection.segments"));
  await using run = runProjection(store, projection(4), quiet);
  await add(store, 4);
  await run.waitFor((await store.getLastPosition())!);
  for (const other of [8, 2, 1, undefined]) {
    await using refused = runProjection(store, projection(other), quiet);
    await assert.rejects(refused.finished, named("projection.segments"));
  }
  await assert.rejects(projectOnce(store, projection(), patient), named("projection.segments"));
  await assert.rejects(changeSegments(projection(), 6), named("segments"));
  await assert.rejects(deleteCheckpoint(projection(4)), ProjectionInUseError);
  await run.close();
  await waitFor(store, projection(4), (await store.getLastPosition())!);
  assert.equal(await deleteCheckpoint(projection(4)), true);
  assert.deepEqual((await checkpoints.list()).length, 0);
  assert.throws(() => runProjection(store, { ...projection(4), name: "a\u001fb" }), named("projection.name"));
});

Deno.test("segments: many changes of their number while nothing runs cost no more than their records", async () => {
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  const notes = new Notes();
  await add(store, 48, ACTORS);
  {
    await using run = runProjection(store, noting(notes, checkpoints, 4), quiet);
    await run.waitFor((await store.getLastPosition())!);
  }
  for (let change = 0; change < 40; change++) {
    await changeSegments({ name: "noted", checkpoints }, change % 2 === 0 ? 8 : 4);
  }
  let loads = 0;
  const counting: Pick<CheckpointStore<unknown>, "load" | "list"> = {
    load: (id) => (loads++, checkpoints.load(id)),
    list: () => checkpoints.list(),
  };
  await listParked({ name: "noted", checkpoints: counting });
  assert(loads <= 1 + 41 * 8, `${loads} loads`);
  // The segments differ in how far they are: what a merged one has handled beyond its position is noted once.
  assert.equal((await projectionStatuses(store, checkpoints))[0]!.segments!.length, 4);
  await add(store, 24, ACTORS);
  await using run = runProjection(store, noting(notes, checkpoints, 4), quiet);
  await run.waitFor((await store.getLastPosition())!);
  notes.assertComplete(72);
  const longest = Math.max(...(await checkpoints.list()).map(({ value }) => value.length));
  assert(longest < 4_000, `a record of ${longest} bytes`);
});

Deno.test("segments: a version that was replaced gets none, and one that has taken over does", async () => {
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  await add(store, 24, ACTORS);
  const version = (number: number): Projection<Counted, unknown> => ({
    ...{ name: "versions", version: number, checkpoints },
    handle: () => {},
  });
  await projectOnce(store, version(1), patient);
  const whileBuilt = (error: unknown): boolean =>
    error instanceof InvalidArgumentError && error.argument === "segments";
  {
    await using slow = rebuildProjection(store, version(2), { ...quiet, maxRate: 1 });
    await until("it has begun", async () => (await projectionStatuses(store, checkpoints)).length === 2);
    await assert.rejects(changeSegments(version(2), 4), whileBuilt);
    await slow.close();
    await assert.rejects(changeSegments(version(2), 4), whileBuilt);
  }
  {
    await using rebuild = rebuildProjection(store, version(2), quiet);
    await rebuild.takenOver;
  }
  await assert.rejects(changeSegments(version(1), 4), (error: unknown) => {
    return error instanceof ProjectionInUseError && error.reason === "replaced";
  });
  await changeSegments(version(2), 4);
  await using run = runProjection(store, { ...version(2), segments: 4 }, quiet);
  await run.waitFor((await store.getLastPosition())!);
});

Deno.test("segments: a change of their number takes a signal, and the leases of the runs", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 12, ACTORS);
  using database = new DatabaseSync(":memory:");
  await using leases = new InMemoryLeases();
  const projection: Projection<Counted, DatabaseSync> = {
    name: "leased",
    checkpoints: new SqliteCheckpoints(database),
    handle: () => {},
  };
  await using run = runProjection(store, projection, { leases, ...quiet });
  await run.waitFor((await store.getLastPosition())!);
  await assert.rejects(changeSegments(projection, 4, { leases }), (error: unknown) => {
    return error instanceof ProjectionInUseError && error.reason === "running";
  });
  await run.close();
  const reason = new Error("enough");
  await assert.rejects(changeSegments(projection, 4, { leases, signal: AbortSignal.abort(reason) }), reason);
  const named = (argument: string) => (error: unknown): boolean =>
    error instanceof InvalidArgumentError && error.argument === argument;
  await assert.rejects(changeSegments(projection, 4, { leases: 5 as never }), named("options.leases"));
  await assert.rejects(changeSegments(projection, 4, { signal: {} as never }), named("options.signal"));
  await changeSegments(projection, 4, { leases });
  await using after = runProjection(store, { ...projection, segments: 4 }, { leases, ...quiet });
  await after.waitFor((await store.getLastPosition())!);
  // While something cannot be reached, the signal ends the wait.
  const never = new Promise<undefined>(() => {});
  const ending = new AbortController();
  const waiting = changeSegments(
    { name: "leased", checkpoints: { load: () => never, save: () => never } as never },
    8,
    { signal: ending.signal },
  );
  ending.abort(reason);
  await assert.rejects(waiting, reason);
});

Deno.test("segments: a projection that has none gets some, and begins at the end if it is to", async () => {
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  const notes = new Notes();
  await add(store, 24, ACTORS);
  const { segments: _, ...whole } = noting(notes, checkpoints, 1);
  await using before = runProjection(store, whole, quiet);
  await before.waitFor((await store.getLastPosition())!);
  await assert.rejects(changeSegments(whole, 4), ProjectionInUseError);
  await before.close();
  await changeSegments(whole, 4);
  await add(store, 24, ACTORS);
  await using after = runProjection(store, noting(notes, checkpoints, 4), quiet);
  await after.waitFor((await store.getLastPosition())!);
  notes.assertComplete(48);

  const late = new Notes();
  await using atEnd = runProjection(store, {
    ...noting(late, checkpoints, 4),
    name: "at the end",
    from: "end",
  }, quiet);
  await until("it works", () => atEnd.state === "live");
  const position = (await add(store, 24, ACTORS)).at(-1)!.position;
  await atEnd.waitFor(position);
  assert.equal(late.count, 24);
});
