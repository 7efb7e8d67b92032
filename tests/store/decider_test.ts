/** `replay` and `execute`: from events to state, from commands to events. */

import assert from "node:assert/strict";
import {
  DamagedHistoryError,
  type Decider,
  type Event,
  execute,
  InMemoryEventStore,
  InMemoryStorage,
  InvalidArgumentError,
  replay,
  type Snapshot,
  VersionConflictError,
  type View,
  type Warning,
} from "@flowmade-one/aether";
import type { ReplayStore } from "@flowmade-one/aether/memory";

type Counted = Event<"Counted", { readonly by: number }>;

interface Count {
  readonly total: number;
}

const counting: View<Count, Counted> = {
  initialState: () => ({ total: 0 }),
  evolve: ({ total }, { data }) => ({ total: total + data.by }),
};

const counter: Decider<Count, number, Counted> = {
  ...counting,
  decide: (by) => by === 0 ? [] : [{ eventType: "Counted", data: { by } }],
};

const snapshotting: Decider<Count, number, Counted> = {
  ...counter,
  snapshot: { kind: "count", schemaVersion: 1, every: 5 },
};

/** Events that count 1, 2, 3 ..., one a day from the first of January on. */
async function countTo(store: InMemoryEventStore<Counted>, last: number): Promise<void> {
  for (let by = 1; by <= last; by++) {
    const timestamp = new Date(Date.UTC(2026, 0, by));
    await store.append("counter", [{ eventType: "Counted", data: { by }, timestamp }], {
      expectedVersion: by - 1,
    });
  }
}

function snapshot(version: number, total: number, schemaVersion = 1): Snapshot<Count> {
  const timestamp = "2026-01-31T12:00:00.000Z";
  return { actorId: "counter", kind: "count", schemaVersion, version, state: { total }, timestamp };
}

Deno.test("replay() folds an actor's events, up to a version or a time", async () => {
  await using store = new InMemoryEventStore<Counted>();
  assert.deepEqual(await replay(store, "counter", counting), {
    state: { total: 0 },
    version: 0,
    events: 0,
    snapshotVersion: 0,
  });
  await countTo(store, 4);
  const at = async (options: Parameters<typeof replay>[3]): Promise<unknown> => {
    const { state, version } = await replay(store, "counter", counting, options);
    return [state.total, version];
  };
  assert.deepEqual(await at({}), [10, 4]);
  assert.deepEqual(await at({ atVersion: 0 }), [0, 0]);
  assert.deepEqual(await at({ atVersion: 2 }), [3, 2]);
  await assert.rejects(at({ atVersion: 5 }), { argument: "options.atVersion" });
  assert.deepEqual(await at({ atTime: "2025-12-31T00:00:00Z" }), [0, 0]);
  assert.deepEqual(await at({ atTime: "2026-01-02T00:00:00.000Z" }), [3, 2]);
  assert.deepEqual(await at({ atTime: "2026-01-02T00:59:59+01:00" }), [1, 1]);
  assert.deepEqual(await at({ atTime: new Date("2026-02-01") }), [10, 4]);
  assert.deepEqual(await at({ atTime: new Date("2026-01-03"), atVersion: 1 }), [1, 1]);
});

Deno.test("replay() stops at the first event that is later than the time, no matter what follows", async () => {
  await using store = new InMemoryEventStore<Counted>();
  for (const [index, day] of [1, 5, 2].entries()) {
    const timestamp = new Date(Date.UTC(2026, 0, day));
    await store.append("counter", [{ eventType: "Counted", data: { by: 1 }, timestamp }], {
      expectedVersion: index,
    });
  }
  assert.equal((await replay(store, "counter", counting, { atTime: "2026-01-03T00:00:00Z" })).version, 1);
});

Deno.test("replay() refuses a version or a time that is none, and ends on a signal", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await countTo(store, 2);
  for (const atVersion of [-1, 1.5, NaN]) {
    await assert.rejects(replay(store, "counter", counting, { atVersion }), InvalidArgumentError);
  }
  for (const atTime of ["yesterday", new Date(NaN)]) {
    await assert.rejects(replay(store, "counter", counting, { atTime }), InvalidArgumentError);
  }
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  await assert.rejects(replay(store, "counter", counting, { signal }), reason);
});

