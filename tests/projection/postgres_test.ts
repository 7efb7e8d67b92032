/** Checkpoints in PostgreSQL, over both drivers: what is committed, as another connection sees it. */

import assert from "node:assert/strict";
import type { Pool, PoolClient } from "../support/pg.ts";
import type postgres from "postgres";
import type { TransactionSql } from "postgres";
import {
  BackendError,
  changeSegments,
  type CheckpointStore,
  ClosedError,
  DamagedCheckpointError,
  discardParked,
  type Event,
  HandlerError,
  InMemoryLeases,
  InvalidArgumentError,
  listParked,
  PostgresCheckpoints,
  type Projection,
  ProjectionInUseError,
  projectionStatuses,
  ProjectionStoppedError,
  projectOnce,
  retryParked,
  runProjection,
} from "../../mod.ts";
import { type PostgresPlace, postgresTests, type Run, type Transaction } from "./postgres_places.ts";
import { park, quiet, storeOf, until } from "./support.ts";

const { test } = postgresTests("the checkpoints in PostgreSQL");
const ROWS = "CREATE TABLE seen (actor TEXT PRIMARY KEY)";
const INSERT = "INSERT INTO seen VALUES ($1)";
const SEEN = "SELECT actor FROM seen ORDER BY actor";
const actors = (...ids: string[]): unknown[] => ids.map((actor) => ({ actor }));

/** Notes each actor in the table, and does what is to be done for one event type. */
function seen(
  name: string,
  { checkpoints, run }: Pick<PostgresPlace, "run"> & { readonly checkpoints: CheckpointStore<Transaction> },
  special: (run: Run, transaction: Transaction, actorId: string) => unknown = () => {},
): Projection<Event, Transaction> {
  return {
    name,
    checkpoints,
    failure: park,
    handle: async ({ actorId, eventType }, { transaction }) => {
      await run(transaction)(INSERT, actorId);
      if (eventType === "Special") await special(run(transaction), transaction, actorId);
    },
  };
}

test(
  "the read model and the checkpoint are committed together, and again after a rebuild",
  async (driver, place) => {
    await using at = await place(driver, ROWS);
    await using store = await storeOf("Plain", "Plain", "Plain");
    await using run = runProjection(store, seen("p", at), quiet);
    await run.waitFor((await store.getLastPosition())!);
    assert.deepEqual(await at.rows(SEEN), actors("a0", "a1", "a2"));
    const { position, handled } = await at.record("p");
    assert.deepEqual([position, handled], [await store.getLastPosition(), 3]);
    await store.append("b", [{ eventType: "Plain", data: null }], { expectedVersion: 0 });
    await run.waitFor((await store.getLastPosition())!);
    assert.equal((await at.rows(SEEN)).length, 4);
    assert.equal((await projectionStatuses(store, at.checkpoints))[0]!.handled, 4);
    await run.close();
    assert.equal(await at.checkpoints.delete({ name: "p", version: 1 }), true);
    assert.equal(await at.checkpoints.delete({ name: "p", version: 1 }), false);
    assert.equal(await at.checkpoints.load({ name: "p", version: 1 }), undefined);
  },
);

test(
  "a handler's statement that fails ends only its own event, also if the failure is caught",
  async (driver, place) => {
    await using at = await place(driver, ROWS);
    for (const isCaught of [false, true]) {
      await at.rows("DELETE FROM seen");
      await using store = await storeOf("Plain", "Special", "Plain");
      const name = `caught: ${isCaught}`;
      const projection = seen(name, at, async (run) => {
        try {
          await run(INSERT, "a0"); // there already
        } catch (error) {
          if (!isCaught) throw error;
        }
      });
      await projectOnce(store, projection, quiet);
      assert.deepEqual(await at.rows(SEEN), actors("a0", "a2"), name);
      const [entry] = await listParked(projection);
      assert.match(entry!.error, /duplicate key/, name);
      assert.equal(entry!.attempts, 2);
      await at.rows("DELETE FROM seen WHERE actor = 'a0'");
      await retryParked(store, projection, entry!.position);
      assert.deepEqual(await at.rows(SEEN), actors("a0", "a1", "a2"), name);
      assert.equal((await at.record(name)).parked.length, 0);
    }
  },
);

