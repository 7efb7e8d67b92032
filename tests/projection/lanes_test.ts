/** Lanes: events of one key in order, different keys at once, and a checkpoint that repeats nothing. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  type CheckpointStore,
  discardParked,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InvalidArgumentError,
  type KvTransaction,
  listParked,
  type Projection,
  projectionStatuses,
  ProjectionStoppedError,
  projectOnce,
  retryParked,
  runProjection,
  SqliteCheckpoints,
  waitFor,
} from "../../mod.ts";
import { add, addUp, type Counted, kvPlace, patient, PLACES, sumsIn, sumsOf, until } from "./support.ts";

const pause = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));
const actors = (count: number): string[] => Array.from({ length: count }, (_, index) => `actor-${index}`);

/** The versions of each actor in the order of their ends, and how many handlers worked at once. */
class Seen {
  readonly versions = new Map<string, number[]>();
  most = 0;
  #working = 0;

  async handle(
    { actorId, version }: { actorId: string; version: number },
    work: () => Promise<void>,
  ): Promise<void> {
    this.most = Math.max(this.most, ++this.#working);
    try {
      await work();
      this.versions.set(actorId, [...(this.versions.get(actorId) ?? []), version]);
    } finally {
      this.#working--;
    }
  }
}

for (const [name, open] of Object.entries(PLACES)) {
  Deno.test(`${name}: handlers of different keys work at once, those of one key in order, and waitFor waits for all`, async () => {
    await using place = await open();
    const { store, checkpoints } = place;
    const seen = new Seen();
    const projection: Projection<Counted, unknown> = {
      name: "lanes",
      checkpoints,
      lanes: 8,
      handle: (event) => seen.handle(event, () => pause(Math.random() * 4)),
    };
    await add(store, 100, actors(12));
    {
      await using run = runProjection(store, projection);
      await run.waitFor((await store.getLastPosition())!);
      await add(store, 100, actors(12));
      await run.waitFor((await store.getLastPosition())!);
    }
    await add(store, 40, actors(12));
    const { caughtUp } = await projectOnce(store, projection, { budgetMs: 20_000 });
    assert.equal(caughtUp, true);
    assert.equal(seen.most, 8);
    for (const versions of seen.versions.values()) {
      assert.deepEqual(versions, Array.from(versions, (_, index) => index + 1));
    }
    assert.equal([...seen.versions.values()].flat().length, 240);
    const [status] = await projectionStatuses(store, checkpoints);
    assert.deepEqual([status!.handled, status!.lag!.events], [240, 0]);
    assert.equal(status!.position, await store.getLastPosition());
  });
}

Deno.test("a key of the projection's own keeps its events in order, over actors", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const seen = new Map<string, number[]>();
  const keyOf = ({ data }: { data: { by: number } }): string => `key ${data.by % 5}`;
  await add(store, 200, actors(20));
  await projectOnce(store, {
    name: "keys",
    checkpoints: new InMemoryCheckpoints(),
    lanes: 16,
    key: keyOf,
    handle: async ({ data }) => {
      await pause(Math.random() * 2);
      seen.set(keyOf({ data }), [...(seen.get(keyOf({ data })) ?? []), data.by]);
    },
  }, { budgetMs: 20_000 });
  assert.equal(seen.size, 5);
  for (const order of seen.values()) assert.deepEqual(order, order.toSorted((a, b) => a - b));
});

Deno.test("a restart repeats nothing that was done behind a slow event, and the record shows what is", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 1, ["slow"]);
  await add(store, 300, actors(10));
  const calls = new Map<string, number>();
  const blocking = Promise.withResolvers<void>();
  const projection: Projection<Counted> = {
    name: "slow",
    checkpoints,
    lanes: 4,
    checkpointInterval: 10,
    failure: { retries: 0 },
    handle: async ({ actorId, id }) => {
      if (actorId === "slow") await blocking.promise;
      else await pause(0);
      calls.set(id, (calls.get(id) ?? 0) + 1);
    },
  };
  const ending = new AbortController();
  const run = runProjection(store, projection, { signal: ending.signal, onWarning: () => {} });
  await until("all others are recorded", async () => {
    const stored = await checkpoints.load({ name: "slow", version: 1 });
    return JSON.parse(stored?.value ?? "{}").handled === 300;
  });
  const { position, done } = JSON.parse((await checkpoints.load({ name: "slow", version: 1 }))!.value);
  assert.equal(position, undefined);
  assert.equal(done.length, 1);
  ending.abort(new Error("killed"));
  await assert.rejects(run.finished, /killed/);
  blocking.resolve();
  await pause(0);
  calls.delete((await Array.fromAsync(store.readAll({ limit: 1 })))[0]!.id);
  for (const lanes of [1, 4]) {
    await projectOnce(store, { ...projection, lanes }, patient);
  }
  assert.equal(calls.size, 301);
  assert.deepEqual([...new Set(calls.values())], [1]);
  const record = JSON.parse((await checkpoints.load({ name: "slow", version: 1 }))!.value);
  assert.equal(record.done, undefined);
  assert.equal(record.position, await store.getLastPosition());
});

