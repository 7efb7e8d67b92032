/** Lanes, segments, keys and checkpoints that cannot be: every call that takes a projection names the field. */

import assert from "node:assert/strict";
import {
  changeSegments,
  type CheckpointStore,
  discardParked,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidArgumentError,
  type KvTransaction,
  listParked,
  type Projection,
  ProjectionStoppedError,
  projectOnce,
  rebuildProjection,
  retryParked,
  runProjection,
  waitFor,
} from "../../mod.ts";
import { add, type Counted, patient, quiet } from "./support.ts";

/** Whether an error is of the argument. */
function named(argument: string): (error: unknown) => true {
  return (error) => {
    assert(error instanceof InvalidArgumentError, String(error));
    assert.equal(error.argument, argument);
    return true;
  };
}

type Calls = Readonly<Record<string, (projection: Projection<Counted>) => Promise<unknown>>>;

/** Each call that handles events. It rejects with what is wrong with the projection. */
function callsOn(store: InMemoryEventStore<Counted>): Calls {
  return {
    projectOnce: (projection) => projectOnce(store, projection, { ...quiet, ...patient }),
    runProjection: async (projection) => {
      await using run = runProjection(store, projection, quiet);
      await run.finished;
    },
    rebuildProjection: async (projection) => {
      await using rebuild = rebuildProjection(store, { ...projection, version: 2 }, quiet);
      await rebuild.finished;
    },
    retryParked: (projection) => retryParked(store, projection, "1"),
    discardParked: (projection) => discardParked(store, projection, "1"),
  };
}

const OUT_OF_RANGE = [
  0,
  1.5,
  -1,
  1025,
  100_000,
  Number.NaN,
  Infinity,
  "4",
  4n,
  null,
] as unknown[] as number[];

Deno.test("lanes, segments and keys that cannot be are refused by every call, and the error names the field", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 4);
  const checkpoints = new InMemoryCheckpoints();
  const good: Projection<Counted> = { name: "good", checkpoints, handle: () => assert.fail("handled") };
  const bad: (readonly [string, Partial<Projection<Counted>>])[] = [
    ...OUT_OF_RANGE.map((lanes) => ["projection.lanes", { lanes }] as const),
    ...OUT_OF_RANGE.map((segments) => ["projection.segments", { segments }] as const),
    ["projection.key", { key: "actorId" as never }],
    ["projection.key", { key: null as never }],
  ];
  for (const [argument, change] of bad) {
    for (const call of Object.values(callsOn(store))) {
      await assert.rejects(call({ ...good, ...change }), named(argument));
    }
    if (argument === "projection.key") {
      await assert.rejects(waitFor(store, { ...good, ...change }, "1", { timeout: 0 }), named(argument));
    }
  }
  for (const segments of [...OUT_OF_RANGE, undefined as never]) {
    await assert.rejects(changeSegments(good, segments), named("segments"));
  }
  assert.deepEqual(await checkpoints.list(), []);
});

Deno.test("segments are refused where one process has all events, and the error names the field", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const projection: Projection<Counted> = {
    ...{ name: "p", version: 2, checkpoints: new InMemoryCheckpoints(), segments: 4 },
    handle: () => assert.fail("handled"),
  };
  await assert.rejects(projectOnce(store, projection, patient), named("projection.segments"));
  assert.throws(() => rebuildProjection(store, projection), named("projection.segments"));
});

/** Keys of one event that are none. */
const NO_KEYS: Readonly<Record<string, () => unknown>> = {
  "an error": () => {
    throw new Error("no customer");
  },
  "a value that is no error": () => {
    throw Object.create(null);
  },
  "a number": () => 5,
  nothing: () => undefined,
  "half a character": () => "\ud800",
  "a promise that rejects": () => Promise.reject(new Error("no customer")),
};

for (const [what, key] of Object.entries(NO_KEYS)) {
  Deno.test(`a key that is ${what} is the handler's failure under each policy, and names the field`, async () => {
    await using store = new InMemoryEventStore<Counted>();
    await add(store, 20, ["a", "b", "c", "d"]);
    for (const shape of [{}, { lanes: 4 }, { segments: 2 }, { segments: 2, lanes: 4 }]) {
      const handled: number[] = [];
      const projection: Projection<Counted> = {
        ...{ name: "keyed", checkpoints: new InMemoryCheckpoints(), ...shape },
        key: (event) => event.data.by === 7 ? key() as string : event.actorId,
        handle: async ({ data }) => {
          await Promise.resolve();
          handled.push(data.by);
        },
        failure: { retries: 0, then: "park" },
      };
      await using run = runProjection(store, projection, quiet);
      const last = (await store.getLastPosition())!;
      // The last event is of the actor whose event is parked.
      await assert.rejects(run.waitFor(last), { name: "ProjectionBehindError" });
      const [parked, ...others] = await listParked(projection);
      assert.deepEqual([parked?.actorId, others.length], ["d", 0]);
      assert.match(parked!.error, /^InvalidArgumentError: projection\.key: must return a well-formed string/);
      assert.deepEqual(handled.toSorted((a, b) => a - b), [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        8,
        9,
        10,
        12,
        13,
        14,
        16,
        17,
        18,
      ]);
      const stopping = { ...projection, name: "stopping", failure: { retries: 0 } };
      await using stopped = runProjection(store, stopping, quiet);
      await assert.rejects(stopped.finished, (error) => {
        assert(error instanceof ProjectionStoppedError, String(error));
        return named("projection.key")(error.cause);
      });
    }
  });
}

