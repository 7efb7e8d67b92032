/** What projectionStatuses() counts: with lanes, with a key of the projection's own, and in a log that cannot be read whole. */

import assert from "node:assert/strict";
import {
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryStorage,
  projectionStatuses,
  projectOnce,
  rebuildProjection,
  runProjection,
} from "../../mod.ts";
import { add, type Counted, park, patient, quiet, until } from "./support.ts";

Deno.test("the lag does not count what other lanes have done behind a slow event", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const gate = Promise.withResolvers<void>();
  let handled = 0;
  await using run = runProjection(store, {
    name: "p",
    checkpoints,
    lanes: 4,
    checkpointInterval: 5,
    handle: async ({ actorId }) => {
      if (actorId === "a") await gate.promise;
      handled++;
    },
  }, quiet);
  await add(store, 30, ["a", "b", "c"]);
  await until("the others are done", () => handled === 20);
  await until(
    "that is recorded",
    async () => (await projectionStatuses(store, checkpoints))[0]!.handled === 20,
  );
  assert.equal((await projectionStatuses(store, checkpoints))[0]!.lag!.events, 10);
  gate.resolve();
  await run.waitFor((await store.getLastPosition())!);
});

Deno.test("with segments by a key of its own, the lag is that of the one that is furthest behind", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const gate = Promise.withResolvers<void>();
  await add(store, 30, ["a"]); // of one actor, so that by actors all are of one segment
  await using run = runProjection(store, {
    name: "p",
    checkpoints,
    segments: 4,
    key: ({ version }) => `${version % 5}`,
    handle: async ({ version }) => {
      if (version % 5 === 0) await gate.promise;
    },
  }, quiet);
  await until(
    "the others are done",
    async () => ((await projectionStatuses(store, checkpoints))[0]?.handled ?? 0) >= 10,
  );
  assert((await projectionStatuses(store, checkpoints))[0]!.lag!.events >= 6);
  gate.resolve();
  await run.waitFor((await store.getLastPosition())!);
  assert.equal((await projectionStatuses(store, checkpoints))[0]!.lag!.events, 0);
});

Deno.test("a rebuild is shown also if the first event of the log cannot be handed out", async () => {
  const storage = new InMemoryStorage();
  const refusing = (): never => {
    throw new Error("no such data");
  };
  const schemas = { Added: { version: 2, upcast: [refusing] } };
  const checkpoints = new InMemoryCheckpoints();
  await using old = new InMemoryEventStore<Counted>({ storage });
  await add(old, 8, ["a", "b"]);
  await using store = new InMemoryEventStore<Counted>({ storage, events: schemas as never });
  const version = (version: number) => ({ name: "p", version, checkpoints, failure: park, handle: () => {} });
  await projectOnce(store, version(1), { ...quiet, ...patient });
  {
    await using rebuild = rebuildProjection(store, version(2), { ...quiet, maxRate: 1 });
    await until(
      "it has begun",
      async () => (await projectionStatuses(store, checkpoints)).some(({ rebuild }) => rebuild !== undefined),
    );
    rebuild.takenOver.catch(() => {});
  }
  assert.equal((await projectionStatuses(store, checkpoints)).length, 2);
});
