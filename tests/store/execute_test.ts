/** Commands: under an expected version, under an id, and on several actors at once. */

import assert from "node:assert/strict";
import {
  type Decider,
  DenoKvEventStore,
  type Event,
  type EventStore,
  execute,
  executeAll,
  FencedError,
  InMemoryEventStore,
  InvalidArgumentError,
  JetStreamEventStore,
  replay,
  type SnapshotStore,
  VersionConflictError,
  type View,
} from "@flowmade-one/aether";
import { startNatsServer } from "../support/nats_server.ts";

type Counted = Event<"Counted", { by: number }>;

function counter(
  decided?: { times: number },
  every?: number,
): Decider<number, number, Counted> {
  return {
    initialState: () => 0,
    evolve: (sum, { data }) => sum + data.by,
    decide: (by) => {
      if (decided) decided.times++;
      return Array.from({ length: by }, () => ({ eventType: "Counted" as const, data: { by: 1 } }));
    },
    ...(every !== undefined && { snapshot: { kind: "sum", schemaVersion: 1, every } }),
  };
}

/** Registers a test on every store. */
function testStores<E extends Event = Counted>(
  name: string,
  run: (store: EventStore<E> & SnapshotStore) => Promise<void>,
): void {
  Deno.test(`${name} (memory)`, async () => {
    await using store = new InMemoryEventStore<E>();
    await run(store);
  });
  Deno.test(`${name} (Deno KV)`, async () => {
    await using store = await DenoKvEventStore.open<E>(":memory:");
    await run(store);
  });
  Deno.test(`${name} (JetStream)`, async () => {
    await using server = await startNatsServer();
    await using store = await JetStreamEventStore.open<E>(server.url);
    await run(store);
  });
}

/** The same store, and how often it was read. */
function counting<T extends object>(store: T): { store: T; reads: string[] } {
  const reads: string[] = [];
  const counted = new Proxy(store, {
    get(target, name): unknown {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        if (/^(get|read)/.test(String(name))) reads.push(String(name));
        return value.apply(target, args);
      };
    },
  });
  return { store: counted, reads };
}

testStores("execute() from the last result reads nothing, and is as right as without it", async (plain) => {
  const { store, reads } = counting(plain);
  const decided = { times: 0 };
  let last = await execute(store, "a", counter(decided), 1);
  reads.length = 0;
  for (let version = 2; version <= 6; version++) {
    last = await execute(store, "a", counter(decided), 1, { from: last });
    assert.deepEqual([last.state, last.version], [version, version]);
  }
  assert.deepEqual(reads, []);
  assert.equal(decided.times, 6);
  // Others have stored: it is noticed when the command is stored.
  await execute(plain, "a", counter(), 2);
  last = await execute(store, "a", counter(decided), 1, { from: last });
  assert.deepEqual([last.state, last.version, decided.times], [9, 9, 8]);
  // A decision of nothing, a refusal, and a version that is expected count on the present state only.
  const old = last;
  await execute(plain, "a", counter(), 1);
  const nothing = await execute(store, "a", counter(), 0, { from: old });
  assert.deepEqual([nothing.state, nothing.version, nothing.events], [10, 10, []]);
  const upTo = (least: number): Decider<number, number, Counted> => ({
    ...counter(),
    decide: (by, sum) => {
      if (sum < least) throw new Error(`only ${sum}`);
      return counter().decide(by, sum);
    },
  });
  assert.equal((await execute(store, "a", upTo(10), 1, { from: old })).version, 11);
  await assert.rejects(execute(store, "a", upTo(12), 1, { from: old }), /only 11/);
  assert.equal((await execute(store, "a", counter(), 1, { from: old, expectedVersion: 11 })).version, 12);
  await assert.rejects(
    execute(store, "a", counter(), 1, { from: old, expectedVersion: 9 }),
    (error) => error instanceof VersionConflictError && error.currentVersion === 12,
  );
  // A replay will do, and a command keeps its name.
  const replayed = await replay(plain, "a", counter());
  const named = { from: replayed, commandId: "request-1" };
  assert.equal((await execute(store, "a", counter(), 1, named)).version, 13);
  assert.equal((await execute(store, "a", counter(), 1, named)).version, 13);
  const present = await replay(plain, "a", counter());
  assert.equal((await execute(store, "a", counter(), 1, { ...named, from: present })).version, 13);
  assert.equal(await plain.getLatestVersion("a"), 13);
});

