/** Handlers that fail: retries, stopping, parking, and what becomes of what was parked. */

import assert from "node:assert/strict";
import {
  discardParked,
  type FailurePolicy,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidArgumentError,
  listParked,
  type Projection,
  projectionStatuses,
  ProjectionStoppedError,
  projectOnce,
  retryParked,
  runProjection,
  type StoredEvent,
} from "../../mod.ts";
import { add, type Counted, PLACES } from "./support.ts";

const short = ({ actorId, version }: StoredEvent): string => `${actorId}${version}`;

/** A projection whose handler fails for events that are named in a set. */
function failing(
  checkpoints: Projection<Counted, unknown>["checkpoints"],
  poison: ReadonlySet<string>,
  failure: FailurePolicy,
): { projection: Projection<Counted, unknown>; seen: string[]; attempts: string[] } {
  const seen: string[] = [];
  const attempts: string[] = [];
  const projection: Projection<Counted, unknown> = {
    name: "failing",
    checkpoints,
    failure: { firstDelay: 1, longestDelay: 5, ...failure },
    handle: async (event, { attempt }) => {
      attempts.push(`${short(event)} ${attempt}`);
      await Promise.resolve();
      if (poison.has(short(event))) throw new RangeError(`poison ${short(event)}`);
      seen.push(short(event));
    },
  };
  return { projection, seen, attempts };
}

for (const [name, open] of Object.entries(PLACES)) {
  Deno.test(`${name}: it stops before an event that fails as often as allowed, and goes on with it when run again`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const poison = new Set(["b1"]);
    const { projection, seen, attempts } = failing(checkpoints, poison, { retries: 2 });
    const events = await add(store, 6);
    await using run = runProjection(store, projection);
    await assert.rejects(run.finished, (error) => {
      assert.ok(error instanceof ProjectionStoppedError);
      assert.equal(error.event?.position, events[1]!.position);
      assert.equal(error.attempts, 3);
      assert.ok(error.cause instanceof RangeError);
      return true;
    });
    assert.equal(run.state, "stopped");
    assert.deepEqual(attempts, ["a1 1", "b1 1", "b1 2", "b1 3"]);
    poison.clear();
    await using again = runProjection(store, projection);
    await again.waitFor(events.at(-1)!.position);
    assert.deepEqual(seen, ["a1", "b1", "c1", "a2", "b2", "c2"]);
  });

  Deno.test(`${name}: it parks an event, its actor waits, retrying handles both in order`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const poison = new Set(["b1"]);
    const { projection, seen } = failing(checkpoints, poison, { retries: 1, then: "park" });
    const events = await add(store, 9);
    await using run = runProjection(store, projection);
    await run.waitFor(events.at(-1)!.position);
    assert.deepEqual(seen, ["a1", "c1", "a2", "c2", "a3", "c3"]);
    const [entry, ...others] = await listParked(projection);
    assert.deepEqual(others, []);
    const { position, actorId, attempts, error, blocksActor } = entry!;
    assert.deepEqual({ position, actorId, attempts, error, blocksActor }, {
      position: events[1]!.position,
      actorId: "b",
      attempts: 2,
      error: "RangeError: poison b1",
      blocksActor: true,
    });
    await assert.rejects(retryParked(store, projection, position), ProjectionStoppedError);
    assert.equal((await listParked(projection))[0]!.attempts, 3);
    // It fails at a later event: what comes before it is handled and not handled again.
    poison.clear();
    poison.add("b3");
    await assert.rejects(retryParked(store, projection, position), ProjectionStoppedError);
    assert.deepEqual(seen.slice(6), ["b1", "b2"]);
    const [moved] = await listParked(projection);
    assert.equal(moved!.position, events[7]!.position);
    poison.clear();
    await retryParked(store, projection, moved!.position);
    assert.deepEqual(seen.slice(6), ["b1", "b2", "b3"]);
    assert.deepEqual(await listParked(projection), []);
    const live = await add(store, 3);
    await run.waitFor(live.at(-1)!.position);
    // The run went on from its checkpoint when it met the retry's: some may have been handled twice.
    assert.deepEqual([...new Set(seen.slice(9))].sort(), ["a4", "b4", "c4"]);
    await run.close();
    const [status] = await projectionStatuses(store, checkpoints);
    assert.deepEqual(status!.resolved.map(({ action }) => action), ["retried", "retried"]);
  });

  Deno.test(`${name}: it parks an event, its actor goes on as declared, discarding is recorded`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const { projection, seen } = failing(checkpoints, new Set(["b1"]), {
      retries: 0,
      then: "park",
      laterEvents: "go-on",
    });
    const events = await add(store, 6);
    await using run = runProjection(store, projection);
    await run.waitFor(events.at(-1)!.position);
    assert.deepEqual(seen, ["a1", "c1", "a2", "b2", "c2"]);
    await run.close();
    const { position } = (await listParked(projection))[0]!;
    await discardParked(store, projection, position);
    assert.deepEqual(await listParked(projection), []);
    const [status] = await projectionStatuses(store, checkpoints);
    assert.deepEqual(status!.resolved.map(({ action, position }) => [action, position]), [[
      "discarded",
      position,
    ]]);
    await assert.rejects(discardParked(store, projection, position), InvalidArgumentError);
    await assert.rejects(retryParked(store, projection, position), InvalidArgumentError);
  });

  Deno.test(`${name}: discarding what its actor waited for handles the rest of the actor`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const { projection, seen } = failing(checkpoints, new Set(["b1"]), { retries: 0, then: "park" });
    const events = await add(store, 9);
    await using run = runProjection(store, projection);
    await run.waitFor(events.at(-1)!.position);
    await run.close();
    await discardParked(store, projection, events[1]!.position);
    assert.deepEqual(seen.slice(6), ["b2", "b3"]);
    assert.deepEqual(await listParked(projection), []);
  });
}

