/** Projections over stored events that are handed out as several: each of them is handled once, whatever ends in between. */

import assert from "node:assert/strict";
import {
  type CheckpointStore,
  discardParked,
  type Event,
  type EventDefinitions,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryStorage,
  listParked,
  type Projection,
  projectionStatuses,
  projectOnce,
  retryParked,
  runProjection,
} from "../../mod.ts";

const SPLIT: EventDefinitions = {
  Line: {
    version: 2,
    renamedFrom: "Placed",
    upcast: [(lines: readonly string[], event) => event.several(lines)],
  },
};

/** Three stored events of two actors, which are five lines. */
async function begin(): Promise<{ store: EventStore; checkpoints: CheckpointStore }> {
  const storage = new InMemoryStorage();
  const old = new InMemoryEventStore({ storage });
  await old.append("a", [{ eventType: "Placed", data: ["a1", "a2", "a3"] }], { expectedVersion: 0 });
  await old.append("b", [{ eventType: "Placed", data: ["b1"] }], { expectedVersion: 0 });
  await old.append("a", [{ eventType: "Placed", data: ["a4"] }], { expectedVersion: 1 });
  return {
    store: new InMemoryEventStore({ storage, events: SPLIT }),
    checkpoints: new InMemoryCheckpoints(),
  };
}

const noting = (
  checkpoints: CheckpointStore,
  poison: ReadonlySet<unknown>,
  failure: Projection["failure"],
): { projection: Projection; seen: unknown[] } => {
  const seen: unknown[] = [];
  const handle = ({ data }: Event): void => {
    if (poison.has(data)) throw new Error("poison");
    seen.push(data);
  };
  return {
    projection: { name: "p", checkpoints, handle, checkpointEvents: 1, failure: { ...failure } },
    seen,
  };
};

Deno.test("a stored event that is handed out as several is resumed behind those that are handled", async () => {
  const { store, checkpoints } = await begin();
  const poison = new Set<unknown>(["a2"]);
  const { projection, seen } = noting(checkpoints, poison, { retries: 0 });
  await assert.rejects(projectOnce(store, projection), { name: "ProjectionStoppedError" });
  await assert.rejects(projectOnce(store, projection), { name: "ProjectionStoppedError" });
  assert.deepEqual(seen, ["a1"]);
  poison.clear();
  await projectOnce(store, projection);
  assert.deepEqual(seen, ["a1", "a2", "a3", "b1", "a4"]);
  const [status] = await projectionStatuses(store, checkpoints);
  assert.deepEqual([status!.position, status!.handled], [await store.getLastPosition(), 5]);
});

for (const laterEvents of ["wait", "go-on"] as const) {
  Deno.test(`of a stored event that is handed out as several one is parked with those behind it (${laterEvents})`, async () => {
    const { store, checkpoints } = await begin();
    const poison = new Set<unknown>(["a2"]);
    const { projection, seen } = noting(checkpoints, poison, { retries: 0, then: "park", laterEvents });
    await projectOnce(store, projection, { onWarning: () => {} });
    const others = laterEvents === "wait" ? ["b1"] : ["b1", "a4"];
    assert.deepEqual(seen, ["a1", ...others]);
    const [entry, ...more] = await listParked(projection);
    assert.deepEqual([entry!.part, more.length], [1, 0]);
    await assert.rejects(retryParked(store, projection, entry!.position), { name: "ProjectionStoppedError" });
    poison.clear();
    poison.add("a3");
    await assert.rejects(retryParked(store, projection, entry!.position), { name: "ProjectionStoppedError" });
    assert.deepEqual(seen.slice(1 + others.length), ["a2"]);
    const [again] = await listParked(projection);
    assert.deepEqual([again!.part, again!.position], [2, entry!.position]);
    poison.clear();
    await retryParked(store, projection, entry!.position);
    assert.deepEqual(
      seen.slice(1 + others.length),
      laterEvents === "wait" ? ["a2", "a3", "a4"] : ["a2", "a3"],
    );
    assert.deepEqual(await listParked(projection), []);
  });

  Deno.test(`one of several events is discarded, and those behind it are handled (${laterEvents})`, async () => {
    const { store, checkpoints } = await begin();
    const { projection, seen } = noting(checkpoints, new Set<unknown>(["a2"]), {
      retries: 0,
      then: "park",
      laterEvents,
    });
    await projectOnce(store, projection, { onWarning: () => {} });
    const before = seen.length;
    await discardParked(store, projection, (await listParked(projection))[0]!.position);
    assert.deepEqual(seen.slice(before), laterEvents === "wait" ? ["a3", "a4"] : ["a3"]);
    assert.deepEqual(await listParked(projection), []);
  });
}