test("a handler can undo a part of its writes with a savepoint of its own", async (driver, place) => {
  await using at = await place(driver, ROWS);
  await using store = await storeOf("Plain", "Special", "Plain");
  await projectOnce(
    store,
    seen("p", at, async (run, transaction) => {
      await run("SAVEPOINT own");
      await assert.rejects(run(INSERT, "a0"), /duplicate key/);
      await run("ROLLBACK TO SAVEPOINT own");
      if (typeof transaction.savepoint !== "function") return;
      await assert.rejects(
        transaction.savepoint((sql: TransactionSql) => sql`INSERT INTO seen VALUES (${"a0"})`),
        /duplicate key/,
      );
    }),
    quiet,
  );
  assert.deepEqual(await at.rows(SEEN), actors("a0", "a1", "a2"));
  assert.deepEqual(await listParked({ name: "p", checkpoints: at.checkpoints }), []);
});

test(
  "a constraint that is checked at the commit is the failure of its event alone",
  async (driver, place) => {
    await using at = await place(
      driver,
      "CREATE TABLE customers (id TEXT PRIMARY KEY); INSERT INTO customers VALUES ('a0'), ('a1'), ('a3');" +
        "CREATE TABLE seen (actor TEXT REFERENCES customers DEFERRABLE INITIALLY DEFERRED)",
    );
    await using store = await storeOf("Plain", "Plain", "Plain", "Plain");
    const projection = seen("p", at);
    await projectOnce(store, projection, quiet);
    assert.deepEqual(await at.rows(SEEN), actors("a0", "a1", "a3"));
    const [entry] = await listParked(projection);
    assert.deepEqual([entry!.actorId, entry!.attempts], ["a2", 2]);
    assert.match(entry!.error, /HandlerError.*foreign key/);
    await discardParked(store, projection, entry!.position);
  },
);

test("a handler can not end the transaction", async (driver, place) => {
  await using at = await place(driver, ROWS);
  const statements = [
    "COMMIT",
    "  end transaction",
    "/* a */ ROLLBACK",
    "ABORT",
    "BEGIN",
    "start  transaction",
    "PREPARE TRANSACTION 'x'",
    "INSERT INTO seen VALUES ('x;y'); COMMIT",
    "INSERT INTO seen VALUES (E'\\';'); COMMIT",
    'RELEASE "aether_event"',
    "ROLLBACK TO aether_event",
  ];
  for (const [index, sql] of statements.entries()) {
    await at.rows("DELETE FROM seen");
    await using store = await storeOf("Plain", "Special", "Plain");
    const projection = seen(`p${index}`, at, (run) => run(sql));
    await projectOnce(store, projection, quiet);
    assert.match((await listParked(projection))[0]!.error, /HandlerError/, sql);
    assert.deepEqual(await at.rows(SEEN), actors("a0", "a2"), sql);
  }
  for (const call of ["release", "end", "begin", "connect", "reserve", "prepare"]) {
    await at.rows("DELETE FROM seen");
    await using store = await storeOf("Plain", "Special", "Plain");
    const projection = seen(call, at, (_, transaction) => transaction[call](() => {}));
    await projectOnce(store, projection, quiet);
    assert.equal((await listParked(projection)).length, 1, call);
    assert.deepEqual(await at.rows(SEEN), actors("a0", "a2"), call);
  }
  await using store = await storeOf("Special");
  await at.rows("DELETE FROM seen");
  await projectOnce(
    store,
    seen("allowed", at, async (run) => {
      await run("INSERT INTO seen VALUES ('; COMMIT;'), ($$; COMMIT; $$), ($t$; ROLLBACK $$; $t$)");
      await run("DO $$ BEGIN INSERT INTO seen VALUES ('do'); END $$");
      await run("CREATE FUNCTION two() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2; END;'");
    }),
    quiet,
  );
  assert.equal((await at.rows(SEEN)).length, 5);
});

