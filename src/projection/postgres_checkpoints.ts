/**
 * Checkpoints in PostgreSQL, in the transaction of the read model.
 *
 * The handlers of several events run in one transaction, each behind a savepoint. The last statement before the commit moves the
 * checkpoint **if it is still at the revision that this worker knows**; if it is not, everything is rolled back. So of two workers
 * one alone commits. If the answer to a commit is lost, the record shows whether it was stored: it names the write.
 *
 * @module
 */

import { hash } from "../cluster/shard_of.ts";
import { InvalidArgumentError } from "../errors.ts";
import { BackendError } from "../store/errors.ts";
import { type CheckpointStore, type StoredCheckpoint, type UnitOfWork, unreadable } from "./checkpoints.ts";
import { CheckpointConflictError, DamagedCheckpointError, type ProjectionId } from "./errors.ts";
import { driverOf, type PostgresDatabase, type PostgresDriver, type PostgresRow } from "./postgres_driver.ts";
import { failureKind, failureOf, sqlStateOf } from "./postgres_failures.ts";
import { endingOf, PostgresUnit, type ProjectionLock, type Replacing } from "./postgres_unit.ts";

export type { PostgresDatabase } from "./postgres_driver.ts";

const CREATE = "CREATE TABLE IF NOT EXISTS aether_projection (name TEXT NOT NULL, version BIGINT NOT NULL, " +
  "revision TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name, version))";
/** Another process makes the table, or one of its indexes or types, at this moment. */
const MADE_MEANWHILE = /^(?:42P07|42710|23505)$/;
const COLUMNS = "name, version::text AS version, revision::text AS revision, value::text AS value";
/** How often a statement of its own is repeated after a serialization failure or a deadlock. */
const MAX_TRIES = 20;
/** The first number of the advisory locks, "aeth". The second one is the hash of the projection. */
const LOCK_GROUP = 0x61657468;

/**
 * Checkpoints in a table `aether_projection` of a PostgreSQL database (version 12 or later). A handler that asks for
 * `context.transaction` gets a connection of the driver, inside a transaction that commits together with the checkpoint: exactly
 * once, and the events may be in any store. With `npm:pg` it is a client with `query()`; with `npm:postgres` it is a `TransactionSql`. It is
 * refused with a {@linkcode HandlerError} once the handler's attempt is over, and takes no `COMMIT` or `ROLLBACK`; savepoints can be
 * used.
 *
 * Handlers work one at a time, also with `lanes`, because a transaction has one connection. With `segments` as many work at once as
 * a process has segments, each in a transaction of its own: give the pool a connection for each, and one more.
 *
 * A statement that fails undoes the writes of its event alone. Serialization failures and deadlocks are repeated; they do not count
 * as failures of the handler. A server that cannot be reached is waited for. PostgreSQL has no leases: if several processes run the
 * projection, pass some to `runProjection`, or the worker that came last continues and the others end with a
 * {@linkcode ProjectionInUseError}.
 *
 * @typeParam T What handlers write with.
 *
 * @example A read model in the same database, exactly once
 * ```ts
 * import { type EventStore, PostgresCheckpoints, type PostgresDatabase, runProjection } from "@flowmade-one/aether";
 *
 * // With a `Pool` of npm:pg.
 * interface Client {
 *   query(sql: string, parameters?: unknown[]): Promise<unknown>;
 * }
 * // The database has a table placed.
 * async function project(store: EventStore, pool: PostgresDatabase<Client>) {
 *   return runProjection(store, {
 *     name: "placed-orders",
 *     checkpoints: await PostgresCheckpoints.open(pool),
 *     handle: {
 *       async OrderPlaced({ actorId }, { transaction }) {
 *         await transaction.query("INSERT INTO placed VALUES ($1)", [actorId]);
 *       },
 *     },
 *   });
 * }
 * ```
 *
 * @category Projections
 */
export class PostgresCheckpoints<T> implements CheckpointStore<T> {
  /** Handlers write with a transaction of the driver. */
  declare readonly transactionType?: () => T;
  readonly #driver: PostgresDriver<T>;
  /** The table, with its schema: a handler may set another search path. */
  readonly #table: string;

  private constructor(driver: PostgresDriver<T>, table: string) {
    this.#driver = driver;
    this.#table = table;
  }

  /**
   * Creates the table if it is missing, in the first schema of the connection's search path. The pool stays the caller's to close.
   *
   * @param database A `Pool` of `npm:pg`, or what `npm:postgres` returns.
   * @throws {InvalidArgumentError} If it is neither, or has a table of that name with other columns.
   * @throws {BackendError} If the server cannot be reached, refuses the credentials, or the user may not create the table.
   * @throws {ClosedError} If the pool was closed.
   */
  static async open<T>(database: PostgresDatabase<T>): Promise<PostgresCheckpoints<T>> {
    const driver = driverOf(database);
    try {
      return new PostgresCheckpoints(driver, await findTable(driver) ?? await createTable(driver));
    } catch (error) {
      throw failureOf(error);
    }
  }

