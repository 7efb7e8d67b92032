/** Where a projection begins, and what it takes over from the version before. */

import assert from "node:assert/strict";
import {
  type Event,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidArgumentError,
  InvalidPositionError,
  listParked,
  type Projection,
  ProjectionInUseError,
  projectionStatuses,
  projectOnce,
  retryParked,
  runProjection,
} from "../../mod.ts";
import { add, type Counted, kvPlace, memoryPlace, patient, type Place, until } from "./support.ts";

/** Notes what it handles. */
function noting(
  checkpoints: Place["checkpoints"],
  options: Partial<Projection<Counted, unknown>> = {},
): { projection: Projection<Counted, unknown>; handled: number[] } {
  const handled: number[] = [];
  const projection: Projection<Counted, unknown> = {
    name: "noting",
    checkpoints,
    handle: ({ data }) => void handled.push(data.by),
    ...options,
  };
  return { projection, handled };
}

for (const [kind, open] of Object.entries({ memory: memoryPlace, "Deno KV": kvPlace })) {
  Deno.test(`a projection begins at the end of the log, or behind a position, in ${kind}`, async () => {
    await using place = await open();
    const { store, checkpoints } = place as Place;
    const events = await add(store, 5);
    const atEnd = noting(checkpoints, { name: "end", from: "end" });
    const behind = noting(checkpoints, { name: "behind", from: events[2]!.position });
    await projectOnce(store, atEnd.projection, patient);
    await projectOnce(store, behind.projection, patient);
    assert.deepEqual([atEnd.handled, behind.handled], [[], [3, 4]]);
    await add(store, 2);
    await projectOnce(store, atEnd.projection, patient);
    await projectOnce(store, behind.projection, patient);
    assert.deepEqual([atEnd.handled, behind.handled], [[0, 1], [3, 4, 0, 1]]);
  });
}

Deno.test("a projection that begins at the end of an empty log handles everything that comes", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const checkpoints = new InMemoryCheckpoints();
  const { projection, handled } = noting(checkpoints, { from: "end" });
  await projectOnce(store, projection, patient);
  await add(store, 2); // nothing runs
  await projectOnce(store, projection, patient);
  assert.deepEqual(handled, [0, 1]);
});

Deno.test("a run that begins at the end follows the log from there, also after a restart", async () => {
  for (const before of [0, 3]) {
    await using store = new InMemoryEventStore<Counted>();
    await add(store, before);
    const { projection, handled } = noting(new InMemoryCheckpoints(), { from: "end" });
    {
      await using run = runProjection(store, projection);
      await until("it is live", () => run.state === "live");
      await add(store, 1);
      await run.waitFor((await store.getLastPosition())!);
    }
    assert.deepEqual(handled, [0]);
    await add(store, 2);
    await using run = runProjection(store, projection);
    await run.waitFor((await store.getLastPosition())!);
    assert.deepEqual(handled, [0, 0, 1]);
  }
});

Deno.test("a place to begin that is none is refused", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using other = new InMemoryEventStore<Counted>();
  const checkpoints = new InMemoryCheckpoints();
  const [foreign] = await add(other, 1);
  for (const from of ["beginning", foreign!.position]) {
    await assert.rejects(
      projectOnce(store, noting(checkpoints, { from }).projection, patient),
      InvalidPositionError,
    );
  }
  // Nothing of it was recorded.
  await add(store, 1);
  const { projection, handled } = noting(checkpoints);
  await projectOnce(store, projection, patient);
  assert.deepEqual(handled, [0]);
  for (const from of [5, "", null] as unknown as string[]) {
    await assert.rejects(
      projectOnce(store, noting(checkpoints, { from }).projection, patient),
      InvalidArgumentError,
    );
  }
  for (const continueFrom of [0, 2, "1"] as number[]) {
    await assert.rejects(
      projectOnce(store, noting(checkpoints, { continueFrom }).projection, patient),
      InvalidArgumentError,
    );
  }
});

Deno.test("a new version continues where the version before is, with what that one has parked", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const checkpoints = new InMemoryCheckpoints();
  await add(store, 4);
  const first = noting(checkpoints, { failure: { retries: 0, then: "park", laterEvents: "go-on" } });
  await projectOnce(store, {
    ...first.projection,
    handle: ({ data }) => {
      if (data.by === 1) throw new Error("not this one");
      first.handled.push(data.by);
    },
  }, patient);
  const second = noting(checkpoints, { version: 2, continueFrom: 1 });
  await add(store, 1);
  await projectOnce(store, second.projection, patient);
  assert.deepEqual([first.handled, second.handled], [[0, 2, 3], [0]]);
  const [entry] = await listParked(second.projection);
  await retryParked(store, second.projection, entry!.position);
  assert.deepEqual(second.handled, [0, 1]);
  // It has a checkpoint of its own now, and the version before keeps its own.
  await projectOnce(store, second.projection, patient);
  assert.deepEqual(second.handled, [0, 1]);
  const statuses = await projectionStatuses(store, checkpoints);
  assert.deepEqual(statuses.map(({ version, lag, parked }) => [version, lag!.events, parked.length]), [
    [1, 1, 1],
    [2, 0, 0],
  ]);
});

Deno.test("what is continued is taken over at once, also if there is nothing to handle", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const checkpoints = new InMemoryCheckpoints();
  await add(store, 2);
  const first = noting(checkpoints);
  const second = noting(checkpoints, { version: 2, continueFrom: 1 });
  await projectOnce(store, first.projection, patient);
  await projectOnce(store, second.projection, patient);
  await add(store, 2);
  await projectOnce(store, first.projection, patient); // the old program goes on for a while
  await projectOnce(store, second.projection, patient);
  assert.deepEqual(second.handled, [0, 1]);
});

Deno.test("without a version before it, a projection that would continue one begins at its from", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 2);
  const { projection, handled } = noting(new InMemoryCheckpoints(), { version: 2, continueFrom: 1 });
  await projectOnce(store, projection, patient);
  assert.deepEqual(handled, [0, 1]);
});

Deno.test("a map of handlers with one more type continues if its author declares it, and is refused otherwise", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 5); // the last one is "Removed"
  const checkpoints = new InMemoryCheckpoints();
  const calls: string[] = [];
  const note = ({ eventType, data }: Event<string, { by: number }>): void => {
    calls.push(`${eventType} ${data.by}`);
  };
  const added: Projection<Counted> = { name: "map", checkpoints, handle: { Added: note } };
  const both: Projection<Counted> = { ...added, handle: { Added: note, Removed: note } };
  await projectOnce(store, added, patient);
  await assert.rejects(projectOnce(store, both, patient), (error) => {
    assert(error instanceof ProjectionInUseError);
    assert.match(error.message, /continueFrom: 1/);
    return true;
  });
  calls.length = 0;
  await projectOnce(store, { ...both, continueFrom: 1 }, patient);
  await add(store, 5);
  await projectOnce(store, { ...both, continueFrom: 1 }, patient);
  assert.deepEqual(calls, ["Added 0", "Added 1", "Added 2", "Added 3", "Removed 4"]);
  // The filter is now that of both, so that the author may drop the word.
  await projectOnce(store, both, patient);
  await assert.rejects(projectOnce(store, added, patient), ProjectionInUseError);
  calls.length = 0;
  await projectOnce(store, { ...both, version: 2, handle: { Removed: note }, continueFrom: 1 }, patient);
  assert.deepEqual(calls, []);
});
