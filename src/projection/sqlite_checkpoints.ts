/**
 * Checkpoints in SQLite, in the transaction of the read model: the pattern for any SQL database with transactions.
 *
 * The handlers of several events run in one transaction, each behind a savepoint; the last statement before the commit moves the
 * checkpoint **if it is still at the revision that this worker knows**. If it is not, everything is rolled back. A commit that
 * fails is no end of the transaction: it is tried again while another connection reads, and else rolled back.
 *
 * @module
 */

import { backoff, sleep } from "../sleep.ts";
import { BackendError } from "../store/errors.ts";
import {
  type CheckpointStore,
  type HandlerScope,
  type StoredCheckpoint,
  type UnitOfWork,
  unreadable,
} from "./checkpoints.ts";
import {
  CheckpointConflictError,
  DamagedCheckpointError,
  type ProjectionId,
  TransactionBusyError,
  TransactionLostError,
} from "./errors.ts";
import {
  failureOf,
  isBusy,
  refusal,
  SqliteConnection,
  type SqliteDatabase,
  SqliteScope,
  type SqliteScopeOwner,
} from "./sqlite_transaction.ts";

export type { SqliteDatabase, SqliteStatement } from "./sqlite_transaction.ts";

/** A row of the table. */
interface Row {
  readonly name: string;
  readonly version: string;
  readonly value: string;
  readonly revision: string;
}

/** Integers as text: another program may have written one that a number does not hold. */
const COLUMNS = "name, CAST(version AS TEXT) AS version, value, CAST(revision AS TEXT) AS revision";

/**
 * Checkpoints in a table `aether_projection` of a SQLite database. A handler that asks for `context.transaction` gets the
 * database, inside a transaction that commits together with the checkpoint: exactly once. What it is given is a view that is
 * refused with a {@linkcode HandlerError} once the handler's attempt is over, statements that it prepared included, and
 * that takes no `COMMIT` or `ROLLBACK`.
 *
 * With `lanes`, one handler has the transaction at a time: from its first use of it until it ends. A handler that uses it meanwhile is
 * called again. So wait for other things first, and write without a wait: then handlers of different keys work at once.
 *
 * Several projections may share the connection, one after another. Use no other code on it that begins transactions, or that writes
 * while a handler waits: those writes would be in the handler's transaction. Set `PRAGMA busy_timeout` if other
 * processes write to the file. SQLite has no leases: pass some to `runProjection`, or the worker that came last goes on and the
 * others end with a {@linkcode ProjectionInUseError}.
 *
 * @typeParam D The database.
 *
 * @example A read model in the same database, exactly once
 * ```ts
 * import { type Event, InMemoryEventStore, projectOnce, SqliteCheckpoints } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 * import { DatabaseSync } from "node:sqlite";
 *
 * type OrderEvent = Event<"OrderPlaced", null>;
 *
 * await using store = new InMemoryEventStore<OrderEvent>();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * using database = new DatabaseSync(":memory:");
 * database.exec("CREATE TABLE placed (order_id TEXT PRIMARY KEY) STRICT");
 * await projectOnce(store, {
 *   name: "placed-orders",
 *   checkpoints: new SqliteCheckpoints(database),
 *   handle: {
 *     OrderPlaced({ actorId }, { transaction }) {
 *       transaction.prepare("INSERT INTO placed VALUES (?)").run(actorId);
 *     },
 *   },
 * });
 * assert.equal(database.prepare("SELECT * FROM placed").all().length, 1);
 * ```
 *
 * @category Projections
 */
export class SqliteCheckpoints<D extends SqliteDatabase = SqliteDatabase> implements CheckpointStore<D> {
  readonly #database: D;
  readonly #connection: SqliteConnection;

  /**
   * Creates the table if it is missing. The database stays the caller's to close.
   *
   * @throws {BackendError} If it cannot be created: another connection holds the database, or a transaction was begun.
   * @throws {InvalidArgumentError} If it is missing and the database is open for reading alone.
   */
  constructor(database: D) {
    this.#database = database;
    this.#connection = SqliteConnection.of(database);
    attempt(() => {
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE name = 'aether_projection'")
        .all();
      if (tables.length === 0) this.#create();
    });
  }