Deno.test("a key that fails waits with its later events, keeps no lane, and holds up no other key", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 20, ["bad"]);
  await add(store, 200, actors(10));
  let isCorrected = false;
  const handled: string[] = [];
  const projection: Projection<Counted> = {
    name: "failing",
    checkpoints,
    lanes: 2,
    checkpointInterval: 5,
    failure: { retries: 100, firstDelay: 5, longestDelay: 20 },
    handle: async ({ actorId, version }) => {
      await pause(0);
      if (actorId === "bad" && version === 3 && !isCorrected) throw new Error("not yet");
      handled.push(`${actorId} ${version}`);
    },
  };
  await using run = runProjection(store, projection);
  await until("the others are done", () => handled.length === 202);
  await add(store, 10, actors(10));
  await until("live ones too", () => handled.length === 212);
  await until(
    "the record shows it",
    async () => (await projectionStatuses(store, checkpoints))[0]?.failing !== undefined,
  );
  const [status] = await projectionStatuses(store, checkpoints);
  assert.deepEqual([status!.failing!.actorId, status!.failing!.eventVersion], ["bad", 3]);
  await assert.rejects(waitFor(store, projection, (await store.getLastPosition())!, { timeout: 20 }));
  isCorrected = true;
  await run.waitFor((await store.getLastPosition())!);
  const bad = handled.filter((entry) => entry.startsWith("bad"));
  assert.deepEqual(bad, Array.from({ length: 20 }, (_, index) => `bad ${index + 1}`));
});

for (const isOwnKey of [false, true]) {
  Deno.test(`a parked event keeps its key waiting and no other, and a retry while it runs handles them in order${isOwnKey ? ", by its own key" : ""}`, async () => {
    await using store = new InMemoryEventStore<Counted>();
    await using checkpoints = new InMemoryCheckpoints();
    let isCorrected = false;
    const handled: { key: string; by: number }[] = [];
    const keyOf = (event: { actorId: string; data: { by: number } }): string =>
      isOwnKey ? `key ${event.data.by % 4}` : event.actorId;
    const projection: Projection<Counted> = {
      name: "parking",
      checkpoints,
      lanes: 4,
      ...(isOwnKey && { key: keyOf }),
      failure: { retries: 1, firstDelay: 1, then: "park" },
      handle: async (event) => {
        await pause(0);
        if (event.data.by === 5 && !isCorrected) throw new Error("not yet");
        handled.push({ key: keyOf(event), by: event.data.by });
      },
    };
    await using run = runProjection(store, projection, { onWarning: () => {} });
    const stored = await add(store, 80, ["a", "b", "c", "d"]);
    const badKey = keyOf(stored[5]!);
    const others = stored.filter((event) => keyOf(event) !== badKey).length;
    await until("it is parked", async () => (await listParked(projection)).length === 1);
    await until("the others are done", () => handled.filter(({ key }) => key !== badKey).length === others);
    await until("the checkpoint is at the end", async () => {
      const [status] = await projectionStatuses(store, checkpoints);
      return status?.position === stored.at(-1)!.position;
    });
    await assert.rejects(run.waitFor(stored[77]!.position), {
      name: "ProjectionBehindError",
      reason: "parked",
    });
    await run.waitFor(stored[78]!.position);
    isCorrected = true;
    const [entry] = await listParked(projection);
    await retryParked(store, projection, entry!.position);
    const order = handled.filter(({ key }) => key === badKey).map(({ by }) => by);
    assert.deepEqual(order, stored.filter((event) => keyOf(event) === badKey).map(({ data }) => data.by));
    const more = Array.from({ length: 80 }, (_, index) => ({
      actorId: ["a", "b", "c", "d"][index % 4]!,
      events: [{ eventType: "Added" as const, data: { by: 80 + index } }],
    }));
    for (const { actorId, events } of more) await store.append(actorId, events, { expectedVersion: "any" });
    await run.waitFor((await store.getLastPosition())!);
    // A worker that had left out events of the key, before it met the retry, reads them again.
    assert.equal(new Set(handled.map(({ key, by }) => `${key} ${by}`)).size, 160);
  });
}