test("what a handler was given is refused once its attempt is over", async (driver, place) => {
  await using at = await place(driver, "CREATE TABLE seen (actor TEXT, attempt INT)");
  await using store = await storeOf("Paid", "Paid");
  const late: Promise<unknown>[] = [];
  const wait = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, milliseconds));
  await projectOnce(store, {
    name: "p",
    checkpoints: at.checkpoints,
    handlerTimeout: 300,
    failure: { retries: 3, firstDelay: 1 },
    handle: async ({ actorId }, { transaction, attempt }) => {
      const run = at.run(transaction);
      const text = "INSERT INTO seen VALUES ('late', 9)";
      // Made in time, and begun too late.
      const made = "unsafe" in transaction ? transaction.unsafe(text) : undefined;
      const goOn = async (): Promise<void> => {
        await wait(attempt === 1 ? 500 : 50);
        late.push(assert.rejects(run(text), HandlerError));
        if (made) late.push(assert.rejects(async () => await made, HandlerError));
      };
      late.push(goOn());
      await run("INSERT INTO seen VALUES ($1, $2)", actorId, attempt);
      if (attempt === 1) await wait(400);
    },
  }, { budgetMs: 20_000, ...quiet });
  await Promise.all(late);
  await wait(60);
  await Promise.all(late);
  const rows = await at.rows("SELECT attempt FROM seen");
  assert.deepEqual(rows, [{ attempt: 2 }, { attempt: 2 }]);
});

test("a statement that hangs is canceled once its handler's time is over", async (driver, place) => {
  await using at = await place(driver, ROWS);
  await using store = await storeOf("Plain", "Special", "Plain");
  const projection: Projection<Event, Transaction> = {
    ...seen("p", at, (run) => run("SELECT pg_sleep(60)")),
    handlerTimeout: 200,
    failure: { ...park, retries: 0 },
  };
  await projectOnce(store, projection, { budgetMs: 30_000, ...quiet });
  assert.deepEqual(await at.rows(SEEN), actors("a0", "a2"));
  assert.match((await listParked(projection))[0]!.error, /did not return within/);
});

test(
  "a statement that is not waited for belongs to its event, and so does its failure",
  async (driver, place) => {
    await using at = await place(driver, ROWS);
    await using store = await storeOf("Plain", "Special", "Plain");
    const projection = seen("p", at, (_, transaction) => {
      const text = "INSERT INTO seen VALUES ('a0')";
      if ("query" in transaction) void transaction.query(text);
      else transaction.unsafe(text).execute();
    });
    await projectOnce(store, projection, quiet);
    assert.deepEqual(await at.rows(SEEN), actors("a0", "a2"));
    assert.match((await listParked(projection))[0]!.error, /duplicate key/);
  },
);

test(
  "serialization failures and deadlocks are repeated, and are no failures of the handler",
  async (driver, place) => {
    await using at = await place(
      driver,
      ROWS + "; CREATE TABLE sums (id INT PRIMARY KEY, n INT); INSERT INTO sums VALUES (1, 0), (2, 0)",
    );
    await using store = await storeOf("Plain", "Plain", "Special", "Plain");
    for (const [name, code] of [["serialization", "40001"], ["deadlock", "40P01"]] as const) {
      for (const isCaught of [false, true]) {
        await at.rows("DELETE FROM seen");
        let failures = 0;
        const projection = seen(`${name} ${isCaught}`, at, async (run) => {
          if (failures++ >= 2) return;
          const raising = run(`DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '${code}'; END $$`);
          await (isCaught ? raising.catch(() => {}) : raising);
        });
        const warnings: string[] = [];
        await projectOnce(store, { ...projection, failure: { retries: 0 } }, {
          onWarning: ({ code }) => warnings.push(code),
        });
        assert.equal(failures, 3);
        assert.deepEqual(await at.rows(SEEN), actors("a0", "a1", "a2", "a3"));
        assert.deepEqual(warnings, []);
      }
    }
    // Also where a parked event is tried again.
    let attempts = 0;
    const parking = seen("retry", at, async (run) => {
      if (++attempts <= 2) throw new Error("not yet");
      if (attempts <= 4) await run("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$");
    });
    await at.rows("DELETE FROM seen");
    await projectOnce(store, parking, quiet);
    const [entry] = await listParked(parking);
    await retryParked(store, parking, entry!.position);
    assert.deepEqual([attempts, (await listParked(parking)).length], [5, 0]);
    assert.deepEqual(await at.rows(SEEN), actors("a0", "a1", "a2", "a3"));
    // Real ones: two projections update the same rows in opposite orders.
    const both = (name: string, first: number, second: number): Projection<Event, Transaction> => ({
      name,
      checkpoints: at.checkpoints,
      failure: { retries: 0 },
      handle: async (_, { transaction }) => {
        const run = at.run(transaction);
        for (const id of [first, second]) {
          await run("UPDATE sums SET n = n + 1 WHERE id = $1::text::int", String(id));
        }
      },
    });
    await at.rows(`ALTER ROLE ${new URL(at.url).username} SET deadlock_timeout = '20ms'`);
    await using leases = new InMemoryLeases();
    for (let index = 0; index < 60; index++) {
      await store.append(`more${index}`, [{ eventType: "Plain", data: null }], { expectedVersion: 0 });
    }
    await using up = runProjection(store, both("up", 1, 2), { leases, ...quiet });
    await using down = runProjection(store, both("down", 2, 1), { leases, ...quiet });
    const last = (await store.getLastPosition())!;
    await Promise.all([up.waitFor(last, { timeout: 60_000 }), down.waitFor(last, { timeout: 60_000 })]);
    assert.deepEqual(await at.rows("SELECT n FROM sums"), [{ n: 128 }, { n: 128 }]);
  },
);