  /** Reads a checkpoint. */
  load(id: ProjectionId): Promise<StoredCheckpoint | undefined> {
    return answering(() => {
      const row = this.#database
        .prepare(`SELECT ${COLUMNS} FROM aether_projection WHERE name = ? AND version = ?`)
        .get(id.name, id.version) as Row | undefined;
      return row && storedOf(row, id);
    });
  }

  /** Replaces a checkpoint. */
  async save(id: ProjectionId, value: string, expected: string | undefined): Promise<string> {
    return await this.#alone(() => this.#replace(id, value, expected));
  }

  /** Deletes a checkpoint. */
  async delete({ name, version }: ProjectionId): Promise<boolean> {
    return await this.#alone(() => {
      const row = this.#database
        .prepare("DELETE FROM aether_projection WHERE name = ? AND version = ? RETURNING name")
        .get(name, version);
      return row !== undefined;
    });
  }

  /** All checkpoints, also those that cannot be read. */
  list(): Promise<readonly StoredCheckpoint[]> {
    return answering(() => {
      const rows = this.#database.prepare(`SELECT ${COLUMNS} FROM aether_projection`).all() as Row[];
      return rows.map((row) => {
        const id = { name: String(row.name), version: Number(row.version) };
        try {
          return { ...storedOf(row, id), id };
        } catch (error) {
          return unreadable(id, error);
        }
      });
    });
  }

  /** Begins a unit of work: a transaction, once a handler asks for it. */
  begin(id: ProjectionId): UnitOfWork<D> {
    const replace = (value: string, expected: string | undefined): Promise<string> =>
      this.#commit(() => this.#replace(id, value, expected));
    return new Unit(this.#database, this.#connection, replace);
  }

  /** Does nothing: the database is the caller's. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #create(): void {
    this.#connection.begin();
    try {
      this.#database.exec(
        "CREATE TABLE IF NOT EXISTS aether_projection (name TEXT NOT NULL, version INTEGER NOT NULL, " +
          "revision INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name, version)) STRICT; COMMIT",
      );
    } catch (error) {
      this.#connection.rollback();
      throw error;
    }
  }

  /** Changes a checkpoint in a transaction of its own. */
  async #alone<T>(change: () => T): Promise<T> {
    const user = {};
    await this.#connection.reserve(user);
    try {
      this.#connection.begin();
      return await this.#commit(change);
    } finally {
      this.#connection.release(user);
    }
  }

  /** Ends the open transaction with a change of the checkpoint; if it fails, no transaction is open afterwards. */
  async #commit<T>(change: () => T): Promise<T> {
    const database = this.#database;
    for (let tries = 1;; tries++) {
      try {
        database.exec(`SAVEPOINT ${RECORD}`);
        const result = attempt(change);
        commit(database);
        return result;
      } catch (error) {
        if (!isBusy((error as Error).cause) || tries === COMMIT_TRIES || !undone(database)) {
          this.#connection.rollback();
          throw error;
        }
      }
      // Another connection reads. Those that begin to read now wait, so that this one can commit soon.
      await sleep(backoff(tries, FIRST_COMMIT_WAIT, LONGEST_COMMIT_WAIT));
    }
  }

  #replace(id: ProjectionId, value: string, expected: string | undefined): string {
    const { name, version } = id;
    const row = expected === undefined
      ? this.#database
        .prepare(
          "INSERT INTO aether_projection (name, version, revision, value) VALUES (?, ?, ?, ?) " +
            "ON CONFLICT DO NOTHING RETURNING revision",
        )
        .get(name, version, firstRevision(), value)
      : this.#database
        .prepare(
          "UPDATE aether_projection SET value = ?, revision = revision + 1 " +
            "WHERE name = ? AND version = ? AND revision = ? RETURNING revision",
        )
        .get(value, name, version, Number(expected));
    if (row === undefined) throw new CheckpointConflictError(id);
    return String((row as { readonly revision: number }).revision);
  }
}

/** The checkpoint of a row. Another program may have written anything there. */
function storedOf({ value, revision }: Row, id: ProjectionId): StoredCheckpoint {
  if (typeof value !== "string") throw new DamagedCheckpointError(id, "it is not text");
  if (!Number.isSafeInteger(Number(revision) + 1)) {
    throw new DamagedCheckpointError(id, `its revision is ${revision}`);
  }
  return { value, revision };
}

/** A revision that a checkpoint which was deleted before has not had: each begins at a random one. */
function firstRevision(): number {
  return Math.floor(Math.random() * MAX_FIRST_REVISION) + 1;
}