Deno.test("reactions to several events of one stored event are stored once each", async () => {
  const { store, checkpoints } = await begin();
  const projection: Projection = {
    name: "p",
    checkpoints,
    filter: { eventTypes: ["Line"] },
    handle: ({ data }) => [{ actorId: "shop", events: [{ eventType: "Packed", data }] }],
  };
  await projectOnce(store, projection);
  await projectOnce(store, { ...projection, version: 2 });
  const packed = (await store.getEvents("shop")).map(({ data }) => data);
  assert.deepEqual(packed, ["a1", "a2", "a3", "b1", "a4"]);
});

Deno.test("a run follows a log whose events are handed out as several, and chooses by the types that are handed out", async () => {
  const { store, checkpoints } = await begin();
  const seen: unknown[] = [];
  await using run = runProjection(store, {
    name: "lines",
    checkpoints,
    handle: { Line: ({ data }: Event) => void seen.push(data) },
  });
  await run.waitFor((await store.getLastPosition())!);
  const [live] = await store.append("c", [{ eventType: "Placed", data: ["c1", "c2"] }], {
    expectedVersion: 0,
  });
  await run.waitFor(live!.position);
  assert.deepEqual(seen, ["a1", "a2", "a3", "b1", "a4", "c1", "c2"]);
});

for (const shape of [{}, { lanes: 4 }, { segments: 4 }, { segments: 4, lanes: 4 }]) {
  const what = Object.entries(shape).map(([name, count]) => `${count} ${name}`).join(", ") || "one by one";
  Deno.test(`those that one stored event is handed out as have the key of the first: ${what}`, async () => {
    const storage = new InMemoryStorage();
    await using old = new InMemoryEventStore({ storage });
    for (let event = 0; event < 20; event++) {
      const lines = ["x", "y", "z"].map((line) => `${event} ${line}`);
      await old.append("shop", [{ eventType: "Placed", data: lines }], { expectedVersion: event });
    }
    await using store = new InMemoryEventStore({ storage, events: SPLIT });
    const seen = new Map<string, string[]>();
    let mayPass = false;
    const projection: Projection = {
      ...{ name: "lines", checkpoints: new InMemoryCheckpoints(), ...shape },
      key: ({ data }) => data as string,
      handle: async ({ data }) => {
        await Promise.resolve();
        if (data === "7 y" && !mayPass) throw new Error("poison");
        const [event, line] = (data as string).split(" ") as [string, string];
        seen.set(event, [...seen.get(event) ?? [], line]);
      },
      failure: { retries: 0, then: "park" },
    };
    await using run = runProjection(store, projection, { onWarning: () => {} });
    await run.waitFor((await store.getLastPosition())!);
    assert.deepEqual((await listParked(projection)).map(({ key, part }) => [key, part]), [["7 x", 1]]);
    mayPass = true;
    for (const { position } of await listParked(projection)) await retryParked(store, projection, position);
    assert.deepEqual(await listParked(projection), []);
    assert.deepEqual([...seen.values()], Array.from({ length: 20 }, () => ["x", "y", "z"]));
  });
}