Deno.test("a key that throws for a later event keeps no retry, no discard and no wait from its end", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 12, ["a", "b", "c"]);
  for (const settle of [retryParked, discardParked]) {
    let isRepaired = false;
    const handled: number[] = [];
    const projection: Projection<Counted> = {
      name: "keyed",
      checkpoints: new InMemoryCheckpoints(),
      key: ({ actorId, data }) => {
        if (data.by === 7) throw new Error("no customer");
        return actorId === "a" ? "first" : "second";
      },
      handle: ({ data }) => {
        if (data.by === 3 && !isRepaired) throw new Error("out of paper");
        handled.push(data.by);
      },
      failure: { retries: 0, then: "park" },
    };
    await projectOnce(store, projection, { ...quiet, ...patient });
    const positions = await Array.fromAsync(store.readAll(), ({ position }) => position);
    await assert.rejects(waitFor(store, projection, positions[7]!), { name: "ProjectionBehindError" });
    await waitFor(store, projection, positions[8]!);
    isRepaired = true;
    await settle(store, projection, positions[3]!);
    const tried = settle === retryParked ? [3, 6, 9] : [6, 9];
    assert.deepEqual(handled.filter((by) => by % 3 === 0 && by > 0), tried);
    assert.deepEqual((await listParked(projection)).map(({ position }) => position), [positions[7]]);
  }
});

Deno.test("a handler that writes with a transaction which its checkpoints do not have ends every call, and the error names the field", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 3);
  const checkpoints = () => new InMemoryCheckpoints() as unknown as CheckpointStore<KvTransaction>;
  const handle = (_: unknown, { transaction }: { readonly transaction: KvTransaction }): void =>
    void transaction.set(["a"], 1);
  const { retryParked: _, discardParked: __, ...running } = callsOn(store);
  for (const call of Object.values(running)) {
    const projection = { name: "wrong", checkpoints: checkpoints(), handle };
    await assert.rejects(call(projection as never), named("projection.checkpoints"));
  }
  for (const shape of [{ segments: 2 }, { segments: 2, lanes: 4 }]) {
    const projection = { name: "wrong", checkpoints: checkpoints(), handle, ...shape };
    await using run = runProjection(store, projection, quiet);
    await assert.rejects(run.finished, named("projection.checkpoints"));
  }
  for (const shape of [{}, { lanes: 4 }]) {
    let mayWrite = false;
    const projection: Projection<Counted, KvTransaction> = {
      ...{ name: "wrong", checkpoints: checkpoints(), ...shape },
      handle: (event, context) => {
        if (!mayWrite) throw new Error("out of paper");
        handle(event, context);
      },
      failure: { retries: 0, then: "park" },
    };
    await projectOnce(store, projection, { ...quiet, ...patient });
    const [parked] = await listParked(projection);
    mayWrite = true;
    await assert.rejects(retryParked(store, projection, parked!.position), named("projection.checkpoints"));
    assert.equal((await listParked(projection)).length, 3, "it stays parked");
  }
});

Deno.test("segments cannot be changed during a rebuild, neither those of the next version nor those of the one before", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 40);
  const checkpoints = new InMemoryCheckpoints();
  const version = (version: number, lanes = 1): Projection<Counted> => (
    { name: "built", version, checkpoints, lanes, handle: () => {} }
  );
  await projectOnce(store, version(1), patient);
  await using rebuild = rebuildProjection(store, version(3, 8), { ...quiet, replaces: 1, maxRate: 20 });
  while (!(await checkpoints.load({ name: "built", version: 3 }))) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  for (const which of [1, 3]) await assert.rejects(changeSegments(version(which), 4), named("segments"));
  await rebuild.close();
  await assert.rejects(changeSegments(version(1), 4), /version 3 is being built to replace version 1/);
  await checkpoints.delete({ name: "built", version: 3 });
  await changeSegments(version(1), 4);
});

Deno.test("a rebuild of a version that has segments ends with an error that names the field, and does not run on", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 4);
  const checkpoints = new InMemoryCheckpoints();
  const projection: Projection<Counted> = { name: "built", checkpoints, handle: () => {} };
  await using before = runProjection(store, { ...projection, segments: 4 }, quiet);
  await before.waitFor((await store.getLastPosition())!);
  const warnings: string[] = [];
  await using rebuild = rebuildProjection(store, { ...projection, version: 2 }, {
    onWarning: ({ code }) => warnings.push(code),
  });
  await assert.rejects(rebuild.takenOver, named("projection.segments"));
  await assert.rejects(rebuild.finished, named("projection.segments"));
  assert.deepEqual([rebuild.state, warnings], ["stopped", ["projection-stopped"]]);
});