test("with the isolation level serializable every event is counted once", async (driver, place) => {
  await using at = await place(driver, "CREATE TABLE sums (n INT); INSERT INTO sums VALUES (0)");
  const url = new URL(at.url);
  url.searchParams.set(
    "options",
    `${url.searchParams.get("options")} -c default_transaction_isolation=serializable`,
  );
  const { database, end } = driver.open(url.href);
  await using checkpoints = await PostgresCheckpoints.open(database);
  await using store = await storeOf(...Array(30).fill("Plain"));
  const sum = (name: string): Projection<Event, Transaction> => ({
    name,
    checkpoints,
    failure: { retries: 0 },
    checkpointEvents: 3,
    handle: async (_, { transaction }) => {
      const run = driver.run(transaction);
      const [row] = await run("SELECT n FROM sums");
      await run("UPDATE sums SET n = $1::text::int", String(row!["n"] as number + 1));
    },
  });
  const last = (await store.getLastPosition())!;
  {
    await using leases = new InMemoryLeases();
    await using one = runProjection(store, sum("one"), { leases, ...quiet });
    await using two = runProjection(store, sum("two"), { leases, ...quiet });
    await Promise.all([one, two].map((run) => run.waitFor(last, { timeout: 60_000 })));
  }
  assert.deepEqual(await at.rows("SELECT n FROM sums"), [{ n: 60 }]);
  await end();
});

test(
  "without leases the worker that came last goes on, and calls that overlap count once",
  async (driver, place) => {
    await using at = await place(driver, ROWS);
    await using store = await storeOf("Plain", "Plain");
    await using first = runProjection(store, seen("p", at), quiet);
    await first.waitFor((await store.getLastPosition())!);
    await using second = runProjection(store, seen("p", at), quiet);
    await until("the second works", () => second.state === "live");
    await store.append("b", [{ eventType: "Plain", data: null }], { expectedVersion: 0 });
    await assert.rejects(first.finished, ProjectionInUseError);
    await second.waitFor((await store.getLastPosition())!);
    assert.equal((await at.rows(SEEN)).length, 3);
    await second.close();
    for (let index = 0; index < 20; index++) {
      await store.append(`c${index}`, [{ eventType: "Plain", data: null }], { expectedVersion: 0 });
    }
    await Promise.all([1, 2, 3].map(() => projectOnce(store, seen("p", at), quiet)));
    assert.equal((await at.rows(SEEN)).length, 23);
    assert.deepEqual(await listParked({ name: "p", checkpoints: at.checkpoints }), []);
  },
);

