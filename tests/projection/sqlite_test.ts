/** Checkpoints in SQLite: what is committed, as another connection to the same file sees it. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  AetherError,
  BackendError,
  type CheckpointStore,
  type Event,
  HandlerError,
  InMemoryEventStore,
  InMemoryLeases,
  InvalidArgumentError,
  listParked,
  type Projection,
  ProjectionStoppedError,
  projectOnce,
  retryParked,
  runProjection,
  SqliteCheckpoints,
} from "../../mod.ts";
import { type SmallDisk, smallDisk } from "../support/small_disk.ts";
import { park, patient, quiet, storeOf, until } from "./support.ts";

/** A file with the connection of the checkpoints, and another one that looks at it. */
interface File extends Disposable {
  readonly path: string;
  readonly database: DatabaseSync;
  readonly other: DatabaseSync;
  readonly checkpoints: SqliteCheckpoints<DatabaseSync>;
  /** Rows, as the other connection sees them. */
  rows(sql: string): unknown[];
  /** The record, as the other connection sees it. */
  record(
    name: string,
  ): { position?: string; handled: number; parked: unknown[]; failing?: { attempts: number } };
}

function open(schema: string, folder = Deno.makeTempDirSync()): File {
  Deno.mkdirSync(folder, { recursive: true });
  const path = `${folder}/projection.db`;
  const database = new DatabaseSync(path);
  const other = new DatabaseSync(path);
  database.exec(schema);
  return {
    path,
    database,
    other,
    checkpoints: new SqliteCheckpoints(database),
    rows: (sql) => other.prepare(sql).all().map((row) => ({ ...row })),
    record: (name) => {
      const row = other.prepare("SELECT value FROM aether_projection WHERE name = ?").get(name);
      return JSON.parse((row as { value: string }).value);
    },
    [Symbol.dispose](): void {
      if (database.isOpen) database.close();
      other.close();
      Deno.removeSync(folder, { recursive: true });
    },
  };
}

const ROWS = "CREATE TABLE seen (actor TEXT PRIMARY KEY) STRICT";
const INSERT = "INSERT INTO seen VALUES (?)";

/** Notes each actor in the table, and does what is to be done for one event type. */
function seen(
  name: string,
  checkpoints: CheckpointStore<DatabaseSync>,
  special: (database: DatabaseSync, actorId: string) => unknown,
): Projection<Event, DatabaseSync> {
  return {
    name,
    checkpoints,
    failure: park,
    handle: async ({ actorId, eventType }, { transaction }) => {
      transaction.prepare(INSERT).run(actorId);
      if (eventType === "Special") await special(transaction, actorId);
    },
  };
}

Deno.test("SQLite: a handler that failed leaves no transaction open, and what follows is committed", async () => {
  using file = open(ROWS);
  await using store = await storeOf("Special", "Plain", "Plain");
  let plain = 0;
  const projection: Projection<Event, DatabaseSync> = {
    name: "p",
    checkpoints: file.checkpoints,
    failure: park,
    handle: {
      Special: (_, { transaction }) => {
        transaction.prepare(INSERT).run("special");
        throw new Error("poison");
      },
      Plain: () => void plain++,
    },
  };
  for (let start = 0; start < 2; start++) {
    await projectOnce(store, projection, { ...quiet, ...patient });
    assert.equal(file.database.isTransaction, false);
    assert.deepEqual(file.rows("SELECT * FROM seen"), []);
    const { position, parked: aside } = file.record("p");
    assert.deepEqual([position, aside.length, plain], [await store.getLastPosition(), 1, 2]);
    file.other.exec("CREATE TABLE IF NOT EXISTS another_writer (a)");
  }
});