Deno.test("a worker that met a retry of a parked event commits nothing more, also if two commits were asked for", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  const save = checkpoints.save.bind(checkpoints);
  let isSlow = false;
  checkpoints.save = async (...given) => {
    if (isSlow) await pause(30);
    return await save(...given);
  };
  let isCorrected = false;
  const handled = new Set<number>();
  const projection: Projection<Counted> = {
    ...{ name: "parking", checkpoints, lanes: 4, checkpointInterval: 20 },
    failure: { retries: 0, then: "park" },
    handle: async ({ data }) => {
      await pause(0);
      if (data.by === 5 && !isCorrected) throw new Error("not yet");
      handled.add(data.by);
    },
  };
  await using run = runProjection(store, projection, { onWarning: () => {} });
  const stored = await add(store, 16, ["a", "b", "c", "d"]);
  await run.waitFor(stored.at(-1)!.position);
  const [entry] = await listParked(projection);
  isCorrected = true;
  await retryParked(store, projection, entry!.position);
  isSlow = true;
  // The worker does not know of the retry: it leaves out those of the key, until it commits.
  for (let by = 16; by < 96; by++) {
    const actorId = ["a", "b", "c", "d"][by % 4]!;
    await store.append(actorId, [{ eventType: "Added", data: { by } }], { expectedVersion: "any" });
    await pause(1);
  }
  await run.waitFor((await store.getLastPosition())!);
  assert.deepEqual(await listParked(projection), []);
  await until("all are handled", () => handled.size === 96, 5_000);
});

Deno.test("a discarded event of a key lets the later ones of the key be handled", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const handled: number[] = [];
  const projection: Projection<Counted> = {
    name: "discarding",
    checkpoints: new InMemoryCheckpoints(),
    lanes: 4,
    key: ({ data }) => `${data.by % 2}`,
    failure: { retries: 0, then: "park" },
    handle: async ({ data }) => {
      await pause(0);
      if (data.by === 1) throw new Error("never");
      handled.push(data.by);
    },
  };
  await add(store, 20, ["a", "b", "c"]);
  await projectOnce(store, projection, { onWarning: () => {} });
  assert.equal(handled.length, 10);
  const [entry] = await listParked(projection);
  await discardParked(store, projection, entry!.position);
  assert.deepEqual(handled.slice(10), [3, 5, 7, 9, 11, 13, 15, 17, 19]);
});

Deno.test("a stop commits what other keys have done, and the next start tries the event again", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await using checkpoints = new InMemoryCheckpoints();
  await add(store, 60, ["bad", ...actors(5)]);
  let isCorrected = false;
  const handled: string[] = [];
  const projection: Projection<Counted> = {
    name: "stopping",
    checkpoints,
    lanes: 6,
    failure: { retries: 2, firstDelay: 1, longestDelay: 1 },
    handle: async ({ actorId, version }) => {
      await pause(1);
      if (actorId === "bad" && !isCorrected) throw new Error("not yet");
      handled.push(`${actorId} ${version}`);
    },
  };
  await assert.rejects(
    projectOnce(store, projection, patient),
    (error: unknown) =>
      error instanceof ProjectionStoppedError && error.event?.actorId === "bad" && error.attempts === 3,
  );
  const [status] = await projectionStatuses(store, checkpoints);
  assert.deepEqual([status!.stopped, status!.handled], [true, handled.length]);
  isCorrected = true;
  await projectOnce(store, projection, patient);
  assert.deepEqual(handled.length, 60);
  assert.equal(new Set(handled).size, 60);
});

