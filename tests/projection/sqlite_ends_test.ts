/** How a projection with SQLite checkpoints ends, or goes on, when the database fails; and when a limited wait is over. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  BackendError,
  InMemoryEventStore,
  InvalidArgumentError,
  type Projection,
  type ProjectionRun,
  ProjectionStoppedError,
  projectOnce,
  runProjection,
  SqliteCheckpoints,
  type Warning,
} from "../../mod.ts";
import { StreamNotFoundError } from "../../src/nats/jetstream/api_errors.ts";
import { Patience } from "../../src/projection/ends.ts";
import { add, type Counted, patient, until } from "./support.ts";

interface Scene extends AsyncDisposable {
  readonly store: InMemoryEventStore<Counted>;
  readonly database: DatabaseSync;
  readonly projection: Projection<Counted, DatabaseSync>;
  /** Starts a run; it is closed with the scene. */
  run(): ProjectionRun;
  readonly warnings: Warning[];
  readonly file: string;
}

/** A read model of rows in a file, and a log with three events. */
async function scene(): Promise<Scene> {
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const file = `${folder}/model.sqlite3`;
  const database = new DatabaseSync(file);
  stack.defer(() => {
    if (database.isOpen) database.close();
  });
  database.exec("CREATE TABLE handled (position TEXT PRIMARY KEY) STRICT");
  const store = stack.use(new InMemoryEventStore<Counted>());
  await add(store, 3);
  const projection: Projection<Counted, DatabaseSync> = {
    name: "p",
    checkpoints: new SqliteCheckpoints(database),
    handle: ({ position }, { transaction }) => {
      transaction.prepare("INSERT INTO handled VALUES (?)").run(position);
    },
    checkpointInterval: 10,
  };
  const warnings: Warning[] = [];
  const owned = stack.move();
  const run = (): ProjectionRun =>
    owned.use(runProjection(store, projection, { onWarning: (warning) => void warnings.push(warning) }));
  return {
    store,
    database,
    projection,
    run,
    warnings,
    file,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const codes = (warnings: readonly Warning[]): Set<string> => new Set(warnings.map(({ code }) => code));

Deno.test("SQLite: a database that another connection holds is waited for, and nothing is lost or handled twice", async () => {
  await using opened = await scene();
  const { store, database, file, warnings } = opened;
  using other = new DatabaseSync(file);
  const run = opened.run();
  await until("it is live", () => run.state === "live");
  other.exec("BEGIN EXCLUSIVE");
  await add(store, 2);
  await until("it is unreachable", () => run.state === "unreachable");
  assert.deepEqual(codes(warnings), new Set(["projection-interrupted"]));
  other.exec("ROLLBACK");
  await run.waitFor((await add(store, 1))[0]!.position, { timeout: 60_000 });
  assert.equal(database.prepare("SELECT count(*) AS count FROM handled").get()!["count"], 6);
});

Deno.test("SQLite: a damaged database stops a run, and what SQLite reports is the error", async () => {
  await using opened = await scene();
  const { store, database, file, projection } = opened;
  await projectOnce(store, projection, patient);
  database.exec("PRAGMA cache_size = 0");
  const bytes = await Deno.readFile(file);
  await Deno.writeFile(file, bytes.fill(0xa5, 0));
  const isDamage = (error: unknown): boolean =>
    error instanceof BackendError && /malformed|not a database/.test(String((error.cause as Error).message));
  await add(store, 1);
  const run = opened.run();
  await assert.rejects(run.finished, isDamage);
  assert.equal(run.state, "stopped");
  await assert.rejects(projectOnce(store, projection, patient), isDamage);
});

Deno.test("SQLite: a table of checkpoints that was dropped is missed, and found if it is created again", async () => {
  await using opened = await scene();
  const { store, database, projection } = opened;
  const run = opened.run();
  await until("it is live", () => run.state === "live");
  database.exec("DROP TABLE aether_projection");
  await add(store, 1);
  await until("it is unreachable", () => run.state === "unreachable");
  const isMissing = (error: unknown): boolean =>
    error instanceof ProjectionStoppedError && error.reason === "bucket-missing";
  await assert.rejects(projectOnce(store, projection, patient), isMissing);
  database.exec("DELETE FROM handled");
  new SqliteCheckpoints(database);
  await run.waitFor((await add(store, 1))[0]!.position, { timeout: 30_000 });
  assert.equal(database.prepare("SELECT count(*) AS count FROM handled").get()!["count"], 5);
});

Deno.test("SQLite: a database that is open for reading alone stops a run, and the error names it", async () => {
  await using opened = await scene();
  const { store, file, projection } = opened;
  await projectOnce(store, projection, patient);
  await add(store, 1);
  using database = new DatabaseSync(file, { readOnly: true });
  const readOnly = { ...projection, checkpoints: new SqliteCheckpoints(database) };
  const isReadOnly = (error: unknown): boolean =>
    error instanceof InvalidArgumentError && error.argument === "database";
  await using run = runProjection(store, readOnly, { onWarning: () => {} });
  await assert.rejects(run.finished, isReadOnly);
  await assert.rejects(projectOnce(store, readOnly, patient), isReadOnly);
});

Deno.test("SQLite: a database that is closed while a failed handler waits ends the run", async () => {
  await using opened = await scene();
  const { store, database, projection } = opened;
  const failing = { ...projection, failure: { firstDelay: 50, longestDelay: 50, retries: 1_000 } };
  let calls = 0;
  await using run = runProjection(store, {
    ...failing,
    handle: () => {
      calls++;
      throw new Error("not yet");
    },
  }, { onWarning: () => {} });
  await until("it waits", () => calls > 1);
  database.close();
  await assert.rejects(
    run.finished,
    (error) => error instanceof ProjectionStoppedError && error.reason === "closed",
  );
});

const ID = { name: "p", version: 1 };
const MISSING = new BackendError("get", "the bucket does not exist", {
  reason: "unreachable",
  cause: new StreamNotFoundError("KV_aether", 10_059, "stream not found"),
});
const REFUSED = [
  new BackendError("get", "the user has no permission", { reason: "denied" }),
  new BackendError("connect", "the server refuses the credentials", { reason: "denied" }),
];

Deno.test("a bucket that is missing, or credentials that are refused, are waited for up to a bound, which progress resets", () => {
  const clock = performance.now;
  let time = 1_000;
  performance.now = () => time;
  try {
    for (
      const [error, reason] of [
        [MISSING, "bucket-missing"],
        ...REFUSED.map((error) => [error, "credentials-refused"]),
      ]
    ) {
      const patience = new Patience(ID, 300);
      const isOver = (outcome: unknown): boolean =>
        outcome instanceof ProjectionStoppedError && outcome.reason === reason && outcome.cause === error;
      for (let round = 0; round < 2; round++) {
        assert.ok(patience.waitAfter(error) <= 100);
        time += 299;
        assert.ok(patience.waitAfter(error) <= 200);
        time += 2;
        if (round === 0) patience.reset();
      }
      // What passes by itself does not end the limited wait, and is not ended by it.
      assert.ok(patience.waitAfter(new BackendError("read", "the server does not answer")) <= 400);
      assert.throws(() => patience.waitAfter(error), isOver);
    }
  } finally {
    performance.now = clock;
  }
});

Deno.test("the waits after failures that may pass grow up to a bound, and are waited for without one", () => {
  const patience = new Patience(ID, 0);
  const error = new BackendError("read", "the server does not answer");
  const longest = Array.from({ length: 12 }, (_, failures) => {
    const bound = Math.min(5_000, 100 * 2 ** failures);
    const wait = patience.waitAfter(error);
    assert.ok(wait >= 0 && wait <= bound, `${wait} after ${failures + 1} failures`);
    return bound;
  });
  assert.equal(longest.at(-1), 5_000);
});