Deno.test("SQLite: a constraint that is checked at the commit is the failure of its event alone", async () => {
  using file = open(
    "CREATE TABLE customers (id TEXT PRIMARY KEY); " +
      "CREATE TABLE seen (actor TEXT PRIMARY KEY, customer TEXT REFERENCES customers DEFERRABLE INITIALLY DEFERRED)",
  );
  file.database.exec("INSERT INTO customers VALUES ('known')");
  await using store = await storeOf("Good", "Good", "Bad", "Good");
  const calls: string[] = [];
  const projection: Projection<Event, DatabaseSync> = {
    name: "p",
    checkpoints: file.checkpoints,
    failure: park,
    handle: ({ actorId, eventType }, { transaction }) => {
      calls.push(actorId);
      transaction.prepare("INSERT INTO seen VALUES (?, ?)").run(
        actorId,
        eventType === "Good" ? "known" : "unknown",
      );
    },
  };
  await projectOnce(store, projection, { ...quiet, ...patient });
  const actors = ["a0", "a1", "a3"];
  assert.deepEqual(file.rows("SELECT actor FROM seen ORDER BY actor"), actors.map((actor) => ({ actor })));
  const [entry] = await listParked(projection);
  assert.equal(entry!.actorId, "a2");
  assert.equal(entry!.attempts, 2);
  assert.match(entry!.error, /HandlerError.*FOREIGN KEY/);
  assert.equal(file.record("p").position, await store.getLastPosition());
  // A retry fails alike, and succeeds once the customer is there.
  await assert.rejects(retryParked(store, projection, entry!.position), (error: Error) => {
    return error.cause instanceof HandlerError;
  });
  assert.equal(file.record("p").parked.length, 1);
  file.other.exec("INSERT INTO customers VALUES ('unknown')");
  await retryParked(store, projection, entry!.position);
  assert.equal(file.rows("SELECT * FROM seen").length, 4);
  assert.equal(file.record("p").parked.length, 0);
});

Deno.test("SQLite: one event alone whose commit is refused is tried as often as its policy allows", async () => {
  using file = open(
    "CREATE TABLE customers (id TEXT PRIMARY KEY); " +
      "CREATE TABLE seen (customer TEXT REFERENCES customers DEFERRABLE INITIALLY DEFERRED)",
  );
  await using store = await storeOf("Bad");
  let calls = 0;
  await using run = runProjection(store, {
    name: "p",
    checkpoints: file.checkpoints,
    failure: { retries: 2, firstDelay: 1 },
    handle: (_, { transaction }) => {
      calls++;
      transaction.prepare(INSERT).run("unknown");
    },
  }, quiet);
  await assert.rejects(run.finished, (error: Error) => error.cause instanceof HandlerError);
  assert.equal(calls, 3);
  assert.equal(file.record("p").failing!.attempts, 3);
  assert.equal(file.database.isTransaction, false);
});

Deno.test("SQLite: a commit that a reader holds up is tried again, and nothing is saved before", async () => {
  using file = open(ROWS);
  file.database.exec("INSERT INTO seen VALUES ('x'), ('y')");
  await using store = await storeOf("Plain");
  const warnings: string[] = [];
  await using run = runProjection(store, seen("p", file.checkpoints, () => {}), {
    onWarning: ({ code }) => warnings.push(code),
  });
  await run.waitFor((await store.getLastPosition())!);
  const rows = file.other.prepare("SELECT * FROM seen").iterate();
  rows.next();
  const [event] = await store.append("b", [{ eventType: "Plain", data: null }], { expectedVersion: 0 });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await assert.rejects(run.waitFor(event!.position, { timeout: 1 }));
  rows.return?.();
  await run.waitFor(event!.position);
  assert.deepEqual(file.rows("SELECT * FROM seen WHERE actor = 'b'"), [{ actor: "b" }]);
  assert.equal(file.record("p").position, event!.position);
  assert.deepEqual(warnings, []);
});

Deno.test("SQLite: a database that another connection writes to is waited for", async () => {
  using file = open(ROWS);
  await using store = await storeOf("Plain", "Plain");
  file.other.exec("BEGIN IMMEDIATE");
  const warnings: string[] = [];
  await using run = runProjection(store, seen("p", file.checkpoints, () => {}), {
    onWarning: ({ code }) => warnings.push(code),
  });
  await until("the run is interrupted", () => warnings.includes("projection-interrupted"));
  file.other.exec("COMMIT");
  await run.waitFor((await store.getLastPosition())!);
  assert.equal(file.rows("SELECT * FROM seen").length, 2);
});

