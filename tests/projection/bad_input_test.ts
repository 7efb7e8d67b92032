/** What is wrong, and the typed error that it gets; never a silent skip. */

import assert from "node:assert/strict";
import {
  CheckpointConflictError,
  type CheckpointStore,
  DamagedCheckpointError,
  DamagedHistoryError,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type EventOf,
  HistoryTruncatedError,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryStorage,
  InvalidArgumentError,
  InvalidPositionError,
  type Projection,
  ProjectionInUseError,
  projectionStatuses,
  projectOnce,
  type ReadAllOptions,
  runProjection,
  type StoredEvent,
} from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { add, type Counted, kvPlace, patient } from "./support.ts";

Deno.test("a projection that is out of range is refused, and nothing is touched", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const good: Projection<Counted> = { name: "good", checkpoints, handle: () => {} };
  const bad: [string, unknown][] = [
    ["projection.name", { name: "" }],
    ["projection.name", { name: "x".repeat(129) }],
    ["projection.name", { name: "\ud800" }],
    ["projection.version", { version: 0 }],
    ["projection.version", { version: 1.5 }],
    ["projection.checkpoints", { checkpoints: {} }],
    ["projection.from", { from: "" }],
    ["projection.from", { from: 5 }],
    ["projection.handle", { handle: undefined }],
    ["projection.handle.Added", { handle: { Added: 1 } }],
    ["projection.handle.Added", { handle: { Removed: () => {} }, filter: { eventTypes: ["Added"] } }],
    ["actorId", { filter: { actorId: "" } }],
    ["projection.failure.retries", { failure: { retries: -1 } }],
    ["projection.failure.firstDelay", { failure: { firstDelay: Number.NaN } }],
    ["projection.handle", { handle: {} }],
    ["projection.handle", { handle: { Added: undefined } }],
    ["projection.handle", { handle: new (class {})() }],
    ["projection.handle", { handle: [] }],
    ["projection.failure.then", { failure: { then: "skip" } }],
    ["projection.failure.laterEvents", { failure: { laterEvents: "drop" } }],
    ["projection.failure.maxParked", { failure: { maxParked: 0 } }],
    ["projection.handlerTimeout", { handlerTimeout: 0 }],
    ["projection.checkpointEvents", { checkpointEvents: 0 }],
    ["projection.checkpointInterval", { checkpointInterval: Infinity }],
  ];
  for (const [argument, change] of bad) {
    const projection = { ...good, ...change as Partial<Projection<Counted>> };
    const isIt = (error: unknown): boolean =>
      error instanceof InvalidArgumentError && error.argument === argument;
    assert.throws(() => runProjection(store, projection), isIt, argument);
    await assert.rejects(projectOnce(store, projection, patient), isIt, argument);
  }
  assert.throws(() => runProjection(store, good, { leaseTtl: 10 }), InvalidArgumentError);
  await assert.rejects(projectOnce(store, good, { budgetMs: 0 }), InvalidArgumentError);
  assert.deepEqual(await checkpoints.list(), []);
});

Deno.test("a name that is taken by another filter is refused, and its checkpoint stays", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 5);
  const all: Projection<Counted> = { name: "taken", checkpoints, handle: () => {} };
  await projectOnce(store, all, patient);
  const before = await checkpoints.list();
  for (const filter of [{ actorId: "a" }, { actorPrefix: "a" }, { eventTypes: ["Added"] as const }]) {
    await assert.rejects(projectOnce(store, { ...all, filter }, patient), ProjectionInUseError);
    await using run = runProjection(store, { ...all, filter });
    await assert.rejects(run.finished, ProjectionInUseError);
  }
  assert.deepEqual(await checkpoints.list(), before);
  // The same types in another order are the same filter.
  const two: Projection<Counted> = { ...all, name: "two", handle: { Added: () => {}, Removed: () => {} } };
  await projectOnce(store, two, patient);
  await projectOnce(store, { ...two, handle: { Removed: () => {}, Added: () => {} } }, patient);
});

Deno.test("a checkpoint of another log, or ahead of the log, is refused", async () => {
  await using checkpoints = new InMemoryCheckpoints();
  const projection: Projection<Counted> = { name: "moved", checkpoints, handle: () => {} };
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 5);
  await projectOnce(store, projection, patient);
  await using other = new InMemoryEventStore<Counted>();
  await add(other, 9);
  for (const log of [other, new InMemoryEventStore<Counted>()]) {
    const isForeign = (error: unknown): boolean =>
      error instanceof InvalidPositionError && error.reason === "foreign";
    await assert.rejects(projectOnce(log, projection, patient), isForeign);
    await using run = runProjection(log, projection);
    await assert.rejects(run.finished, isForeign);
    const [{ lag, problem } = {}] = await projectionStatuses(log, checkpoints);
    assert.equal(lag, undefined);
    assert.ok(isForeign(problem));
    await log.close();
  }
  const [stored] = await checkpoints.list();
  // The digit before the proof, of six digits.
  const ahead = stored!.value.replace(/("position":"[^"]*).([^"]{6}")/, "$1f$2");
  assert.notEqual(ahead, stored!.value);
  await checkpoints.save({ name: "moved", version: 1 }, ahead, stored!.revision);
  await assert.rejects(
    projectOnce(store, projection, patient),
    (error) => error instanceof InvalidPositionError && error.reason === "ahead",
  );
});

