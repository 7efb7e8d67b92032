/** Calls about projections while the server of the log and the checkpoints stands still: an abort, or their own time, ends them. */

import assert from "node:assert/strict";
import {
  BackendError,
  changeSegments,
  deleteCheckpoint,
  discardParked,
  JetStreamCheckpoints,
  JetStreamEventStore,
  listParked,
  type Projection,
  ProjectionBehindError,
  projectionStatuses,
  projectOnce,
  rebuildProjection,
  retryParked,
  runProjection,
  waitFor,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { add, type Counted, patient, quiet, until } from "./support.ts";

/** How long it may take in which an abort was seen to end a call, in milliseconds: without it the calls end by themselves. */
const PATIENCE = 30_000;

async function outcomes(
  calls: Readonly<Record<string, Promise<unknown>>>,
): Promise<Readonly<Record<string, unknown>>> {
  const entries = Object.entries(calls).map(async ([name, call]) => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => resolve("it does not end"), PATIENCE);
    const outcome = await Promise.race([call.then(() => "an answer", (error) => error), promise]);
    clearTimeout(timer);
    return [name, outcome] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

Deno.test("projectOnce ends soon after its budget if the log or the checkpoints fall silent, and goes on later", async () => {
  for (const silent of ["log", "checkpoints"] as const) {
    await using logServer = await startNatsServer();
    await using checkpointServer = await startNatsServer();
    await using store = await JetStreamEventStore.open<Counted>(logServer.url);
    await using checkpoints = await JetStreamCheckpoints.open(checkpointServer.url);
    const server = silent === "log" ? logServer : checkpointServer;
    const handled: string[] = [];
    const projection: Projection<Counted> = {
      name: "once",
      checkpoints,
      handle: ({ position }) => void handled.push(position),
    };
    await add(store, 3);
    await projectOnce(store, projection, { ...quiet, ...patient });
    await add(store, 3);
    await server.suspend();
    try {
      const call = { [silent]: projectOnce(store, projection, { ...quiet, budgetMs: 300 }) };
      const started = performance.now();
      const error = (await outcomes(call))[silent];
      assert(error instanceof BackendError && error.reason === "unreachable", `${silent}: ${error}`);
      const elapsed = performance.now() - started;
      assert(elapsed < 8_000, `${silent}: ${elapsed} ms`); // without the budget: the time of several answers
    } finally {
      await server.resume();
    }
    const { caughtUp } = await projectOnce(store, projection, { ...quiet, budgetMs: 30_000 });
    assert(caughtUp);
    assert.equal(new Set(handled).size, handled.length);
  }
});

Deno.test("a silent server: an abort, or the time of a call, ends every call about a projection", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<Counted>(server.url);
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  const parking: Projection<Counted> = {
    name: "parking",
    checkpoints,
    failure: { retries: 0, then: "park" },
    handle: () => {
      throw new Error("always");
    },
  };
  await add(store, 3);
  await projectOnce(store, parking, { ...quiet, ...patient });
  const { position } = (await listParked(parking))[0]!;
  const last = (await store.getLastPosition())!;
  const counting = (name: string): Projection<Counted> => ({ name, checkpoints, handle: () => {} });
  await using live = runProjection(store, counting("live"), quiet);
  await until("it is live", () => live.state === "live");
  await server.suspend();
  try {
    const abort = new AbortController();
    const options = { signal: abort.signal };
    const late = {
      "waitFor({ timeout })": waitFor(store, counting("other"), last, { timeout: 400 }),
      "run.waitFor({ timeout })": live.waitFor("ffff", { timeout: 400 }),
    };
    const started = { ...quiet, ...options };
    const aborted = {
      waitFor: waitFor(store, counting("other"), last, options),
      "run.waitFor": live.waitFor(last, options),
      listParked: listParked(parking, options),
      projectionStatuses: projectionStatuses(store, checkpoints, options),
      retryParked: retryParked(store, parking, position, options),
      discardParked: discardParked(store, parking, position, options),
      changeSegments: changeSegments(parking, 4, options),
      deleteCheckpoint: deleteCheckpoint(parking, options),
      projectOnce: projectOnce(store, counting("once"), started),
      runProjection: runProjection(store, counting("run"), started).finished,
      "runProjection with segments":
        runProjection(store, { ...counting("s"), segments: 2 }, started).finished,
      rebuildProjection: rebuildProjection(store, { ...counting("live"), version: 2 }, started).takenOver,
    };
    const ended = outcomes(aborted);
    const inTime = outcomes(late);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const reason = new Error("enough");
    abort.abort(reason);
    for (const [name, outcome] of Object.entries(await ended)) assert.equal(outcome, reason, name);
    for (const [name, outcome] of Object.entries(await inTime)) {
      assert(outcome instanceof ProjectionBehindError, `${name}: ${outcome}`);
    }
  } finally {
    server.resume();
  }
});