Deno.test("SQLite: what a handler was given is refused once its attempt is over", async () => {
  using file = open("CREATE TABLE payments (event TEXT, attempt INTEGER)");
  await using store = await storeOf("Paid", "Paid");
  const late: unknown[] = [];
  const pending: Promise<void>[] = [];
  const wait = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, milliseconds));
  const writes = (transaction: DatabaseSync): (() => unknown)[] => {
    const statement = transaction.prepare("INSERT INTO payments VALUES ('late', 9)");
    const rows = transaction.prepare("SELECT 1 UNION SELECT 2").iterate();
    rows.next();
    return [
      () => statement.run(),
      () => statement.all(),
      () => rows.next(),
      () => transaction.exec("INSERT INTO payments VALUES ('late', 9)"),
      () => transaction.prepare("SELECT 1"),
    ];
  };
  await projectOnce(store, {
    name: "p",
    checkpoints: file.checkpoints,
    handlerTimeout: 50,
    failure: { retries: 3, firstDelay: 1 },
    handle: async ({ id }, { transaction, attempt }) => {
      const attempts = writes(transaction);
      const goOn = async (): Promise<void> => {
        await wait(attempt === 1 ? 90 : 20);
        for (const write of attempts) {
          try {
            late.push(write());
          } catch (error) {
            late.push(error);
          }
        }
      };
      pending.push(goOn());
      if (attempt === 1) await wait(80);
      transaction.prepare("INSERT INTO payments VALUES (?, ?)").run(id, attempt);
    },
  }, { budgetMs: 5_000, ...quiet });
  await Promise.all(pending);
  assert.equal(late.length, 20);
  for (const error of late) assert.ok(error instanceof HandlerError, String(error));
  assert.deepEqual(file.rows("SELECT attempt FROM payments"), [{ attempt: 2 }, { attempt: 2 }]);
});

Deno.test("SQLite: a handler can not end the transaction, and may use savepoints of its own", async () => {
  const statements = [
    "COMMIT",
    "  end transaction",
    "/* a */ ROLLBACK",
    "BEGIN",
    "INSERT INTO seen VALUES ('x;y'); COMMIT",
    'RELEASE "aether_event"',
    "ROLLBACK TO aether_event",
  ];
  for (const sql of statements) {
    for (const call of ["exec", "prepare"] as const) {
      using file = open(ROWS);
      await using store = await storeOf("Plain", "Special", "Plain");
      await projectOnce(
        store,
        seen("p", file.checkpoints, (database) => database[call](sql)),
        { ...quiet, ...patient },
      );
      const [entry] = await listParked({ name: "p", checkpoints: file.checkpoints });
      assert.match(entry!.error, /HandlerError/, sql);
      assert.deepEqual(file.rows("SELECT * FROM seen ORDER BY 1"), [{ actor: "a0" }, { actor: "a2" }], sql);
    }
  }
  using file = open(ROWS);
  await using store = await storeOf("Special");
  await projectOnce(
    store,
    seen("p", file.checkpoints, (database) => {
      database.exec(
        "SAVEPOINT own; INSERT INTO seen VALUES ('; COMMIT;'); ROLLBACK TO own; RELEASE own; SAVEPOINT left_open",
      );
      database.exec("CREATE TRIGGER t AFTER INSERT ON seen BEGIN DELETE FROM seen WHERE actor = 'z'; END;");
      database.exec("INSERT INTO seen VALUES ('y'), ('z')");
    }),
    { ...quiet, ...patient },
  );
  assert.deepEqual(file.rows("SELECT * FROM seen ORDER BY 1"), [{ actor: "a0" }, { actor: "y" }]);
  assert.throws(() => {
    using file = open(ROWS);
    new SqliteCheckpoints(file.database);
    new SqliteCheckpoints({} as DatabaseSync);
  }, InvalidArgumentError);
});

Deno.test("SQLite: a statement that ends the whole transaction takes nothing of other events with it", async () => {
  for (const isCaught of [false, true]) {
    using file = open(ROWS);
    await using store = await storeOf("Plain", "Plain", "Special", "Plain");
    await projectOnce(
      store,
      seen("p", file.checkpoints, (database, actorId) => {
        try {
          database.prepare("INSERT OR ROLLBACK INTO seen VALUES (?)").run(actorId);
        } catch (error) {
          if (!isCaught) throw error;
        }
      }),
      { ...quiet, ...patient },
    );
    assert.deepEqual(
      file.rows("SELECT * FROM seen ORDER BY 1"),
      ["a0", "a1", "a3"].map((actor) => ({ actor })),
      `caught: ${isCaught}`,
    );
    const { parked: aside, position } = file.record("p");
    assert.deepEqual([aside.length, position], [1, await store.getLastPosition()]);
  }
});

Deno.test("SQLite: projections that share a connection use it one after another, also over several objects", async () => {
  using file = open("CREATE TABLE seen (projection TEXT, event TEXT) STRICT");
  await using store = new InMemoryEventStore();
  await using leases = new InMemoryLeases();
  const warnings: unknown[] = [];
  const start = (name: string, checkpoints = file.checkpoints) =>
    runProjection(store, {
      name,
      checkpoints,
      handle: async ({ id }, context) => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        context.transaction.prepare("INSERT INTO seen VALUES (?, ?)").run(name, id);
        await new Promise((resolve) => setTimeout(resolve, 1));
      },
    }, { leases, onWarning: (warning) => warnings.push(warning) });
  await using one = start("one");
  await using two = start("two");
  await using three = start("three", new SqliteCheckpoints(file.database));
  for (let index = 0; index < 40; index++) {
    await store.append(`a${index}`, [{ eventType: "E", data: 1 }], { expectedVersion: 0 });
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  for (const run of [one, two, three]) await run.waitFor((await store.getLastPosition())!);
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    file.rows("SELECT projection, count(*) AS n, count(DISTINCT event) AS d FROM seen GROUP BY 1 ORDER BY 1"),
    ["one", "three", "two"].map((projection) => ({ projection, n: 40, d: 40 })),
  );
});