Deno.test("replay() begins with a snapshot, except where it goes too far or a time is asked for", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await countTo(store, 6);
  await store.saveSnapshot(snapshot(4, 1_000)); // a total that no fold gives, so that its use shows
  const replayed = (options = {}): Promise<unknown> =>
    replay(store, "counter", snapshotting, options).then(({ state, version, events, snapshotVersion }) => [
      state.total,
      version,
      events,
      snapshotVersion,
    ]);
  assert.deepEqual(await replayed(), [1_011, 6, 2, 4]);
  assert.deepEqual(await replayed({ atVersion: 5 }), [1_005, 5, 1, 4]);
  assert.deepEqual(await replayed({ atVersion: 4 }), [1_000, 4, 0, 4]);
  assert.deepEqual(await replayed({ atVersion: 3 }), [6, 3, 3, 0]);
  assert.deepEqual(await replayed({ atTime: "2026-01-05T00:00:00Z" }), [15, 5, 5, 0]);
  assert.equal((await replay(store, "counter", counting)).state.total, 21);
});

Deno.test("replay() ignores a snapshot of another schema version, with a warning", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await countTo(store, 3);
  await store.saveSnapshot(snapshot(2, 1_000, 2));
  const warnings: Warning[] = [];
  const onWarning = (warning: Warning): void => void warnings.push(warning);
  const { state, snapshotVersion } = await replay(store, "counter", snapshotting, { onWarning });
  assert.deepEqual([state.total, snapshotVersion], [6, 0]);
  assert.deepEqual(warnings.map(({ code }) => code), ["snapshot-ignored"]);
});

Deno.test("replay() takes a snapshot ahead of the history for damage", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await countTo(store, 3);
  const lost: ReplayStore<Counted> = {
    readEvents: (actorId, options) => store.readEvents(actorId, options),
    getLatestVersion: (actorId) => store.getLatestVersion(actorId),
    saveSnapshot: () => Promise.resolve(),
    getLatestSnapshot: <S>() => Promise.resolve(snapshot(5, 15) as unknown as Snapshot<S>),
  };
  await assert.rejects(
    replay(lost, "counter", snapshotting),
    (error) => error instanceof DamagedHistoryError && error.actorId === "counter" && error.version === 4,
  );
});

Deno.test("execute() appends what was decided, and returns the state after it", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await countTo(store, 2);
  const { state, version, events } = await execute(store, "counter", counter, 7);
  assert.deepEqual([state.total, version], [10, 3]);
  assert.deepEqual(await store.getEvents("counter", 3), events);
});

Deno.test("execute() stores nothing if nothing was decided, or the decider refuses", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await countTo(store, 2);
  assert.deepEqual(await execute(store, "counter", counter, 0), {
    state: { total: 3 },
    version: 2,
    events: [],
    snapshotVersion: 0,
  });
  const refusal = new Error("too much");
  const refusing: typeof counter = {
    ...counter,
    decide: () => {
      throw refusal;
    },
  };
  await assert.rejects(execute(store, "counter", refusing, 1), refusal);
  assert.equal(await store.getLatestVersion("counter"), 2);
});

Deno.test("execute() decides again where other writers came first: no command is lost or done twice", async () => {
  const storage = new InMemoryStorage();
  await using one = new InMemoryEventStore<Counted>({ storage });
  await using two = new InMemoryEventStore<Counted>({ storage });
  /** Counts up to a bound, and not beyond it, however many try. */
  const bounded: typeof counter = {
    ...counter,
    decide: (by, { total }) => total + by > 20 ? [] : counter.decide(by, { total }),
  };
  const commands = Array.from(
    { length: 30 },
    (_, index) => execute(index % 2 === 0 ? one : two, "counter", bounded, 1, { retries: 100 }),
  );
  const outcomes = await Promise.all(commands);
  assert.equal(outcomes.filter(({ events }) => events.length === 1).length, 20);
  const { state, version } = await replay(one, "counter", counter);
  assert.deepEqual([state.total, version], [20, 20]);
});

/** A decider that is overtaken each time it decides. */
function overtaken(
  store: InMemoryEventStore<Counted>,
  times: number,
): { decider: typeof counter; tries: () => number } {
  let tries = 0;
  const overtake = (): void => {
    // In memory a save is stored before it returns its promise.
    void store.append("counter", [{ eventType: "Counted", data: { by: 100 } }], { expectedVersion: "any" });
  };
  const decide = (by: number): ReturnType<typeof counter.decide> => {
    if (++tries <= times) overtake();
    return counter.decide(by, { total: 0 });
  };
  return { decider: { ...counter, decide }, tries: () => tries };
}

