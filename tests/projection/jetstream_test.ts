/** Checkpoints in a JetStream bucket, against a real server. */

import assert from "node:assert/strict";
import {
  CheckpointConflictError,
  InMemoryEventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
  type Projection,
  projectionStatuses,
  runProjection,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { add, type Counted, until } from "./support.ts";

Deno.test("JetStream: compare-and-set, names of any kind, and a list of all", async () => {
  await using server = await startNatsServer();
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  const id = { name: "a.b *>\u{1f4e6}", version: 1 };
  assert.equal(await checkpoints.load(id), undefined);
  const first = await checkpoints.save(id, "one", undefined);
  await assert.rejects(checkpoints.save(id, "again", undefined), CheckpointConflictError);
  const second = await checkpoints.save(id, "two", first);
  await assert.rejects(checkpoints.save(id, "late", first), CheckpointConflictError);
  assert.deepEqual(await checkpoints.load(id), { value: "two", revision: second });
  await checkpoints.save({ name: id.name, version: 2 }, "other", undefined);
  assert.deepEqual((await checkpoints.list()).map(({ value }) => value).sort(), ["other", "two"]);
});

Deno.test("JetStream: one works, the other takes over, through a server that is killed and started again", async () => {
  await using server = await startNatsServer();
  await using one = await JetStreamCheckpoints.open(server.url);
  await using two = await JetStreamCheckpoints.open(server.url);
  await using store = new InMemoryEventStore<Counted>();
  const seen: string[] = [];
  const projection = (checkpoints: JetStreamCheckpoints): Projection<Counted> => ({
    name: "seen",
    checkpoints,
    handle: ({ position }) => void seen.push(position),
  });
  const options = { leaseTtl: 5000, onWarning: () => {} };
  await add(store, 20);
  await using first = runProjection(store, projection(one), options);
  await until("it is live", () => first.state === "live");
  await using second = runProjection(store, projection(two), options);
  await first.waitFor((await add(store, 5)).at(-1)!.position);
  assert.equal(second.state, "waiting");
  await server.kill();
  await add(store, 5);
  await server.restart();
  await second.waitFor((await add(store, 5)).at(-1)!.position, { timeout: 60_000 });
  await first.close();
  await second.waitFor((await add(store, 5)).at(-1)!.position, { timeout: 60_000 });
  await second.close();
  const log = (await Array.fromAsync(store.readAll())).map(({ position }) => position);
  // At least once: in order, where repetitions are left out.
  assert.deepEqual([...new Set(seen)], log);
  assert.equal((await projectionStatuses(store, two))[0]!.position, log.at(-1));
});

Deno.test("JetStream: a projection and a reaction over a JetStream store, through a server that is killed and started again", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open<Counted>(server.url);
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  const seen: string[] = [];
  const counting: Projection<Counted> = {
    name: "seen",
    checkpoints,
    handle: ({ position }) => void seen.push(position),
  };
  const answering: Projection<Counted> = {
    name: "answering",
    checkpoints,
    filter: { actorPrefix: "a" },
    handle: ({ data }) => [{ actorId: "sum", events: [{ eventType: "Added", data }] }],
  };
  const options = { leaseTtl: 5000, onWarning: () => {} };
  await using first = runProjection(store, counting, options);
  await using second = runProjection(store, answering, options);
  await add(store, 12);
  await first.waitFor((await add(store, 3)).at(-1)!.position);
  await server.kill();
  await server.restart();
  const last = (await add(store, 6)).at(-1)!.position;
  await first.waitFor(last, { timeout: 60_000 });
  await second.waitFor(last, { timeout: 60_000 });
  await second.close();
  await first.waitFor((await store.getLastPosition())!, { timeout: 60_000 });
  await first.close();
  const log = await Array.fromAsync(store.readAll());
  assert.deepEqual([...new Set(seen)], log.map(({ position }) => position));
  const causes = log.filter(({ actorId }) => actorId === "sum").map(({ metadata }) => metadata?.causationId);
  assert.deepEqual(causes, log.filter(({ actorId }) => actorId === "a").map(({ id }) => id));
});