Deno.test("a key that throws or is no string is the handler's failure", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 20, actors(4));
  for (
    const key of [
      () => {
        throw new Error("no key");
      },
      () => 5,
      () => undefined,
      () => "\ud800",
    ]
  ) {
    for (const lanes of [1, 4]) {
      const handled: number[] = [];
      const projection: Projection<Counted> = {
        name: "bad keys",
        checkpoints: new InMemoryCheckpoints(),
        lanes,
        key: (event) => event.data.by === 7 ? key() as string : event.actorId,
        failure: { retries: 1, firstDelay: 1, then: "park" },
        handle: async ({ data }) => {
          await pause(0);
          handled.push(data.by);
        },
      };
      await projectOnce(store, projection, { onWarning: () => {} });
      const [entry, ...others] = await listParked(projection);
      assert.deepEqual([entry?.actorId, entry?.attempts, others.length], ["actor-3", 2, 0]);
      assert.match(entry!.error, /no key|projection\.key: must return a well-formed string/);
      assert.equal(handled.length, 16);
    }
  }
});

Deno.test("lanes and keys that are out of range are refused with the name of the field", async () => {
  await using store = new InMemoryEventStore<Counted>();
  const good: Projection<Counted> = {
    name: "good",
    checkpoints: new InMemoryCheckpoints(),
    handle: () => {},
  };
  const bad = [0, 1.5, -1, 100_000, 1025, Number.NaN, "8", null];
  const changes: [string, unknown][] = bad.map((lanes) => ["projection.lanes", { lanes }]);
  for (const [argument, change] of [...changes, ["projection.key", { key: "actorId" }] as const]) {
    const projection = { ...good, ...change as Partial<Projection<Counted>> };
    const isIt = (error: unknown): boolean =>
      error instanceof InvalidArgumentError && error.argument === argument;
    await assert.rejects(projectOnce(store, projection, patient), isIt);
    assert.throws(() => runProjection(store, projection), isIt);
  }
});

for (const lanes of [1, 4]) {
  Deno.test(`a handler that writes with a transaction that its checkpoints do not have gets an error that names the field, with lanes: ${lanes}`, async () => {
    await using store = new InMemoryEventStore<Counted>();
    await add(store, 3);
    const checkpoints = new InMemoryCheckpoints() as unknown as CheckpointStore<KvTransaction>;
    const isIt = (error: unknown): boolean =>
      error instanceof InvalidArgumentError && error.argument === "projection.checkpoints";
    for (
      const handle of [
        (_: unknown, { transaction }: { transaction: KvTransaction }) => transaction.set(["a"], 1),
        async (_: unknown, { transaction }: { transaction: KvTransaction }) => {
          await pause(0);
          transaction.set(["a"], 1);
        },
      ]
    ) {
      const projection: Projection<Counted, KvTransaction> = { name: "wrong", checkpoints, lanes, handle };
      await assert.rejects(projectOnce(store, projection, patient), isIt);
      await assert.rejects(runProjection(store, projection, { onWarning: () => {} }).finished, isIt);
    }
  });
}

Deno.test("Deno KV: with lanes each event counts once, also for a key of the model that all handlers change", async () => {
  await using place = await kvPlace();
  const { store, checkpoints, kv } = place;
  await add(store, 200, actors(20));
  let calls = 0;
  const projection: Projection<Counted, KvTransaction> = {
    name: "sums",
    checkpoints,
    lanes: 16,
    checkpointInterval: 5,
    failure: { firstDelay: 1, longestDelay: 5, retries: 50 },
    handle: async (event, { transaction }) => {
      await addUp(transaction, event);
      const before = await transaction.get<number>(["total"]) ?? 0;
      await pause(Math.random() * 2);
      transaction.set(["total"], before + 1);
      if (++calls % 7 === 0) throw new Error("in the middle");
    },
  };
  await using run = runProjection(store, projection);
  await add(store, 100, actors(20));
  await run.waitFor((await store.getLastPosition())!, { timeout: 30_000 });
  assert.deepEqual(await sumsIn(kv), await sumsOf(store));
  assert.equal((await kv.get(["total"])).value, 300);
});