Deno.test("replay() and execute() refuse what is no view or decider, and a decision that is no list", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const refused = (call: () => Promise<unknown>, argument: string): Promise<void> =>
    assert.rejects(call, (error) => error instanceof InvalidArgumentError && error.argument === argument);
  const broken = [undefined, null, {}, { ...counter, evolve: undefined }, { ...counter, initialState: 0 }];
  for (const decider of broken as unknown as Decider<Count, number, Counted>[]) {
    await refused(() => replay(store, "counter", decider), "view");
    await refused(() => execute(store, "counter", decider, 1), "decider");
  }
  for (const decide of [undefined, () => undefined, () => ({}), () => Promise.resolve([])]) {
    const decider = { ...counter, decide } as unknown as Decider<Count, number, Counted>;
    await refused(() => execute(store, "counter", decider, 1), "decider.decide");
  }
  assert.equal(await store.getLatestVersion("counter"), 0);
});

Deno.test("execute() folds in what came between, and gives up after its retries", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const twice = overtaken(store, 2);
  const { state, version } = await execute(store, "counter", twice.decider, 1, { retries: 2 });
  assert.deepEqual([state.total, version, twice.tries()], [201, 3, 3]);
  const always = overtaken(store, Infinity);
  await assert.rejects(execute(store, "counter", always.decider, 1, { retries: 3 }), VersionConflictError);
  assert.equal(always.tries(), 4);
  const never = overtaken(store, Infinity);
  await assert.rejects(execute(store, "counter", never.decider, 1, { retries: 0 }), VersionConflictError);
  assert.equal(never.tries(), 1);
  for (const retries of [-1, 1.5]) {
    await assert.rejects(execute(store, "counter", counter, 1, { retries }), InvalidArgumentError);
  }
});

Deno.test("execute() stops waiting when its signal fires, and does nothing when it has fired", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const reason = new Error("the request is gone");
  const signal = AbortSignal.abort(reason);
  await assert.rejects(execute(store, "counter", counter, 1, { signal }), reason);
  const abort = new AbortController();
  const { decider, tries } = overtaken(store, Infinity);
  const decide: typeof counter.decide = (by, state) => {
    if (tries() === 1) abort.abort(reason);
    return decider.decide(by, state);
  };
  await assert.rejects(
    execute(store, "counter", { ...decider, decide }, 1, { signal: abort.signal, retries: 1_000 }),
    reason,
  );
  assert(tries() <= 2);
});

Deno.test("execute() gives each event the metadata, and what the decider gives goes before it", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const decide: typeof counter.decide = (by) => [
    { eventType: "Counted", data: { by } },
    { eventType: "Counted", data: { by }, metadata: { userId: "decider" } },
  ];
  const metadata = { userId: "caller", correlationId: "c" };
  const { events } = await execute(store, "counter", { ...counter, decide }, 1, {
    metadata,
    fencingToken: 3,
  });
  assert.deepEqual(events.map((event) => event.metadata), [metadata, {
    userId: "decider",
    correlationId: "c",
  }]);
  await assert.rejects(execute(store, "counter", counter, 1), { name: "FencedError" });
});

Deno.test("execute() takes a snapshot every so many events, and its failure is a warning", async () => {
  await using store = new InMemoryEventStore<Counted>();
  for (let count = 1; count <= 12; count++) await execute(store, "counter", snapshotting, 1);
  const taken = await store.getLatestSnapshot<Count>("counter", "count");
  assert.deepEqual([taken?.version, taken?.state.total], [10, 10]);
  const { snapshotVersion, events } = await replay(store, "counter", snapshotting);
  assert.deepEqual([snapshotVersion, events], [10, 2]);

  const warnings: Warning[] = [];
  const full = new class extends InMemoryEventStore<Counted> {
    override saveSnapshot(): Promise<void> {
      return Promise.reject(new Error("the disk is full"));
    }
  }();
  await using _ = full;
  const eager = { ...snapshotting, snapshot: { kind: "count", schemaVersion: 1, every: 1 } };
  const onWarning = (warning: Warning): void => void warnings.push(warning);
  assert.equal((await execute(full, "counter", eager, 5, { onWarning })).version, 1);
  assert.deepEqual(warnings.map(({ code }) => code), ["snapshot-not-saved"]);
});