  /** Reads a checkpoint. */
  async load(id: ProjectionId): Promise<StoredCheckpoint | undefined> {
    const rows = await this.#run(
      `SELECT ${COLUMNS} FROM ${this.#table} WHERE name = $1 AND version = $2::text::bigint`,
      [id.name, String(id.version)],
    );
    return rows[0] && storedOf(rows[0], id);
  }

  /** Replaces a checkpoint. */
  async save(id: ProjectionId, value: string, expected: string | undefined): Promise<string> {
    const { sql, parameters, revision } = this.#replacing(id, value, expected);
    try {
      const rows = await this.#run(sql, parameters);
      if (rows.length === 0) throw new CheckpointConflictError(id);
      return revision;
    } catch (error) {
      return await this.#known(id, revision, error);
    }
  }

  /** Deletes a checkpoint. */
  async delete(id: ProjectionId): Promise<boolean> {
    const rows = await this.#run(
      `DELETE FROM ${this.#table} WHERE name = $1 AND version = $2::text::bigint RETURNING revision`,
      [id.name, String(id.version)],
    );
    return rows.length > 0;
  }

  /** All checkpoints, also those that cannot be read. */
  async list(): Promise<readonly StoredCheckpoint[]> {
    const rows = await this.#run(`SELECT ${COLUMNS} FROM ${this.#table}`, []);
    return rows.map((row) => {
      const id = { name: String(row["name"]), version: Number(row["version"]) };
      try {
        return { ...storedOf(row, id), id };
      } catch (error) {
        return unreadable(id, error);
      }
    });
  }

  /** Begins a unit of work: a transaction, once a handler asks for it. */
  begin(id: ProjectionId): UnitOfWork<T> {
    return new PostgresUnit(this.#driver, lockOf(id), {
      replacing: (value, expected) => this.#replacing(id, value, expected),
      conflict: () => new CheckpointConflictError(id),
      known: (revision, error) => this.#known(id, revision, error),
    });
  }

  /**
   * Ends the transactions that older workers of a projection have left open, such as that of a process that is suspended: they cannot
   * commit any more, but hold locks.
   */
  async supersede(id: ProjectionId): Promise<void> {
    try {
      await this.#driver.run(endingOf("pg_terminate_backend", lockOf(id)), []);
    } catch (error) {
      // Of another user: without the permission they are waited for.
      if (sqlStateOf(error) !== "42501") throw failureOf(error);
    }
  }

  /** Does nothing: the pool is the caller's. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Runs a statement, again after a serialization failure or a deadlock. */
  async #run(sql: string, parameters: readonly string[]): Promise<readonly PostgresRow[]> {
    for (let tries = 1;; tries++) {
      try {
        return await this.#driver.run(sql, parameters);
      } catch (error) {
        if (failureKind(error) !== "again" || tries === MAX_TRIES) throw failureOf(error);
      }
    }
  }

  #replacing(id: ProjectionId, value: string, expected: string | undefined): Replacing {
    const revision = crypto.randomUUID();
    const parameters = [id.name, String(id.version), revision, value];
    if (expected === undefined) {
      const sql = `INSERT INTO ${this.#table} (name, version, revision, value) ` +
        "VALUES ($1, $2::text::bigint, $3, $4) ON CONFLICT DO NOTHING RETURNING revision";
      return { sql, parameters, revision };
    }
    const sql = `UPDATE ${this.#table} SET revision = $3, value = $4 ` +
      "WHERE name = $1 AND version = $2::text::bigint AND revision = $5 RETURNING revision";
    return { sql, parameters: [...parameters, expected], revision };
  }

  /**
   * Finds out whether a write was stored whose answer was lost. One that is stored later is no danger: it then comes before the next
   * write of this worker, which is refused.
   */
  async #known(id: ProjectionId, revision: string, error: unknown): Promise<string> {
    const failure = failureOf(error);
    if (!(failure instanceof BackendError) || failure.reason !== "unreachable") throw failure;
    const stored = await this.load(id).catch(() => undefined);
    if (stored?.revision !== revision) throw failure;
    return revision;
  }
}

function lockOf({ name, version }: ProjectionId): ProjectionLock {
  return [LOCK_GROUP, hash(`${version} ${name}`) | 0];
}

/** The table with its schema, as SQL; `undefined` if there is none. */
async function findTable<T>(driver: PostgresDriver<T>): Promise<string | undefined> {
  const rows = await driver.run(
    "SELECT quote_ident(n.nspname) AS schema, (SELECT string_agg(attname::text, ', ') " +
      "FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns " +
      "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace " +
      "WHERE c.oid = to_regclass('aether_projection')",
    [],
  );
  const [row] = rows;
  if (!row) return undefined;
  const columns = String(row["columns"]);
  const names = new Set(columns.split(", "));
  if (["name", "version", "revision", "value"].every((name) => names.has(name))) {
    return `${row["schema"]}.aether_projection`;
  }
  throw new InvalidArgumentError(
    "database",
    `has a table aether_projection with the columns ${columns}, which is no table of checkpoints: rename it, or ` +
      "set another search_path",
  );
}

async function createTable<T>(driver: PostgresDriver<T>): Promise<string> {
  try {
    await driver.run(CREATE, []);
  } catch (error) {
    const state = sqlStateOf(error) ?? "";
    if (state === "42501" || state === "25006" || state === "3F000") {
      throw new BackendError(
        "checkpoint",
        `the table aether_projection cannot be created (${
          (error as Error).message
        }). As its owner, run: ${CREATE}`,
        { cause: error, reason: "denied" },
      );
    }
    if (!MADE_MEANWHILE.test(state)) throw error;
  }
  const table = await findTable(driver);
  if (table === undefined) {
    throw new BackendError(
      "checkpoint",
      "the table aether_projection was created and is not found: set search_path",
    );
  }
  return table;
}

/** The checkpoint of a row. Another program may have written anything there. */
function storedOf(row: PostgresRow, id: ProjectionId): StoredCheckpoint {
  const { value, revision } = row as { readonly value: string | null; readonly revision: string | null };
  if (typeof value !== "string") throw new DamagedCheckpointError(id, "it is not text");
  if (typeof revision !== "string") throw new DamagedCheckpointError(id, "it has no revision");
  return { value, revision };
}