Deno.test("a checkpoint with garbage for a position is refused, and stays", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 5);
  const projection: Projection<Counted> = { name: "x", checkpoints, handle: () => assert.fail("handled") };
  await projectOnce(store, { ...projection, handle: () => {} }, patient);
  let { value, revision } = (await checkpoints.list())[0]!;
  const own = JSON.parse(value).position as string;
  for (const position of ["", "nonsense", "\u{1f4e6}", own.slice(1), own + "0", own.toUpperCase() + "G"]) {
    value = JSON.stringify({ ...JSON.parse(value), position });
    revision = await checkpoints.save({ name: "x", version: 1 }, value, revision);
    await assert.rejects(projectOnce(store, projection, patient), InvalidPositionError, position);
    await using run = runProjection(store, projection);
    await assert.rejects(run.finished, InvalidPositionError, position);
    const stored = (await checkpoints.list())[0]!;
    assert.equal(JSON.parse(stored.value).position, position);
    ({ value, revision } = stored);
  }
});

const SOUND_RECORD = { format: 1, name: "bad", version: 1, handled: 0, parked: [], resolved: [] };

Deno.test("a checkpoint that cannot be read is refused, and stays", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  let revision: string | undefined;
  for (
    const value of [
      "",
      "null",
      "{}",
      '{"format":2}',
      '{"format":1,"name":"other","version":1}',
      '{"format":1,"name":"bad","version":1}',
      ...[
        { handled: undefined },
        { handled: "1" },
        { handled: -1 },
        { handled: 1.5 },
        { handled: 2 ** 53 },
        { parts: null },
        { parts: { position: 1, handled: 1 } },
        { parts: { position: "1", handled: "1" } },
        { failing: null },
        { failing: { attempts: 1 } },
        { parked: [null] },
        { parked: [{}] },
        { resolved: ["1"] },
      ].map((fields) => JSON.stringify({ ...SOUND_RECORD, ...fields })),
    ]
  ) {
    revision = await checkpoints.save({ name: "bad", version: 1 }, value, revision);
    await assert.rejects(
      projectOnce(store, { name: "bad", checkpoints, handle: () => {} }, patient),
      DamagedCheckpointError,
    );
    assert.equal((await checkpoints.load({ name: "bad", version: 1 }))!.value, value);
  }
});

Deno.test("Deno KV: a damaged event ends a projection before it, with what was handled committed", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open<Counted>(folder.file);
    await add(store, 6, ["a"]);
  }
  using kv = await Deno.openKv(folder.file);
  const commits = await Array.fromAsync(kv.list<Uint8Array>({ prefix: ["aether", "default", "commit"] }));
  const { key, value } = commits[3]!;
  const bytes = value.slice();
  bytes[bytes.length >> 1]! ^= 1;
  await kv.set(key, bytes);
  await using store = await DenoKvEventStore.open<Counted>(folder.file);
  await using checkpoints = await DenoKvCheckpoints.open(kv);
  const seen: number[] = [];
  await using run = runProjection(store, {
    name: "seen",
    checkpoints,
    handle: ({ version }) => void seen.push(version),
  });
  await assert.rejects(run.finished, (error) => error instanceof DamagedHistoryError);
  assert.deepEqual(seen, [1, 2, 3]);
  const { position } = JSON.parse((await checkpoints.list())[0]!.value);
  assert.deepEqual(position, (await store.getEvents("a"))[2]!.position);
});

/** A log whose beginning is gone. */
class TruncatedStore extends InMemoryEventStore<Counted> {
  override readAll<T extends Counted["eventType"] = Counted["eventType"]>(
    options: ReadAllOptions<T> = {},
  ): AsyncIterable<StoredEvent<EventOf<Counted, T>>> {
    if (options.after === "start" || options.after === undefined) throw new HistoryTruncatedError({});
    return super.readAll(options);
  }
}

Deno.test("a log whose beginning has expired is refused, unless the projection begins with what is kept", async () => {
  await using store = new TruncatedStore({ storage: new InMemoryStorage() });
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 3);
  let handled = 0;
  const projection: Projection<Counted> = { name: "kept", checkpoints, handle: () => void handled++ };
  await using run = runProjection(store, projection);
  await assert.rejects(run.finished, HistoryTruncatedError);
  assert.equal(handled, 0);
  await projectOnce(store, { ...projection, from: "first-kept" }, patient);
  assert.equal(handled, 3);
});

Deno.test("checkpoints of every kind are replaced by compare-and-set alone", async () => {
  await using place = await kvPlace();
  for (const checkpoints of [new InMemoryCheckpoints(), place.checkpoints] as CheckpointStore<unknown>[]) {
    const id = { name: "x", version: 1 };
    const first = await checkpoints.save(id, "1", undefined);
    await assert.rejects(checkpoints.save(id, "again", undefined), CheckpointConflictError);
    const large = JSON.stringify("\u{1f4e6}".repeat(40_000));
    const second = await checkpoints.save(id, large, first);
    assert.deepEqual(await checkpoints.load(id), { value: large, revision: second });
    await assert.rejects(checkpoints.save(id, "late", first), CheckpointConflictError);
    await checkpoints.save(id, "small", second);
    assert.deepEqual((await checkpoints.list()).map(({ value }) => value), ["small"]);
    await checkpoints.close();
  }
});

Deno.test("the holder of an older lease is refused", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const projection: Projection<Counted> = { name: "x", checkpoints, handle: () => {} };
  await using first = runProjection(store, projection);
  while (first.state !== "live") await new Promise((resolve) => setTimeout(resolve, 1));
  await first.close();
  const id = { name: "x", version: 1 };
  const stored = (await checkpoints.load(id))!;
  const newer = stored.value.replace(/"fencingToken":\d+/, `"fencingToken":${Number.MAX_SAFE_INTEGER}`);
  await checkpoints.save(id, newer, stored.revision);
  await using second = runProjection(store, projection);
  await assert.rejects(second.finished, ProjectionInUseError);
});