testStores("execute() from the last result takes the snapshots that it takes without it", async (store) => {
  const snapshots: number[] = [];
  let last = await execute(store, "a", counter(undefined, 3), 1);
  for (let version = 2; version <= 8; version++) {
    last = await execute(store, "a", counter(undefined, 3), 1, { from: last });
    snapshots.push((await store.getLatestSnapshot("a", "sum"))?.version ?? 0);
    assert.equal(last.snapshotVersion, snapshots.at(-1));
  }
  assert.deepEqual(snapshots, [0, 3, 3, 3, 6, 6, 6]);
});

Deno.test("a command on Deno KV reads the actor's records once, also of a new actor and by a store that has not seen it", async () => {
  using kv = await Deno.openKv(":memory:");
  let lists = 0;
  const { list } = kv;
  kv.list = (...args): Deno.KvListIterator<never> => {
    lists++;
    return list.apply(kv, args) as Deno.KvListIterator<never>;
  };
  const open = (): Promise<DenoKvEventStore<Counted>> => DenoKvEventStore.open<Counted>(kv);
  for (let version = 1; version <= 3; version++) {
    const store = await open();
    lists = 0;
    assert.equal((await execute(store, "a", counter(), 1)).version, version);
    assert.equal(lists, 1);
    await store.close();
  }
  // What a takeOver has stored, or another store since, is noticed.
  const [one, other] = [await open(), await open()];
  await replay(one, "a", counter());
  await other.takeOver("a", 7);
  assert.equal((await execute(one, "a", counter(), 1, { fencingToken: 7 })).version, 4);
  await replay(one, "b", counter());
  await execute(other, "b", counter(), 2);
  assert.equal(
    (await one.append("b", [{ eventType: "Counted", data: { by: 1 } }], { expectedVersion: "any" }))[0]!
      .version,
    3,
  );
  await replay(other, "a", counter());
  await execute(one, "a", counter(), 1, { fencingToken: 7 });
  await assert.rejects(execute(other, "a", counter(), 1), FencedError);
  await one.close();
  await other.close();
});

Deno.test("execute() refuses what is no result in options.from", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const wrong: unknown[] = [null, 1, "x", [], {}, { state: 1 }, { state: 1, version: 1 }, {
    version: 1,
    snapshotVersion: 0,
  }];
  wrong.push({ state: 1, version: 1.5, snapshotVersion: 0 }, { state: 1, version: 1, snapshotVersion: 2 });
  for (const from of wrong) {
    await assert.rejects(
      execute(store, "a", counter(), 1, { from } as never),
      (error) => error instanceof InvalidArgumentError && error.argument === "options.from",
    );
  }
  assert.equal(await store.getLatestVersion("a"), 0);
});

testStores("execute() with expectedVersion decides only on that version", async (store) => {
  const decided = { times: 0 };
  const first = await execute(store, "a", counter(decided), 2, { expectedVersion: 0 });
  assert.deepEqual([first.version, first.state], [2, 2]);
  for (const expectedVersion of [0, 1, 3]) {
    await assert.rejects(execute(store, "a", counter(decided), 1, { expectedVersion }), (error) => {
      assert(error instanceof VersionConflictError);
      assert.deepEqual([error.actorId, error.attemptedVersion, error.currentVersion], [
        "a",
        expectedVersion + 1,
        2,
      ]);
      return true;
    });
    await assert.rejects(execute(store, "a", counter(decided), 0, { expectedVersion }), VersionConflictError);
  }
  assert.equal(decided.times, 1);
  await execute(store, "a", counter(decided), 1, { expectedVersion: 2 });
  const racers = Array.from({ length: 5 }, () => execute(store, "a", counter(), 1, { expectedVersion: 3 }));
  const settled = await Promise.allSettled(racers);
  assert.equal(settled.filter(({ status }) => status === "fulfilled").length, 1);
  assert.equal(await store.getLatestVersion("a"), 4);
});