for (const when of ["before it writes", "between its writes"] as const) {
  Deno.test(`SQLite: with lanes each event counts once, with handlers that wait ${when}`, async () => {
    await using store = new InMemoryEventStore<Counted>();
    using database = new DatabaseSync(":memory:");
    database.exec("CREATE TABLE sums (actor TEXT PRIMARY KEY, events INTEGER NOT NULL) STRICT");
    database.exec("CREATE TABLE log (actor TEXT, version INTEGER, PRIMARY KEY (actor, version)) STRICT");
    await add(store, 150, actors(10));
    let calls = 0;
    const seen = new Seen();
    const projection: Projection<Counted, DatabaseSync> = {
      name: "sums",
      checkpoints: new SqliteCheckpoints(database),
      lanes: 8,
      failure: { firstDelay: 1, longestDelay: 5, retries: 50 },
      handle: (event, { transaction }) =>
        seen.handle(event, async () => {
          if (when === "before it writes") await pause(1);
          transaction.prepare("INSERT INTO log VALUES (?, ?)").run(event.actorId, event.version);
          if (when === "between its writes") await pause(1);
          transaction.prepare(
            "INSERT INTO sums VALUES (?, 1) ON CONFLICT DO UPDATE SET events = events + 1",
          ).run(event.actorId);
          if (++calls % 9 === 0) throw new Error("after the writes");
        }),
    };
    await using run = runProjection(store, projection);
    await run.waitFor((await store.getLastPosition())!, { timeout: 30_000 });
    const rows = database.prepare("SELECT * FROM sums").all();
    assert.deepEqual(rows.map(({ events }) => events), Array(10).fill(15));
    assert.equal(database.prepare("SELECT * FROM log").all().length, 150);
    if (when === "before it writes") assert.ok(seen.most > 4);
  });
}

Deno.test("SQLite: a commit that is refused goes back to before its events, and parks the one that is to blame", async () => {
  await using store = new InMemoryEventStore<Counted>();
  using database = new DatabaseSync(":memory:");
  database.exec(
    "CREATE TABLE known (id INTEGER PRIMARY KEY) STRICT; INSERT INTO known VALUES (0), (1); PRAGMA foreign_keys = ON;" +
      "CREATE TABLE entries (by INTEGER PRIMARY KEY, known INTEGER NOT NULL REFERENCES known DEFERRABLE INITIALLY DEFERRED) STRICT",
  );
  await add(store, 50, actors(10));
  const projection: Projection<Counted, DatabaseSync> = {
    name: "deferred",
    checkpoints: new SqliteCheckpoints(database),
    lanes: 8,
    failure: { retries: 1, firstDelay: 1, then: "park" },
    handle: async ({ data: { by } }, { transaction }) => {
      await pause(1);
      transaction.prepare("INSERT INTO entries VALUES (?, ?)").run(by, by === 27 ? 99 : by % 2);
    },
  };
  await projectOnce(store, projection, { onWarning: () => {}, budgetMs: 20_000 });
  const parked = await listParked(projection);
  assert.deepEqual(parked.map(({ actorId, eventVersion }) => [actorId, eventVersion]), [["actor-7", 3]]);
  const rows = database.prepare("SELECT by FROM entries ORDER BY by").all().map(({ by }) => by);
  // Those of the parked event's actor wait behind it.
  const expected = Array.from({ length: 50 }, (_, by) => by).filter((by) => ![27, 37, 47].includes(by));
  assert.deepEqual(rows, expected);
});

Deno.test("reactions of many lanes to few actors are stored once each, in the order of their keys", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 100, ["in-a", "in-b", "in-c", "in-d", "in-e"]);
  const projection: Projection<Counted> = {
    name: "reacting",
    checkpoints: new InMemoryCheckpoints(),
    lanes: 5,
    filter: { actorPrefix: "in-" },
    handle: async ({ actorId, data }) => {
      await pause(Math.random() * 2);
      return [
        { actorId: actorId.replace("in", "out"), events: [{ eventType: "Added", data }] },
        { actorId: "total", events: [{ eventType: "Added", data }] },
      ];
    },
  };
  await using run = runProjection(store, projection);
  await add(store, 50, ["in-a", "in-b", "in-c", "in-d", "in-e"]);
  await run.waitFor((await store.getLastPosition())!, { timeout: 30_000 });
  await run.waitFor((await Array.fromAsync(store.readAll({ actorPrefix: "in-" }))).at(-1)!.position);
  assert.equal(await store.getLatestVersion("total"), 150);
  for (const letter of ["a", "b", "c", "d", "e"]) {
    const [asked, answered] = [await store.getEvents(`in-${letter}`), await store.getEvents(`out-${letter}`)];
    assert.deepEqual(answered.map(({ metadata }) => metadata!.causationId), asked.map(({ id }) => id));
  }
});