/** Leaves room for as many writes, within the integers that a number holds. */
const MAX_FIRST_REVISION = 2 ** 52;

/** The transaction of a worker, on a connection that others may use too. */
class Unit<D extends SqliteDatabase> implements UnitOfWork<D>, SqliteScopeOwner {
  readonly #database: D;
  readonly #connection: SqliteConnection;
  readonly #commit: (value: string, expected: string | undefined) => Promise<string>;
  /** Settles when the handler that writes has ended. */
  #writer: PromiseWithResolvers<void> | undefined;
  /** Settles when the commit has ended that is to come, or in progress. */
  #commits: PromiseWithResolvers<void> | undefined;
  #isBegun = false;
  #events = 0;
  #isLost = false;

  constructor(
    database: D,
    connection: SqliteConnection,
    commit: (value: string, expected: string | undefined) => Promise<string>,
  ) {
    this.#database = database;
    this.#connection = connection;
    this.#commit = commit;
  }

  get isShared(): boolean {
    return this.#events > 0;
  }

  reserve(signal: AbortSignal): Promise<void> | undefined {
    return this.#connection.reserve(this, signal);
  }

  rest(): void {
    if (!this.#isBegun && !this.#isLost) this.#connection.release(this);
  }

  enter(): HandlerScope<D> {
    if (this.#connection.reserve(this)) throw new BackendError("checkpoint", "the connection is in use");
    return new SqliteScope(this.#database, this);
  }

  enterShared(): HandlerScope<D> {
    return new SqliteScope(this.#database, this, "at-use");
  }

  take(): void {
    this.#assertKept();
    const busy = this.#writer ?? this.#commits;
    if (busy) throw new TransactionBusyError(busy.promise);
    const waiting = this.#connection.reserve(this);
    if (waiting) throw new TransactionBusyError(waiting);
    if (!this.#isBegun) this.#connection.begin();
    this.#isBegun = true;
    this.#writer = Promise.withResolvers();
  }

  kept(): void {
    this.#release();
    this.#events++;
  }

  beforeCommit(): Promise<void> | undefined {
    this.#commits ??= Promise.withResolvers();
    return this.#writer?.promise;
  }

  afterCommit(): void {
    this.#commits?.resolve();
    this.#commits = undefined;
  }

  #release(): void {
    this.#writer?.resolve();
    this.#writer = undefined;
  }

  dropped(isLost: boolean): void {
    this.#release();
    if (this.isShared && !isLost) return;
    this.#isLost = this.isShared;
    this.#end();
    this.#connection.rollback();
  }

  async commit(value: string, expected: string | undefined): Promise<string> {
    try {
      this.#assertKept();
      // No handler has used its transaction.
      if (!this.#isBegun) await this.#begin();
      return await this.#commit(value, expected);
    } finally {
      this.#end();
      this.#connection.release(this);
    }
  }

  async #begin(): Promise<void> {
    await this.#connection.reserve(this);
    this.#connection.begin();
    this.#isBegun = true;
  }

  discard(): void {
    this.#release();
    if (this.#isBegun) this.#connection.rollback();
    this.#end();
    this.#isLost = false;
    this.#connection.release(this);
  }

  #end(): void {
    this.#isBegun = false;
    this.#events = 0;
  }

  #assertKept(): void {
    if (!this.#isLost) return;
    this.#isLost = false;
    throw new TransactionLostError("a statement of a later event has ended the transaction");
  }
}

const RECORD = "aether_record";
/** With the waits below, about two seconds. */
const COMMIT_TRIES = 60;
const FIRST_COMMIT_WAIT = 5;
const LONGEST_COMMIT_WAIT = 80;

/** Undoes the replacement of the record, so that it is not read before it is committed. */
function undone(database: SqliteDatabase): boolean {
  try {
    database.exec(`ROLLBACK TO ${RECORD}; RELEASE ${RECORD}`);
    return true;
  } catch {
    return false;
  }
}

function commit(database: SqliteDatabase): void {
  try {
    database.exec("COMMIT");
  } catch (cause) {
    throw refusal(cause);
  }
}

/** The result of something synchronous. */
function answering<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => resolve(attempt(work)));
}

/** Gives the errors of SQLite a type. */
function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw failureOf(error);
  }
}