testStores(
  "execute() with commandId answers a repetition with what is stored, and does not decide",
  async (store) => {
    const decided = { times: 0 };
    const first = await execute(store, "a", counter(decided), 2, { commandId: "request-1" });
    assert.deepEqual(first.events.map(({ id }) => id), ["request-1/1", "request-1/2"]);
    assert.deepEqual(await execute(store, "a", counter(decided), 2, { commandId: "request-1" }), first);
    await execute(store, "a", counter(decided), 3); // the history moves on
    assert.deepEqual(await execute(store, "a", counter(decided), 9, { commandId: "request-1" }), first);
    // An If-Match that has become false by the command itself is answered too.
    const options = { commandId: "request-1", expectedVersion: 0 };
    assert.deepEqual(await execute(store, "a", counter(decided), 2, options), first);
    assert.equal(decided.times, 2);
    const other = await execute(store, "a", counter(decided), 1, { commandId: "request-10" });
    assert.deepEqual([other.version, decided.times], [6, 3]);
    assert.equal((await execute(store, "b", counter(), 1, { commandId: "request-1" })).version, 1);
  },
);

testStores(
  "execute() with commandId finds what a snapshot stands for, within commandHistory",
  async (store) => {
    const decided = { times: 0 };
    const decider = counter(decided, 5);
    const first = await execute(store, "a", decider, 2, { commandId: "request-1" });
    for (let round = 0; round < 10; round++) await execute(store, "a", decider, 2);
    assert.notEqual(await store.getLatestSnapshot("a", "sum"), undefined);
    const times = decided.times;
    const again = await execute(store, "a", decider, 2, { commandId: "request-1" });
    assert.deepEqual(again, first);
    assert.equal(decided.times, times);
    await execute(store, "a", decider, 2, { commandId: "request-1", commandHistory: 5 });
    assert.equal(decided.times, times + 1);
  },
);

testStores("execute() with commandId at once from many places stores one command", async (store) => {
  const results = await Promise.all(
    Array.from(
      { length: 10 },
      () => execute(store, "a", counter(), 2, { commandId: "request-1", retries: 50 }),
    ),
  );
  for (const { version, events } of results) assert.deepEqual([version, events.length], [2, 2]);
  assert.equal(await store.getLatestVersion("a"), 2);
});

Deno.test("execute() refuses ids of commands that are none, events with ids of their own, and unknown options", async () => {
  await using store = new InMemoryEventStore<Counted>();
  for (const commandId of ["", "x".repeat(129), "\ud800", 5 as never]) {
    const refusal = { name: "InvalidArgumentError", argument: "options.commandId" };
    await assert.rejects(execute(store, "a", counter(), 1, { commandId }), refusal);
  }
  const decider = {
    ...counter(),
    decide: () => [{ id: "own", eventType: "Counted" as const, data: { by: 1 } }],
  };
  await assert.rejects(execute(store, "a", decider, 1, { commandId: "c" }), InvalidArgumentError);
  for (const expectedVersion of [-1, 1.5, "any" as never, null as never]) {
    const refusal = { name: "InvalidArgumentError", argument: "options.expectedVersion" };
    await assert.rejects(execute(store, "a", counter(), 1, { expectedVersion }), refusal);
  }
  await assert.rejects(
    execute(store, "a", counter(), 1, { expectedVersoin: 1 } as never),
    { name: "InvalidArgumentError", argument: "options.expectedVersoin" },
  );
  assert.equal(await store.getLatestVersion("a"), 0);
});