Deno.test("a handler that is late fails alone, and one whose run is aborted ends it at once", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await add(store, 40, ["late", ...actors(3)]);
  const handled = new Set<string>();
  const projection: Projection<Counted> = {
    name: "late",
    checkpoints: new InMemoryCheckpoints(),
    lanes: 4,
    handlerTimeout: 20,
    failure: { retries: 0, then: "park" },
    handle: async ({ actorId, id }, { signal }) => {
      if (actorId === "late") {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      } else await pause(0);
      handled.add(id);
    },
  };
  await projectOnce(store, projection, { onWarning: () => {} });
  const [entry] = await listParked(projection);
  assert.match(entry!.error, /HandlerError/);
  assert.equal(handled.size, 31);
  const ending = new AbortController();
  const run = runProjection(store, { ...projection, name: "aborted", handlerTimeout: 60_000 }, {
    signal: ending.signal,
    onWarning: () => {},
  });
  await until("it has begun", () => run.state === "live" || run.state === "catching-up");
  ending.abort(new Error("enough"));
  await assert.rejects(run.finished, /enough/);
  await pause(5); // the handlers that were abandoned end
});

for (const lanes of [1, 4]) {
  Deno.test(`a handler that aborts its own run ends with it, and each handler has its own time, with lanes: ${lanes}`, async () => {
    await using store = new InMemoryEventStore<Counted>();
    await add(store, 12, actors(4));
    const ending = new AbortController();
    const aborting = runProjection(store, {
      name: "aborting",
      checkpoints: new InMemoryCheckpoints(),
      lanes,
      handle: () => {
        ending.abort(new Error("enough"));
        return new Promise(() => {});
      },
    }, { signal: ending.signal, onWarning: () => {} });
    const tooLong = AbortSignal.timeout(10_000);
    await assert.rejects(
      Promise.race([
        aborting.finished,
        new Promise((_, reject) => tooLong.addEventListener("abort", () => reject(new Error("too long")))),
      ]),
      /enough/,
    );
    const begun = new Map<string, number>();
    const took: number[] = [];
    const projection: Projection<Counted> = {
      name: "late",
      checkpoints: new InMemoryCheckpoints(),
      lanes,
      handlerTimeout: 60,
      failure: { retries: 0, then: "park" },
      // Every third one never ends, and the others begin while its time runs.
      handle: async ({ id, data }, { signal }) => {
        begun.set(id, performance.now());
        signal.addEventListener("abort", () => took.push(performance.now() - begun.get(id)!));
        await (data.by % 3 === 0 ? new Promise(() => {}) : pause(25));
      },
    };
    await projectOnce(store, projection, { onWarning: () => {}, budgetMs: 20_000 });
    // The later ones of an actor wait behind the one that was parked.
    const parked = await listParked(projection);
    assert.deepEqual(new Set(parked.map(({ actorId }) => actorId)).size, parked.length);
    assert.ok(parked.every(({ error }) => /did not return within 60 ms/.test(error)));
    assert.equal(took.length, parked.length);
    assert.ok(took.every((time) => time > 55 && time < 3_000), `they took ${took.map(Math.round).join()}`);
  });
}

Deno.test("however many events wait, only a window of them is in memory", async () => {
  await using store = new InMemoryEventStore<Counted>();
  await store.append("slow", [{ eventType: "Added", data: { by: 0 } }], { expectedVersion: 0 });
  for (let page = 0; page < 20; page++) {
    const events = Array.from({ length: 100 }, (_, by) => ({ eventType: "Added" as const, data: { by } }));
    await store.append("busy", events, { expectedVersion: "any" });
  }
  let read = 0;
  const blocking = Promise.withResolvers<void>();
  const projection: Projection<Counted> = {
    name: "window",
    checkpoints: new InMemoryCheckpoints(),
    lanes: 2,
    key: ({ actorId }) => {
      read++;
      return actorId;
    },
    handle: () => blocking.promise,
  };
  await using run = runProjection(store, projection);
  await until("it has read", () => read > 200);
  await pause(20);
  assert.ok(read < 600, `${read} events were read ahead`);
  blocking.resolve();
  await run.waitFor((await store.getLastPosition())!);
});