Deno.test("SQLite: a transaction of other code on the connection is refused, and waited for", async () => {
  using file = open(ROWS);
  await using store = await storeOf("Plain");
  file.database.exec("BEGIN");
  assert.throws(() => {
    using fresh = new DatabaseSync(":memory:");
    fresh.exec("BEGIN");
    new SqliteCheckpoints(fresh);
  }, BackendError);
  const projection = seen("p", file.checkpoints, () => {});
  await assert.rejects(projectOnce(store, projection, { ...quiet, ...patient }), (error: Error) => {
    return error instanceof BackendError && /connection of their own/.test(error.message);
  });
  file.database.exec("INSERT INTO seen VALUES ('own')");
  await using run = runProjection(store, projection, quiet);
  await until("it is interrupted", () => run.state === "unreachable");
  assert.deepEqual(file.rows("SELECT * FROM aether_projection"), []);
  file.database.exec("ROLLBACK");
  await run.waitFor((await store.getLastPosition())!);
  assert.deepEqual(file.rows("SELECT * FROM seen"), [{ actor: "a0" }]);
});

Deno.test("SQLite: a database that its owner closes ends the run, and what was committed stays", async () => {
  using file = open(ROWS);
  await using store = await storeOf("Plain", "Special", "Plain");
  await using run = runProjection(store, seen("p", file.checkpoints, () => file.database.close()), quiet);
  await assert.rejects(run.finished, ProjectionStoppedError);
  assert.deepEqual(file.rows("SELECT * FROM seen"), []);
  await assert.rejects(
    projectOnce(store, seen("p", file.checkpoints, () => {}), { ...quiet, ...patient }),
    AetherError,
  );
});

Deno.test("SQLite: a database that is open for reading alone ends the run with advice", async () => {
  using file = open(ROWS);
  await using store = await storeOf("Plain");
  using readOnly = new DatabaseSync(file.path, { readOnly: true });
  const checkpoints = new SqliteCheckpoints(readOnly);
  await using run = runProjection(store, seen("p", checkpoints, () => {}), quiet);
  await assert.rejects(run.finished, InvalidArgumentError);
  await assert.rejects(
    projectOnce(store, seen("p", checkpoints, () => {}), { ...quiet, ...patient }),
    InvalidArgumentError,
  );
  assert.deepEqual(await listParked({ name: "p", checkpoints }), []);
});

Deno.test("SQLite: a full disk is no failure of the handler, and the run goes on once there is room", async () => {
  const folder = await Deno.makeTempDir();
  await using disk = await smallDisk(`${folder}/disk`, "400k");
  if (!disk) return console.log("not shown: this user may not mount a file system");
  await fullDisk(disk, `${folder}/disk`);
  await disk[Symbol.asyncDispose]();
  await Deno.remove(folder, { recursive: true });
});

async function fullDisk(disk: SmallDisk, folder: string): Promise<void> {
  using file = open("CREATE TABLE seen (actor TEXT PRIMARY KEY, text TEXT) STRICT", `${folder}/db`);
  await using store = await storeOf("Plain", "Plain");
  let calls = 0;
  await using run = runProjection(store, {
    name: "p",
    checkpoints: file.checkpoints,
    failure: { retries: 0, then: "park" },
    handle: ({ actorId }, { transaction }) => {
      calls++;
      try {
        transaction.prepare("INSERT INTO seen VALUES (?, ?)").run(actorId, "x".repeat(300_000));
      } catch {
        // A handler that hides it does not make it a success.
      }
    },
  }, quiet);
  await until("it is interrupted", () => run.state === "unreachable" && calls > 0);
  assert.deepEqual(file.rows("SELECT actor FROM seen"), []);
  await disk.resize("16m");
  await run.waitFor((await store.getLastPosition())!);
  assert.deepEqual(file.rows("SELECT actor FROM seen"), [{ actor: "a0" }, { actor: "a1" }]);
  assert.deepEqual(file.record("p").parked, []);
}