Deno.test("a parked list that is full stops the projection", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 6);
  const { projection } = failing(checkpoints as never, new Set(["a1", "b1", "c1"]), {
    retries: 0,
    then: "park",
    maxParked: 2,
  });
  await using run = runProjection(store, projection);
  await assert.rejects(
    run.finished,
    (error) => error instanceof ProjectionStoppedError && error.reason === "parked-list-full",
  );
  assert.equal((await listParked(projection)).length, 2);
});

Deno.test("a handler that never returns is given up after its time", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 1);
  let reason: unknown;
  await using run = runProjection(store, {
    name: "hanging",
    checkpoints,
    handlerTimeout: 10,
    failure: { retries: 1, firstDelay: 1 },
    handle: (_, { signal }) => {
      signal.addEventListener("abort", () => reason = signal.reason);
      return new Promise<void>(() => {});
    },
  });
  await assert.rejects(run.finished, (error: Error) => (error.cause as Error).name === "HandlerError");
  assert.equal((reason as Error).name, "HandlerError");
});

Deno.test("closing a run does not wait for the next attempt, and the attempts count on", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const poison = new Set(["a1"]);
  const { projection, attempts } = failing(checkpoints as never, poison, {
    retries: 3,
    firstDelay: 3_600_000,
    longestDelay: 3_600_000,
  });
  await add(store, 1);
  const run = runProjection(store, projection);
  while (attempts.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await run.close();
  assert.equal(run.state, "closed");
  await projectOnce(store, projection, { budgetMs: 10 });
  assert.deepEqual(attempts, ["a1 1", "a1 2"]);
});

Deno.test("projectOnce: within its budget, attempts counted over calls, then the policy", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 30);
  let handled = 0;
  const slow: Projection<Counted> = {
    name: "slow",
    checkpoints,
    handle: async () => {
      handled++;
      await new Promise((resolve) => setTimeout(resolve, 5));
    },
  };
  const first = await projectOnce(store, slow, { budgetMs: 20 });
  assert.ok(first.handled >= 1 && first.handled < 30, String(first.handled));
  assert.equal(first.caughtUp, false);
  const rest = await projectOnce(store, slow, { budgetMs: 60_000 });
  assert.deepEqual({ ...rest, total: first.handled + rest.handled }, {
    position: await store.getLastPosition(),
    handled: 30 - first.handled,
    caughtUp: true,
    total: 30,
  });
  assert.equal(handled, 30);
  const { projection, attempts } = failing(checkpoints as never, new Set(["a1"]), {
    retries: 2,
    firstDelay: 1000,
  });
  for (let call = 0; call < 2; call++) await projectOnce(store, projection, { budgetMs: 0.001 });
  await assert.rejects(projectOnce(store, projection, { budgetMs: 1 }), ProjectionStoppedError);
  assert.deepEqual(attempts, ["a1 1", "a1 2", "a1 3"]);
});
