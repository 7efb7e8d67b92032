/** How a run ends, or goes on, when what it works with fails: each failure has its end, on every kind of checkpoints. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  BackendError,
  type CheckpointStore,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
  listParked,
  type Projection,
  type ProjectionRun,
  projectionStatuses,
  ProjectionStoppedError,
  projectOnce,
  runProjection,
  SqliteCheckpoints,
  type Warning,
} from "../../mod.ts";
import { knownEnd } from "../../src/projection/ends.ts";
import { connectTo } from "../../src/nats/connect.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { add, type Counted, patient, until } from "./support.ts";
import { PATIENT } from "../support/patient.ts";

/** A store and checkpoints on a handle that belongs to the test. */
interface Scene extends AsyncDisposable {
  readonly store: EventStore<Counted>;
  readonly checkpoints: CheckpointStore<unknown>;
  /** What the owner of the handle does. */
  closeHandle(): void | Promise<void>;
}

async function scene(
  stack: AsyncDisposableStack,
  parts: Pick<Scene, "store" | "checkpoints" | "closeHandle">,
): Promise<Scene> {
  stack.defer(() => parts.store.close());
  stack.defer(() => parts.checkpoints.close());
  return await Promise.resolve({ ...parts, [Symbol.asyncDispose]: () => stack.disposeAsync() });
}

async function kvScene(what: "store" | "checkpoints" | "both"): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await kvFolder());
  const kv = await Deno.openKv(folder.file);
  const store = what === "checkpoints"
    ? new InMemoryEventStore<Counted>()
    : await DenoKvEventStore.open<Counted>(kv, { pollInterval: 5 });
  const checkpoints = what === "store" ? new InMemoryCheckpoints() : await DenoKvCheckpoints.open(kv);
  return await scene(stack, { store, checkpoints, closeHandle: () => kv.close() });
}

async function natsScene(what: "store" | "checkpoints" | "both"): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await startNatsServer());
  const connection = await connectTo(server.url);
  const store = what === "checkpoints"
    ? new InMemoryEventStore<Counted>()
    : await JetStreamEventStore.open<Counted>(connection, { onWarning: () => {} });
  const checkpoints = what === "store"
    ? new InMemoryCheckpoints()
    : await JetStreamCheckpoints.open(connection);
  return await scene(stack, { store, checkpoints, closeHandle: () => connection.close() });
}

async function sqliteScene(): Promise<Scene> {
  const database = new DatabaseSync(":memory:");
  const checkpoints = new SqliteCheckpoints(database) as unknown as CheckpointStore<unknown>;
  const store = new InMemoryEventStore<Counted>();
  return await scene(new AsyncDisposableStack(), { store, checkpoints, closeHandle: () => database.close() });
}

const SCENES: Readonly<Record<string, () => Promise<Scene>>> = {
  "the Deno.Kv of the store": () => kvScene("store"),
  "the Deno.Kv of the checkpoints": () => kvScene("checkpoints"),
  "the Deno.Kv of both": () => kvScene("both"),
  "the database of SQLite checkpoints": sqliteScene,
  "the NATS connection of the store": () => natsScene("store"),
  "the NATS connection of the checkpoints": () => natsScene("checkpoints"),
  "the NATS connection of both": () => natsScene("both"),
};

const isClosed = (error: unknown): boolean =>
  error instanceof ProjectionStoppedError && error.reason === "closed" && error.cause instanceof Error &&
  !(error.cause instanceof ProjectionStoppedError);

/** Fails if a run does not end soon. */
async function ended(run: ProjectionRun): Promise<void> {
  const timer = setTimeout(() => run.close(), 20_000);
  await assert.rejects(run.finished, isClosed);
  clearTimeout(timer);
  assert.equal(run.state, "stopped");
}

for (const [name, open] of Object.entries(SCENES)) {
  Deno.test(`${name} closed by its owner ends a run that is live, in its history or waiting, with a typed error`, async () => {
    for (const phase of ["live", "catching-up", "waiting"] as const) {
      await using opened = await open();
      const { store, checkpoints } = opened;
      await add(store, 3);
      let release = (): void => {};
      let isHandling = false;
      const projection: Projection<Counted, unknown> = {
        name: "p",
        checkpoints,
        handle: () => {
          if (phase !== "catching-up" || isHandling) return;
          isHandling = true;
          return new Promise<void>((resolve) => release = resolve);
        },
      };
      const warnings: Warning[] = [];
      const options = { leaseTtl: 3_000, onWarning: (warning: Warning) => void warnings.push(warning) };
      const runs = [runProjection(store, projection, options)];
      if (phase === "catching-up") await until("it handles", () => isHandling);
      else await until("it is live", () => runs[0]!.state === "live");
      // SQLite has no leases to wait for.
      if (phase === "waiting" && "leases" in checkpoints) {
        runs.push(runProjection(store, projection, options));
      }
      await opened.closeHandle();
      release();
      // The store in memory has no event that would make a live run use its checkpoints.
      if (store instanceof InMemoryEventStore) await add(store, 1);
      const beside = name.includes("of the store") ? runs.slice(0, 1) : runs;
      for (const run of beside) await ended(run);
      await Promise.all(runs.map((run) => run.close()));
      const stops = warnings.filter(({ code, cause }) => code === "projection-stopped" && isClosed(cause));
      assert.ok(stops.length >= beside.length, JSON.stringify(warnings.map(({ code }) => code)));
      await assert.rejects(projectOnce(store, projection, patient), isClosed);
    }
  });
}