Deno.test("execute() appends once where evolve or decide throws a VersionConflictError of its own", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const conflict = new VersionConflictError({ actorId: "other", attemptedVersion: 1, currentVersion: 1 });
  let times = 0;
  const evolving: Decider<number, number, Counted> = {
    ...counter(),
    evolve: () => {
      throw conflict;
    },
  };
  await assert.rejects(execute(store, "a", evolving, 1), (error) => error === conflict);
  assert.equal(await store.getLatestVersion("a"), 1);
  const deciding: Decider<number, number, Counted> = {
    ...counter(),
    decide: () => {
      times++;
      throw conflict;
    },
  };
  await assert.rejects(execute(store, "b", deciding, 1), (error) => error === conflict);
  assert.deepEqual([times, await store.getLatestVersion("b")], [1, 0]);
});

Deno.test("execute() does not retry where a condition of the caller does not hold", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const decided = { times: 0 };
  const conditions = [{ actorId: "b", version: 4 }];
  await assert.rejects(execute(store, "a", counter(decided), 1, { conditions }), VersionConflictError);
  assert.equal(decided.times, 1);
});

type Enrolled = Event<"Enrolled", { course: string }>;
type SeatTaken = Event<"SeatTaken", { student: string }>;
const courses: View<number, Enrolled> = { initialState: () => 0, evolve: (count) => count + 1 };
const seats: View<number, SeatTaken> = { initialState: () => 20, evolve: (free) => free - 1 };

async function enrol(
  store: EventStore<Enrolled | SeatTaken>,
  student: string,
  commandId?: string,
): Promise<number> {
  const { course } = await executeAll(
    store,
    { student: [courses, student], course: [seats, "course"] },
    ({ student: taken, course: free }) => {
      if (taken >= 1) throw new Error("has a course");
      if (free === 0) throw new Error("full");
      return {
        student: [{ eventType: "Enrolled", data: { course: "course" } }],
        course: [{ eventType: "SeatTaken", data: { student } }],
      };
    },
    { retries: 1_000, ...(commandId && { commandId }) },
  );
  return course.state;
}

async function enrolAll(stores: readonly EventStore<Enrolled | SeatTaken>[]): Promise<void> {
  const results = await Promise.allSettled(
    Array.from({ length: 30 }, (_, index) => enrol(stores[index % stores.length]!, `student-${index}`)),
  );
  assert.equal(results.filter(({ status }) => status === "fulfilled").length, 20);
  for (const result of results) if (result.status === "rejected") assert.equal(result.reason.message, "full");
  assert.equal((await replay(stores[0]!, "course", seats)).state, 0);
}

Deno.test("executeAll() gives a course of 20 seats to 20 of 30 students who come at once (memory)", async () => {
  await using store = new InMemoryEventStore<Enrolled | SeatTaken>();
  await enrolAll([store]);
});

Deno.test("executeAll() gives a course of 20 seats to 20 of 30 students who come at once (Deno KV, two stores)", async () => {
  const path = await Deno.makeTempFile();
  {
    await using one = await DenoKvEventStore.open<Enrolled | SeatTaken>(path);
    await using two = await DenoKvEventStore.open<Enrolled | SeatTaken>(path);
    await enrolAll([one, two]);
  }
  for (const suffix of ["", "-shm", "-wal"]) await Deno.remove(path + suffix).catch(() => {});
});

Deno.test("executeAll() gives a course of 20 seats to 20 of 30 students who come at once (JetStream, two stores)", async () => {
  await using server = await startNatsServer();
  await using one = await JetStreamEventStore.open<Enrolled | SeatTaken>(server.url);
  await using two = await JetStreamEventStore.open<Enrolled | SeatTaken>(server.url);
  await enrolAll([one, two]);
});