test(
  "an older worker's open transaction is ended by its successor, and writes nothing",
  async (driver, place) => {
    await using at = await place(driver, ROWS + "; CREATE TABLE sums (n INT); INSERT INTO sums VALUES (0)");
    await using store = await storeOf("Special");
    const entered = Promise.withResolvers<void>();
    const free = Promise.withResolvers<void>();
    let calls = 0;
    const projection = seen("p", at, async (run) => {
      await run("UPDATE sums SET n = n + 1");
      if (++calls > 1) return;
      entered.resolve();
      await free.promise; // as if its process was suspended
    });
    await using old = runProjection(store, projection, quiet);
    await entered.promise;
    await using next = runProjection(store, projection, quiet);
    await next.waitFor((await store.getLastPosition())!);
    free.resolve();
    await assert.rejects(old.finished, ProjectionInUseError);
    assert.deepEqual(await at.rows("SELECT n FROM sums"), [{ n: 1 }]);
    assert.deepEqual(await at.rows(SEEN), actors("a0"));
  },
);

test("segments count each event once, over a split and a merge", async (driver, place) => {
  await using at = await place(driver, "CREATE TABLE seen (actor TEXT)");
  await using store = await storeOf(...Array(40).fill("Plain"));
  await using leases = new InMemoryLeases();
  const projection = { ...seen("p", at), segments: 3 };
  await using one = runProjection(store, projection, { leases, ...quiet });
  await using two = runProjection(store, projection, { leases, ...quiet });
  for (const segments of [6, 2]) {
    await Promise.all([one, two].map(async (run) => run.waitFor((await store.getLastPosition())!)));
    await changeSegments(projection, segments);
    for (let index = 0; index < 20; index++) {
      await store.append(`${segments}-${index}`, [{ eventType: "Plain", data: null }], {
        expectedVersion: 0,
      });
    }
  }
  await one.waitFor((await store.getLastPosition())!);
  const [counts] = await at.rows("SELECT count(*)::int AS n, count(DISTINCT actor)::int AS d FROM seen");
  assert.deepEqual(counts, { n: 80, d: 80 });
});

test("hostile records are named and left as they are", async (driver, place) => {
  await using at = await place(driver, ROWS);
  await using store = await storeOf("Plain");
  for (const value of ["", "null", "{}", "no json", '{"format":1}', '{"format":2,"name":"p","version":1}']) {
    await at.rows("DELETE FROM aether_projection");
    await at.rows(`INSERT INTO aether_projection VALUES ('p', 1, 'r', '${value}')`);
    await assert.rejects(projectOnce(store, seen("p", at), quiet), DamagedCheckpointError, value);
    const [status] = await projectionStatuses(store, at.checkpoints);
    assert(status!.problem instanceof DamagedCheckpointError, value);
    assert.deepEqual(await at.rows("SELECT value FROM aether_projection"), [{ value }]);
  }
  await at.rows("DELETE FROM aether_projection");
  await at.rows("INSERT INTO aether_projection VALUES ('p', 9223372036854775807, 'r', '{}')");
  const [status] = await projectionStatuses(store, at.checkpoints);
  assert(status!.problem instanceof DamagedCheckpointError);
});