Deno.test("a store that is closed ends a run normally, in its history too, and what was handled is committed", async () => {
  for (const phase of ["catching-up", "live"]) {
    const store = new InMemoryEventStore<Counted>();
    await using checkpoints = new InMemoryCheckpoints();
    await add(store, 300);
    let handled = 0;
    const warnings: string[] = [];
    const run = runProjection(store, {
      name: "p",
      checkpoints,
      checkpointInterval: 60_000,
      handle: async () => {
        handled++;
        if (phase === "catching-up") await new Promise((resolve) => setTimeout(resolve, 1));
      },
    }, { onWarning: ({ code }) => void warnings.push(code) });
    await until(phase, () => run.state === phase && handled > 3);
    await store.close();
    await run.finished;
    assert.equal(run.state, "closed");
    assert.deepEqual(warnings, ["projection-ended"]);
    const { value } = (await checkpoints.load({ name: "p", version: 1 }))!;
    assert.equal(JSON.parse(value).handled, handled);
  }
});

for (const phase of ["rests", "begins to follow"]) {
  Deno.test(`JetStream: a server that goes while a run ${phase} is tried again after growing waits, and the state shows it`, async () => {
    await using server = await startNatsServer();
    const options = { readTimeout: 500, onWarning: (): void => {} };
    await using store = await JetStreamEventStore.open<Counted>(server.url, options);
    // The checkpoints can be reached: taking the projection over is no progress.
    await using checkpoints = new InMemoryCheckpoints();
    const tries: number[] = [];
    const seen: string[] = [];
    await add(store, 3);
    await using run = runProjection(store, {
      name: "p",
      checkpoints,
      handle: ({ position }) => void seen.push(position),
    }, {
      onWarning: ({ code }) => {
        if (code === "projection-interrupted") tries.push(performance.now());
      },
    });
    await until("it is live", () => run.state === "live");
    // An event that comes afterwards shows that the subscription has begun.
    if (phase === "rests") await run.waitFor((await add(store, 1))[0]!.position);
    await server.kill();
    await until("it is interrupted", () => tries.length > 0);
    const states = new Set<string>();
    const deadline = performance.now() + 3_000;
    while (performance.now() < deadline) {
      states.add(run.state);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.deepEqual([...states], ["unreachable"]);
    assert.ok(tries.length <= 10, `${tries.length} tries in 3 s`);
    await server.restart();
    const [event] = await add(store, 1);
    await run.waitFor(event!.position, { timeout: 30_000 });
    await until("it is live again", () => run.state === "live");
    assert.equal(seen.length, phase === "rests" ? 5 : 4);
    assert.equal(seen.length, new Set(seen).size);
  });
}

const UNREACHABLE = { name: "BackendError", reason: "unreachable" };

Deno.test("JetStream: the status of projections is refused in time while the server is down, and served again", async () => {
  await using server = await startNatsServer();
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  const projection: Projection<Counted> = { name: "p", checkpoints, handle: () => {} };
  await add(store, 3);
  await projectOnce(store, projection, patient);
  await server.kill();
  const begun = performance.now();
  await assert.rejects(projectionStatuses(store, checkpoints), UNREACHABLE);
  await assert.rejects(listParked(projection), UNREACHABLE);
  assert.ok(performance.now() - begun < 20_000);
  await assert.rejects(
    projectionStatuses(store, checkpoints, { signal: AbortSignal.timeout(100) }),
    { name: "TimeoutError" },
  );
  await server.restart();
  await until("it is served", async () => {
    try {
      return (await projectionStatuses(store, checkpoints)).length === 1;
    } catch (error) {
      assert.ok(error instanceof BackendError && error.reason === "unreachable");
      return false;
    }
  });
});

Deno.test("JetStream: a listing of checkpoints that is given up while the server is down leaves nothing behind", async () => {
  await using server = await startNatsServer();
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  await server.kill();
  // Long enough for its requests to have failed, and to be waiting before they are repeated.
  const statuses = projectionStatuses(store, checkpoints, { signal: AbortSignal.timeout(1_000) });
  await assert.rejects(statuses, { name: "TimeoutError" });
});

Deno.test("JetStream: a bucket of checkpoints that was deleted is missed for a bounded time, and is no failure of the log", async () => {
  await using server = await startNatsServer();
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  const connection = await connectTo(server.url);
  const names = await connection.request("$JS.API.STREAM.NAMES", "", PATIENT);
  const [stream] = JSON.parse(new TextDecoder().decode(names.data)).streams;
  await connection.request(`$JS.API.STREAM.DELETE.${stream}`, "", PATIENT);
  await connection.close();
  const error = await checkpoints.load({ name: "p", version: 1 }).catch((error: unknown) => error);
  assert.ok(error instanceof BackendError && error.reason === "unreachable", String(error));
  assert.equal(knownEnd(error), "bounded");
});
