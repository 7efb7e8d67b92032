import assert from "node:assert/strict";
import { BackendError, DenoKvEventStore, OutcomeUnknownError, VersionConflictError } from "../../../mod.ts";
import { type BackendUnderTest, testEventStore } from "../../../src/testing/mod.ts";
import { startDenoKvServer } from "../../support/denokv_server.ts";

/** What happens to the next atomic operations with mutations: nothing, or what KV Connect's client makes of a fault. */
type Fault =
  /** It is applied, its answer is lost, and the client's own repetition is refused. */
  | "applied-and-reported-as-refused"
  /** It is applied, and the connection breaks. */
  | "applied-and-broken"
  /** It is applied, and the disk fails. */
  | "applied-and-not-flushed"
  /** It is not applied, since the disk fails. */
  | "not-flushed"
  /** It never arrives, and the connection breaks. */
  | "broken"
  /** It never arrives, and no answer comes for as long as the test lasts. */
  | "hanging"
  /** It is applied after a while. */
  | "slow";

/** How long it takes then, in milliseconds. */
const SLOW = 150;

/** A real handle whose atomic operations meet faults, and whose server takes ten checks, as over KV Connect. */
function faulty(kv: Deno.Kv, faults: Fault[], most: { checks: number; seen: number }): Deno.Kv {
  const broken = (): Error => new Error("KV Connect failed to call 'atomic_write': error sending request");
  const wrap = (operation: Deno.AtomicOperation): Deno.AtomicOperation => {
    let checks = 0;
    const proxy: Deno.AtomicOperation = new Proxy(operation, {
      get(target, name): unknown {
        if (name === "check") {
          return (...args: Deno.AtomicCheck[]) => {
            checks += args.length;
            target.check(...args);
            return proxy;
          };
        }
        if (name !== "commit") {
          const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
          return (...args: unknown[]) => (method.apply(target, args), proxy);
        }
        return async () => {
          most.seen = Math.max(most.seen, checks);
          if (checks > most.checks) {
            throw new Error(
              "KV Connect failed to call 'atomic_write' (status=400 Bad Request): Too many checks included in atomic write.",
            );
          }
          switch (faults.shift()) {
            case "applied-and-reported-as-refused":
              await target.commit();
              return { ok: false };
            case "applied-and-broken":
              await target.commit();
              throw broken();
            case "applied-and-not-flushed":
              await target.commit();
              throw new TypeError("disk I/O error");
            case "not-flushed":
              throw new TypeError("disk I/O error");
            case "broken":
              throw broken();
            case "slow":
              await new Promise((resolve) => setTimeout(resolve, SLOW));
              return await target.commit();
            case "hanging":
              return await new Promise(() => {});
            default:
              return await target.commit();
          }
        };
      },
    });
    return proxy;
  };
  return new Proxy(kv, {
    get(target, name): unknown {
      if (name === "atomic") return () => wrap(target.atomic());
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A store over such a handle, in memory. */
async function withFaults(
  work: (store: DenoKvEventStore, faults: Fault[], most: { checks: number; seen: number }) => Promise<void>,
  saveTimeout = 5_000,
): Promise<void> {
  using kv = await Deno.openKv(":memory:");
  const faults: Fault[] = [];
  const most = { checks: 10, seen: 0 };
  await using store = await DenoKvEventStore.open(faulty(kv, faults, most), { saveTimeout });
  await work(store, faults, most);
}

/** Stands in for the socket of a request without an answer: it keeps the event loop alive. */
function openConnection(): Disposable {
  const timer = setInterval(() => {}, 1_000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

const EVENT = { eventType: "E", data: 1 };

Deno.test("ok: false that is one's own write is a success, stored once", async () => {
  await withFaults(async (store, faults) => {
    await store.append("a", [EVENT], { expectedVersion: 0 });
    faults.push("applied-and-reported-as-refused");
    const [second] = await store.append("a", [EVENT], { expectedVersion: 1 });
    assert.equal(second!.version, 2);
    faults.push("applied-and-reported-as-refused");
    await store.append("a", [EVENT], { expectedVersion: "any" });
    faults.push("applied-and-reported-as-refused");
    await store.takeOver("a", 7);
    const events = await store.getEvents("a");
    assert.deepEqual(events.map(({ version }) => version), [1, 2, 3]);
    assert.equal(events[1]!.position, second!.position);
    assert.equal((await Array.fromAsync(store.readAll())).length, 3);
    assert.equal((await store.append("a", [EVENT], { expectedVersion: 3, fencingToken: 7 }))[0]!.version, 4);
  });
});

Deno.test("a broken connection is settled by repeating the same operation", async () => {
  for (const fault of ["applied-and-broken", "broken"] as const) {
    await withFaults(async (store, faults) => {
      faults.push(fault, fault, "applied-and-reported-as-refused");
      const events = [{ ...EVENT, actorId: "a", version: 1 }, { ...EVENT, actorId: "b", version: 1 }];
      const stored = await store.saveEvents(events);
      assert.deepEqual(
        (await Array.fromAsync(store.readAll())).map(({ id }) => id),
        stored.map(({ id }) => id),
      );
      assert.equal((await store.verify()).ok, true);
    });
  }
});

Deno.test("another writer's commit in its place settles a broken write as a conflict", async () => {
  using kv = await Deno.openKv(":memory:");
  const faults: Fault[] = [];
  await using store = await DenoKvEventStore.open(faulty(kv, faults, { checks: 10, seen: 0 }));
  await using other = await DenoKvEventStore.open(kv);
  await store.append("a", [EVENT], { expectedVersion: 0 });
  await other.append("a", [EVENT], { expectedVersion: 1 });
  faults.push("broken");
  await assert.rejects(store.append("a", [EVENT], { expectedVersion: 1 }), VersionConflictError);
  faults.push("broken");
  assert.equal((await store.append("a", [EVENT], { expectedVersion: "any" }))[0]!.version, 3);
});

Deno.test("a write that cannot be settled in time is an OutcomeUnknownError that can be appended again", async () => {
  await withFaults(async (store, faults) => {
    await store.append("a", [EVENT], { expectedVersion: 0 });
    faults.push("applied-and-broken", ...Array.from({ length: 1_000 }, (): Fault => "broken"));
    const error = await store.append("a", [EVENT, EVENT], { expectedVersion: "any" }).catch((
      error: unknown,
    ) => error);
    assert(error instanceof OutcomeUnknownError, String(error));
    assert.equal(error.expectedVersion, 1);
    assert.deepEqual(error.events.map(({ version }) => version), [2, 3]);
    faults.length = 0;
    const { events, expectedVersion } = error;
    const repeated = await store.append("a", events, { expectedVersion });
    assert.deepEqual(repeated.map(({ id }) => id), events.map(({ id }) => id));
    assert.equal((await store.getEvents("a")).length, 3);
  }, 300);
});

Deno.test("a write that the disk has failed is repeated until it is known what became of it", async () => {
  await withFaults(async (store, faults) => {
    faults.push("not-flushed", "not-flushed");
    await store.append("a", [EVENT], { expectedVersion: 0 });
    faults.push("applied-and-not-flushed", "not-flushed");
    await store.append("a", [EVENT], { expectedVersion: 1 });
    assert.deepEqual((await store.getEvents("a")).map(({ version }) => version), [1, 2]);
    assert.equal((await store.verify()).ok, true);
    faults.push(...Array.from({ length: 1_000 }, (): Fault => "not-flushed"));
    const failed = store.append("a", [EVENT], { expectedVersion: 2 });
    await assert.rejects(failed, OutcomeUnknownError);
  }, 300);
});

Deno.test("an OutcomeUnknownError of several actors, of a gap and of a token can be repeated as its message describes", async () => {
  for (const applied of ["applied-and-broken", "broken"] as const) {
    await withFaults(async (store, faults) => {
      const break_ = (): void => {
        faults.push(applied, ...Array.from({ length: 1_000 }, (): Fault => "broken"));
      };
      const saves = [
        [{ actorId: "x", version: 1, ...EVENT }, { actorId: "y", version: 1, ...EVENT }],
        [{ actorId: "z", version: 5, ...EVENT }],
        [{ actorId: "w", version: 1, ...EVENT }, { actorId: "w", version: 3, ...EVENT }],
      ];
      for (const events of saves) {
        break_();
        const error = await store.saveEvents(events).catch((error: unknown) => error);
        faults.length = 0;
        assert(error instanceof OutcomeUnknownError, String(error));
        assert.equal(error.repeatWith, "saveEvents");
        assert.match(error.message, /Pass the events of this error to saveEvents again/);
        const repeated = await store.saveEvents(error.events).then(() => "stored", (error: unknown) => error);
        if (applied === "broken") assert.equal(repeated, "stored");
        else assert(repeated instanceof VersionConflictError && repeated.sameEvent, String(repeated));
        for (const { actorId } of events) {
          const versions = events.filter((event) => event.actorId === actorId).map(({ version }) => version);
          assert.deepEqual((await store.getEvents(actorId)).map(({ version }) => version), versions);
        }
      }
      break_();
      const error = await store.saveEvents([{ actorId: "v", version: 1, ...EVENT }]).catch((e: unknown) => e);
      faults.length = 0;
      assert(error instanceof OutcomeUnknownError && error.repeatWith === "append", String(error));
      const { events, expectedVersion } = error;
      assert.equal((await store.append("v", events, { expectedVersion }))[0]!.id, events[0]!.id);
      break_();
      const token = await store.takeOver("v", 7).catch((error: unknown) => error);
      faults.length = 0;
      assert(token instanceof OutcomeUnknownError && token.repeatWith === "takeOver", String(token));
      await store.takeOver("v", 7);
      await store.append("v", [EVENT], { expectedVersion: 1, fencingToken: 7 });
    }, 300);
  }
});

Deno.test("a server that does not answer leaves the outcome open, and what waits behind it is not stored", async () => {
  using kv = await Deno.openKv(":memory:");
  const faults: Fault[] = [];
  await using store = await DenoKvEventStore.open(faulty(kv, faults, { checks: 10, seen: 0 }), {
    saveTimeout: 200,
  });
  using _connection = openConnection();
  await store.append("a", [EVENT], { expectedVersion: 0 });
  faults.push("hanging");
  const hanging = store.append("a", [EVENT], { expectedVersion: 1 });
  await new Promise((resolve) => setTimeout(resolve, 10));
  const behind = store.append("a", [EVENT], { expectedVersion: 2 });
  await Promise.all([assert.rejects(hanging, OutcomeUnknownError), assert.rejects(behind, BackendError)]);
  assert.equal(
    (await store.append("b", [EVENT], { expectedVersion: 0 })).length,
    1,
    "others are not held up",
  );
});

Deno.test("a save that waits behind others while the database answers has all its time when it is asked", async () => {
  const saveTimeout = 1_500;
  await withFaults(async (store, faults) => {
    // One atomic operation each, one after the other: together they take longer than a save may.
    const count = 2 * Math.ceil(saveTimeout / SLOW);
    faults.push(...Array.from({ length: count }, () => "slow" as const));
    const large = Array.from({ length: 2 }, () => ({ eventType: "E", data: "x".repeat(220_000) }));
    const saves = Array.from(
      { length: count },
      (_, n) => store.append("a", large, { expectedVersion: 2 * n }),
    );
    assert.equal((await Promise.all(saves)).length, count);
    assert.equal(faults.length, 0, "each save was an operation of its own");
  }, saveTimeout);
});

Deno.test("the limit of ten checks is found out, and groups shrink to it", async () => {
  await withFaults(async (store, _, most) => {
    const saves = Array.from(
      { length: 200 },
      (_, n) => store.append(`a-${n}`, [EVENT], { expectedVersion: 0 }),
    );
    assert.equal((await Promise.all(saves)).length, 200);
    assert(most.seen > 10, "it began with larger groups");
    most.seen = 0;
    await Promise.all(
      Array.from({ length: 200 }, (_, n) => store.append(`a-${n}`, [EVENT], { expectedVersion: 1 })),
    );
    assert(most.seen <= 10 && most.seen > 1, `${most.seen} checks at once`);
    assert.equal((await Array.fromAsync(store.readAll())).length, 400);
  });
});

const server = await startDenoKvServer();
if (server) {
  Deno.test.afterAll(async () => await server[Symbol.asyncDispose]());
  let backends = 0;
  testEventStore("DenoKvEventStore over KV Connect", {
    setUp(): BackendUnderTest {
      const prefix = `backend-${backends++}`;
      return {
        open: (options) => DenoKvEventStore.open(server.url, { ...options, prefix, pollInterval: 20 }),
      };
    },
    lacks: ["restoring", "replacing"],
  }, { load: 0.2, numRuns: 10 });
} else {
  console.warn(
    "NOT TESTED: a real KV Connect server; set DENOKV or put denokv on the PATH (cargo install denokv)",
  );
}