test("a table that is missing, of another kind, or not permitted is a typed error", async (driver, place) => {
  await using at = await place(driver, ROWS);
  await using store = await storeOf("Plain");
  await at.rows("DROP TABLE aether_projection");
  await assert.rejects(projectOnce(store, seen("p", at), quiet), (error: unknown) => {
    return error instanceof ProjectionStoppedError && error.reason === "bucket-missing";
  });
  await Promise.all(Array.from({ length: 4 }, () => PostgresCheckpoints.open(at.database)));
  await at.rows("ALTER TABLE aether_projection RENAME COLUMN revision TO other");
  await assert.rejects(PostgresCheckpoints.open(at.database), InvalidArgumentError);
  await at.rows("DROP TABLE aether_projection");

  const role = `reader_${crypto.randomUUID().slice(0, 8)}`;
  const schema = (await at.rows("SELECT current_schema() AS name"))[0]!["name"];
  await at.rows(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA ${schema} TO ${role}`);
  const url = new URL(at.url);
  url.username = role;
  url.password = "secret";
  const { database, end } = driver.open(url.href);
  const isDenied = (error: unknown): boolean => error instanceof BackendError && error.reason === "denied";
  await assert.rejects(PostgresCheckpoints.open(database), (error: Error) => {
    return isDenied(error) && /CREATE TABLE/.test(error.message);
  });
  await PostgresCheckpoints.open(at.database);
  await at.rows(`GRANT SELECT ON aether_projection TO ${role}`);
  const checkpoints = await PostgresCheckpoints.open(database);
  await assert.rejects(checkpoints.save({ name: "p", version: 1 }, "{}", undefined), isDenied);
  await assert.rejects(projectOnce(store, { name: "p", checkpoints, handle: () => {} }, quiet), (error) => {
    return error instanceof ProjectionStoppedError && error.reason === "credentials-refused";
  });
  await end();
  await at.rows(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
});

test("a pool that was closed is final, and a server that is not there is not", async (driver, place) => {
  await using at = await place(driver, ROWS);
  await using store = await storeOf("Plain");
  const { database, end } = driver.open(at.url);
  const checkpoints = await PostgresCheckpoints.open(database);
  await using run = runProjection(store, seen("p", { ...at, checkpoints }), quiet);
  await run.waitFor((await store.getLastPosition())!);
  await end();
  await store.append("b", [{ eventType: "Plain", data: null }], { expectedVersion: 0 });
  await assert.rejects(run.finished, (error: unknown) => {
    return error instanceof ProjectionStoppedError && error.reason === "closed";
  });
  await assert.rejects(checkpoints.load({ name: "p", version: 1 }), ClosedError);

  const nowhere = driver.open("postgres://aether@127.0.0.1:1/postgres");
  await assert.rejects(PostgresCheckpoints.open(nowhere.database), (error: unknown) => {
    return error instanceof BackendError && error.reason === "unreachable";
  });
  await nowhere.end();
  const unknown = driver.open(at.url.replace("/postgres?", "/no_such_database?"));
  await assert.rejects(PostgresCheckpoints.open(unknown.database), BackendError);
  await unknown.end();
});

test("handlers work one at a time with lanes, and at once with segments", async (driver, place) => {
  await using at = await place(driver, ROWS);
  await using store = await storeOf(...Array.from({ length: 40 }, () => "Plain"));
  await using leases = new InMemoryLeases();
  for (const [shape, isAtOnce] of [[{ lanes: 8 }, false], [{ segments: 3 }, true]] as const) {
    let working = 0;
    let most = 0;
    const { handle, ...rest } = seen(isAtOnce ? "segments" : "lanes", at);
    const counted: Projection<Event, Transaction> = {
      ...{ ...rest, ...shape },
      handle: async (event, context) => {
        most = Math.max(most, ++working);
        await new Promise((resolve) => setTimeout(resolve, 1));
        await (handle as (...given: unknown[]) => Promise<void>)(event, context);
        working--;
      },
    };
    await at.rows("DELETE FROM seen");
    await using run = runProjection(store, counted, { ...quiet, leases });
    await run.waitFor((await store.getLastPosition())!);
    assert.equal(most > 1, isAtOnce, `${most} at once`);
    assert.equal((await at.rows(SEEN)).length, 40);
  }
});

Deno.test("PostgreSQL: what is no database of either driver is refused", async () => {
  for (const database of [undefined, null, {}, "postgres://", { query: () => {} }, { begin: () => {} }]) {
    await assert.rejects(PostgresCheckpoints.open(database as never), InvalidArgumentError);
  }
});

/** Compiles if handlers get the types of their driver. */
export async function handlersOfBothDrivers(pool: Pool, sql: postgres.Sql): Promise<Projection[]> {
  const ofPg: Projection<Event, PoolClient> = {
    name: "pg",
    checkpoints: await PostgresCheckpoints.open(pool),
    handle: async (_, { transaction }) => void (await transaction.query("SELECT 1")).rowCount,
  };
  const ofPostgres: Projection<Event, TransactionSql> = {
    name: "postgres",
    checkpoints: await PostgresCheckpoints.open(sql),
    handle: async (_, { transaction }) => void (await transaction`SELECT 1`).count,
  };
  return [ofPg, ofPostgres] as unknown as Projection[];
}
