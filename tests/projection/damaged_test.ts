/** One damaged checkpoint among sound ones: it is named, and what concerns the others goes on. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  type CheckpointStore,
  DamagedCheckpointError,
  deleteCheckpoint,
  DenoKvCheckpoints,
  InMemoryCheckpoints,
  InMemoryEventStore,
  JetStreamCheckpoints,
  listParked,
  type Projection,
  projectionStatuses,
  projectOnce,
  retryParked,
  runProjection,
  SqliteCheckpoints,
  type StoredEvent,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { type DamagedPlace, showsTheOthers, spoil } from "./damaged_checkpoints.ts";
import { postgresTests } from "./postgres_places.ts";
import { add, type Counted, patient, quiet, until } from "./support.ts";

const PLACES: Readonly<Record<string, () => Promise<DamagedPlace>>> = {
  memory: () => {
    const checkpoints = new InMemoryCheckpoints();
    return Promise.resolve({ checkpoints, [Symbol.asyncDispose]: () => checkpoints.close() });
  },
  "Deno KV": async () => {
    const kv = await Deno.openKv(":memory:");
    const checkpoints = await DenoKvCheckpoints.open(kv);
    return {
      checkpoints,
      damage: ({ name, version }) => kv.set(["aether", "default", "projection", name, version], "text"),
      [Symbol.asyncDispose]: async () => {
        await checkpoints.close();
        kv.close();
      },
    };
  },
  SQLite: () => {
    const database = new DatabaseSync(":memory:");
    const checkpoints = new SqliteCheckpoints(database) as unknown as CheckpointStore<unknown>;
    return Promise.resolve({
      checkpoints,
      damage: ({ name, version }) =>
        database.prepare("UPDATE aether_projection SET revision = ? WHERE name = ? AND version = ?")
          .run(2n ** 63n - 1n, name, version),
      [Symbol.asyncDispose]: () => Promise.resolve(database.close()),
    });
  },
  JetStream: async () => {
    const stack = new AsyncDisposableStack();
    const server = stack.use(await startNatsServer());
    const checkpoints = stack.use(await JetStreamCheckpoints.open(server.url));
    return { checkpoints, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  },
};

for (const [name, open] of Object.entries(PLACES)) {
  Deno.test(`${name}: projectionStatuses() names a damaged checkpoint, and shows the others`, async () => {
    await using place = await open();
    await showsTheOthers(place);
  });
}

const { test } = postgresTests("damaged checkpoints in PostgreSQL");

test("projectionStatuses() names a damaged checkpoint, and shows the others", async (driver, place) => {
  await using at = await place(driver, "ALTER TABLE aether_projection ALTER COLUMN value DROP NOT NULL");
  await showsTheOthers({
    checkpoints: at.checkpoints,
    damage: ({ name }) => at.rows(`UPDATE aether_projection SET value = NULL WHERE name = '${name}'`),
  });
});

Deno.test("a damaged segment is named with its projection and its index, and the others are shown and retried", async () => {
  await using checkpoints = new InMemoryCheckpoints();
  await using store = new InMemoryEventStore<Counted>();
  const actors = Array.from({ length: 12 }, (_, index) => `actor-${index}`);
  let isSound = false;
  const parking: Projection<Counted> = {
    name: "p",
    checkpoints,
    segments: 4,
    failure: { retries: 0, then: "park" },
    handle: () => {
      if (!isSound) throw new Error("broken");
    },
  };
  await add(store, 12, actors);
  {
    await using _ = runProjection(store, parking, quiet);
    await until("all is parked", async () => (await listParked(parking)).length === 12);
  }
  const [first] = (await projectionStatuses(store, checkpoints))[0]!.segments!;
  const last = (await projectionStatuses(store, checkpoints))[0]!.segments!.at(-1)!;
  assert(first!.parked.length > 0 && last.parked.length > 0);
  const damaged = (await checkpoints.list()).find(({ value }) =>
    JSON.parse(value).parked.some(({ position }: StoredEvent) => position === first!.parked[0]!.position)
  )!;
  await spoil(checkpoints, damaged.id!, "{}");
  await add(store, 12, actors);

  const [status] = await projectionStatuses(store, checkpoints);
  assert(status!.problem instanceof DamagedCheckpointError);
  assert.deepEqual(status!.problem.projection, { name: "p", version: 1 });
  assert.match(status!.problem.message, /segment 0 of 4 of projection "p" version 1/);
  assert.deepEqual([status!.position, status!.lag], [undefined, undefined]);
  const lags = status!.segments!.map(({ problem, lag }) => [problem !== undefined, lag === undefined]);
  assert.deepEqual(lags, [[true, true], [false, false], [false, false], [false, false]]);
  assert(status!.segments!.slice(1).every(({ lag }) => lag!.events > 0));
  await assert.rejects(listParked(parking), DamagedCheckpointError);
  isSound = true;
  await assert.rejects(runProjection(store, parking, quiet).finished, DamagedCheckpointError);
  await retryParked(store, parking, last.parked[0]!.position);
  await assert.rejects(retryParked(store, parking, first!.parked[0]!.position), DamagedCheckpointError);
});

Deno.test("deleteCheckpoint() deletes the records of all segments, also if the projection's own is damaged or names others", async () => {
  const damages: Readonly<Record<string, (checkpoints: InMemoryCheckpoints) => Promise<void>>> = {
    "its own is damaged": (checkpoints) => spoil(checkpoints, { name: "p", version: 1 }, "{"),
    // As by a process that was killed before it deleted those before a change.
    "those before a change were left": async (checkpoints) => {
      const id = { name: "p", version: 1 };
      const { value, revision } = (await checkpoints.load(id))!;
      const record = JSON.parse(value);
      const layout = { generation: 2, count: 8, before: [] };
      await checkpoints.save(id, JSON.stringify({ ...record, layout }), revision);
    },
    "its own is missing": async (checkpoints) => void await checkpoints.delete({ name: "p", version: 1 }),
  };
  for (const [what, damage] of Object.entries(damages)) {
    await using checkpoints = new InMemoryCheckpoints();
    await using store = new InMemoryEventStore<Counted>();
    let handled = 0;
    const counting: Projection<Counted> = {
      name: "p",
      checkpoints,
      segments: 4,
      handle: () => void handled++,
    };
    const work = async (): Promise<void> => {
      await using run = runProjection(store, counting, quiet);
      await run.waitFor((await store.getLastPosition())!);
    };
    await add(store, 20);
    await projectOnce(store, { name: "other", checkpoints, handle: () => {} }, { ...quiet, ...patient });
    await work();
    await damage(checkpoints);
    await deleteCheckpoint({ name: "p", checkpoints });
    assert.deepEqual((await checkpoints.list()).map(({ id }) => id!.name), ["other"], what);
    await work();
    assert.equal(handled, 40, what);
  }
});
