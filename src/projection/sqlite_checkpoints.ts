/**
 * Checkpoints in SQLite, in the transaction of the read model: the pattern for any SQL database with transactions.
 *
 * The handlers of several events run in one transaction, each behind a savepoint; the last statement before the commit moves the
 * checkpoint **if it is still at the revision that this worker knows**. Where it is not, everything is rolled back.
 *
 * @module
 */

import { BackendError } from "../store/errors.ts";
import type { CheckpointStore, HandlerScope, StoredCheckpoint, UnitOfWork } from "./checkpoints.ts";
import { CheckpointConflictError, type ProjectionId, TransactionOverError } from "./errors.ts";

/** A statement; that of `node:sqlite` fits. */
export interface SqliteStatement {
  /** Runs it. */
  run(...parameters: (string | number | null)[]): unknown;
  /** Its first row. */
  get(...parameters: (string | number | null)[]): unknown;
  /** Its rows. */
  all(...parameters: (string | number | null)[]): unknown[];
}

/** An open database; `DatabaseSync` of `node:sqlite` fits. */
export interface SqliteDatabase {
  /** Runs statements without parameters. */
  exec(sql: string): void;
  /** Prepares a statement. */
  prepare(sql: string): SqliteStatement;
}

/** A row of the table. */
interface Row {
  readonly value: string;
  readonly revision: number;
}

/**
 * Checkpoints in a table `aether_projection` of a SQLite database. A handler that asks for `context.transaction` gets the
 * database, inside a transaction that commits together with the checkpoint: exactly once.
 *
 * Give it a connection of its own: whatever else uses the connection meanwhile is inside the transaction. Set `PRAGMA
 * busy_timeout` where other processes write to the file. SQLite has no leases: hand some to `runProjection`, or the worker that
 * came last goes on and the others end with a {@linkcode ProjectionFencedError}.
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
 */
export class SqliteCheckpoints<D extends SqliteDatabase = SqliteDatabase> implements CheckpointStore<D> {
  readonly #database: D;

  /** Makes the table where it is missing. The database stays the caller's to close. */
  constructor(database: D) {
    this.#database = database;
    database.exec(
      "CREATE TABLE IF NOT EXISTS aether_projection (name TEXT NOT NULL, version INTEGER NOT NULL, " +
        "revision INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name, version)) STRICT",
    );
  }

  /** Reads a checkpoint. */
  load({ name, version }: ProjectionId): Promise<StoredCheckpoint | undefined> {
    return answering(() => {
      const row = this.#database
        .prepare("SELECT value, revision FROM aether_projection WHERE name = ? AND version = ?")
        .get(name, version) as Row | undefined;
      return row && { value: row.value, revision: String(row.revision) };
    });
  }

  /** Replaces a checkpoint. */
  save(id: ProjectionId, value: string, expected: string | undefined): Promise<string> {
    return answering(() => this.#replace(id, value, expected));
  }

  /** All checkpoints. */
  list(): Promise<readonly StoredCheckpoint[]> {
    return answering(() => {
      const rows = this.#database.prepare("SELECT value, revision FROM aether_projection").all() as Row[];
      return rows.map(({ value, revision }) => ({ value, revision: String(revision) }));
    });
  }

  /** Begins a unit of work: a transaction, once a handler asks for it. */
  begin(id: ProjectionId): UnitOfWork<D> {
    const database = this.#database;
    let isBegun = false;
    const end = (statement: "COMMIT" | "ROLLBACK"): void => {
      if (!isBegun) return;
      isBegun = false;
      database.exec(statement);
    };
    return {
      enter: (): HandlerScope<D> => {
        if (!isBegun) attempt(() => database.exec("BEGIN IMMEDIATE"));
        isBegun = true;
        return new Savepoint(database);
      },
      commit: (value, expected) =>
        answering(() => {
          try {
            const revision = this.#replace(id, value, expected);
            end("COMMIT");
            return revision;
          } catch (error) {
            end("ROLLBACK");
            throw error;
          }
        }),
      discard: () => end("ROLLBACK"),
    };
  }

  /** Does nothing: the database is the caller's. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #replace(id: ProjectionId, value: string, expected: string | undefined): string {
    const { name, version } = id;
    const row = expected === undefined
      ? this.#database
        .prepare(
          "INSERT INTO aether_projection (name, version, revision, value) VALUES (?, ?, 1, ?) " +
            "ON CONFLICT DO NOTHING RETURNING revision",
        )
        .get(name, version, value)
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

/** One event's writes. Handlers run one after the other, so that one name will do. */
class Savepoint<D extends SqliteDatabase> implements HandlerScope<D> {
  readonly #database: D;
  #isOver = false;

  constructor(database: D) {
    this.#database = database;
    database.exec("SAVEPOINT aether_event");
  }

  get transaction(): D {
    if (this.#isOver) throw new TransactionOverError();
    return this.#database;
  }

  keep(): "kept" {
    this.#isOver = true;
    this.#database.exec("RELEASE aether_event");
    return "kept";
  }

  drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#database.exec("ROLLBACK TO aether_event; RELEASE aether_event");
  }
}

/** The answer of something synchronous. */
function answering<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => resolve(attempt(work)));
}

/** Gives a database that is held by another connection a type: it says nothing of the work. */
function attempt<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    // Deno's `exec` throws it without its error code.
    if (!(cause instanceof Error && /database (table )?is locked/.test(cause.message))) throw cause;
    const advice = "another connection holds the database: set PRAGMA busy_timeout";
    throw new BackendError("checkpoint", advice, { cause });
  }
}