testStores<Enrolled | SeatTaken>(
  "executeAll() stores under the condition of actors that it only reads, and decides again",
  async (store) => {
    let tries = 0;
    let other: Promise<unknown> | undefined;
    const saveEvents = store.saveEvents.bind(store);
    store.saveEvents = async (...save) => {
      await other; // the other writer comes first
      return await saveEvents(...save);
    };
    const result = await executeAll(
      store,
      { student: [courses, "s"], course: [seats, "c"] },
      ({ course }) => {
        tries++;
        other ??= store.append("c", [{ eventType: "SeatTaken", data: { student: "x" } }], {
          expectedVersion: "any",
        });
        return { student: [{ eventType: "Enrolled", data: { course: `free ${course}` } }] };
      },
    );
    assert.deepEqual([tries, result.student.events[0]?.data.course], [2, "free 19"]);
    assert.deepEqual([result.course.version, result.course.state, result.course.events], [1, 19, []]);
  },
);

testStores<Enrolled | SeatTaken>(
  "executeAll() with commandId answers a repetition with what is stored",
  async (store) => {
    assert.equal(await enrol(store, "a", "request-1"), 19);
    assert.equal(await enrol(store, "b"), 18);
    assert.equal(await enrol(store, "a", "request-1"), 19);
    assert.equal(await store.getLatestVersion("course"), 2);
    await assert.rejects(enrol(store, "a", "request-2"), /has a course/);
    const places = Array.from({ length: 5 }, () => enrol(store, "c", "request-3"));
    assert.deepEqual(new Set(await Promise.all(places)), new Set([17]));
    assert.equal(await store.getLatestVersion("c"), 1);
  },
);

Deno.test("executeAll() refuses an actor under two names, names that it does not know, and unknown options", async () => {
  await using store = new InMemoryEventStore<Enrolled | SeatTaken>();
  const actors = { student: [courses, "s"], course: [seats, "c"] } as const;
  const nothing = (): Record<string, never> => ({});
  const twice = { one: [courses, "s"], two: [courses, "s"] } as const;
  await assert.rejects(executeAll(store, twice, nothing), { argument: "actors.two" });
  await assert.rejects(executeAll(store, { a: courses as never }, nothing), { argument: "actors.a" });
  await assert.rejects(executeAll(store, { a: [courses, ""] }, nothing), InvalidArgumentError);
  await assert.rejects(executeAll(store, actors, () => ({ x: [] }) as never), { argument: "decide" });
  await assert.rejects(executeAll(store, actors, () => [] as never), { argument: "decide" });
  await assert.rejects(executeAll(store, actors, () => undefined as never), { argument: "decide" });
  await assert.rejects(executeAll(store, actors, nothing, { retry: 1 } as never), {
    argument: "options.retry",
  });
  assert.equal(await store.getLastPosition(), undefined);
});

Deno.test("replay() refuses a version that the actor has not reached, and takes a plain date", async () => {
  await using store = new InMemoryEventStore<Counted>({ now: () => new Date("2026-01-01T12:00:00Z") });
  await store.saveEvent({ actorId: "a", version: 2, eventType: "Counted", data: { by: 1 } });
  await store.saveEvent({ actorId: "a", version: 7, eventType: "Counted", data: { by: 1 } });
  const sum = counter();
  assert.equal((await replay(store, "a", sum, { atVersion: 5 })).version, 2); // in a gap
  for (const [actorId, atVersion] of [["a", 8], ["new", 1]] as const) {
    await assert.rejects(replay(store, actorId, sum, { atVersion }), {
      name: "InvalidArgumentError",
      argument: "options.atVersion",
      message: /has only reached version [07]/,
    });
  }
  assert.equal((await replay(store, "a", sum, { atTime: "2026-01-01" })).version, 0);
  assert.equal((await replay(store, "a", sum, { atTime: "2026-01-02" })).version, 7);
  for (const atTime of ["2026-13-01", "tomorrow", "2026-02-30", "2026-1-1"]) {
    await assert.rejects(replay(store, "a", sum, { atTime }), { message: new RegExp(`and is "${atTime}"`) });
  }
});
