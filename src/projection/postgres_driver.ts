/**
 * The two drivers of PostgreSQL, behind one interface: `npm:pg` and `npm:postgres`. Neither is imported.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { BackendError } from "../store/errors.ts";
import { describe } from "../text.ts";
import { sqlStateOf } from "./postgres_failures.ts";

/**
 * A database of PostgreSQL: a `Pool` of `npm:pg`, or what `npm:postgres` returns. It needs two connections or more.
 *
 * @typeParam T What handlers write with: a client of `npm:pg`, or the `TransactionSql` of `npm:postgres`.
 *
 * @category Projections
 */
export type PostgresDatabase<T> = {
  /** Hands out a client. */
  connect(callback: (error: Error | undefined, client: T | undefined, done: unknown) => void): void;
  /** Runs a statement on any client. */
  query(sql: string, parameters: unknown): Promise<unknown>;
} | {
  /** Runs a transaction. */
  begin(options: string, work: (transaction: T) => Promise<unknown>): Promise<unknown>;
  /** Runs a statement on any connection. */
  unsafe(sql: string, parameters?: unknown): PromiseLike<unknown>;
};

/** A pool of `npm:pg`. */
type PgPool<T> = Extract<PostgresDatabase<T>, { connect: unknown }>;
/** What `npm:postgres` returns. */
type PostgresJs<T> = Extract<PostgresDatabase<T>, { begin: unknown }>;

/** A row. Every column is selected as text. */
export type PostgresRow = Readonly<Record<string, string | null>>;

/** A transaction that has begun. */
export interface PostgresTransaction<T> {
  /** The driver's own object, for handlers. */
  readonly handle: T;
  /** Why the transaction is over, if its connection is lost. No statement may follow: it would run outside of any transaction. */
  readonly lost: { readonly error: unknown } | undefined;
  /** Notes that the connection is lost. */
  lose(error: unknown): void;
  /** Runs a statement, or several without parameters. */
  run(sql: string, parameters?: readonly string[]): Promise<readonly PostgresRow[]>;
  /** Commits, and gives the connection back. */
  commit(): Promise<void>;
  /** Undoes everything, and gives the connection back. Never rejects. */
  rollback(): Promise<void>;
}

/** A driver. */
export interface PostgresDriver<T> {
  /** Runs a statement outside of any transaction. */
  run(sql: string, parameters?: readonly string[]): Promise<readonly PostgresRow[]>;
  /** Begins a transaction on a connection of its own. */
  begin(): Promise<PostgresTransaction<T>>;
}

/**
 * Finds out which driver a database is of.
 *
 * @throws {InvalidArgumentError} If it is of none.
 */
export function driverOf<T>(database: PostgresDatabase<T>): PostgresDriver<T> {
  const { connect, query, begin, unsafe } = (database ?? {}) as Partial<PgPool<T> & PostgresJs<T>>;
  if (typeof begin === "function" && typeof unsafe === "function") {
    const sql = database as PostgresJs<T>;
    return {
      run: async (text, parameters) => await answered(sql.unsafe(text, parameters)) as readonly PostgresRow[],
      begin: () => PostgresJsTransaction.begin(sql),
    };
  }
  if (typeof connect === "function" && typeof query === "function") {
    const pool = database as PgPool<T>;
    return {
      run: async (text, parameters) => rowsOf(await answered(pool.query(text, parameters))),
      begin: () => PgTransaction.begin(pool),
    };
  }
  throw new InvalidArgumentError(
    "database",
    `must be a Pool of npm:pg, or what npm:postgres returns, and is ${describe(database)}`,
  );
}

/** How long the server may take for a statement of the library's own, in milliseconds. */
const ANSWER_TIMEOUT = 30_000;

/** Waits for the answer of a statement of the library's own. */
async function answered<R>(answer: PromiseLike<R>): Promise<R> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(
      new BackendError("checkpoint", `PostgreSQL did not answer within ${ANSWER_TIMEOUT} ms`, {
        reason: "unreachable",
      }),
    );
  }, ANSWER_TIMEOUT);
  try {
    return await Promise.race([answer, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs a statement of a transaction. A failure that is not the server's answer is that of the connection. */
async function runOn<T, R>(transaction: PostgresTransaction<T>, run: () => Promise<R>): Promise<R> {
  try {
    return await answered(run());
  } catch (error) {
    if (sqlStateOf(error) === undefined) transaction.lose(error);
    throw error;
  }
}

/** A client of `npm:pg`. */
interface PgClient {
  query(sql: string, parameters?: readonly string[]): Promise<unknown>;
  release(destroy?: boolean): void;
  on?(event: "error", listener: (error: unknown) => void): unknown;
  removeListener?(event: "error", listener: (error: unknown) => void): unknown;
}

function rowsOf(result: unknown): readonly PostgresRow[] {
  const { rows } = (result ?? {}) as { readonly rows?: readonly PostgresRow[] };
  return rows ?? []; // several statements have several results, which are not needed
}

class PgTransaction<T> implements PostgresTransaction<T> {
  readonly handle: T;
  lost: { readonly error: unknown } | undefined;
  readonly #client: PgClient;
  #isReleased = false;

  private constructor(handle: T) {
    this.handle = handle;
    this.#client = handle as PgClient;
    // An error event without a listener ends the process.
    this.#client.on?.("error", this.#onError);
  }

  static async begin<T>(pool: PgPool<T>): Promise<PgTransaction<T>> {
    const { promise, resolve, reject } = Promise.withResolvers<PgTransaction<T>>();
    pool.connect((error, client) => error ? reject(error) : resolve(new PgTransaction(client!)));
    const transaction = await promise;
    try {
      await transaction.run("BEGIN");
    } catch (error) {
      transaction.#release(true);
      throw error;
    }
    return transaction;
  }

  readonly #onError = (error: unknown): void => this.lose(error);

  lose(error: unknown): void {
    this.lost ??= { error };
  }

  async run(sql: string, parameters?: readonly string[]): Promise<readonly PostgresRow[]> {
    if (this.lost) throw this.lost.error;
    return rowsOf(await runOn(this, () => this.#client.query(sql, parameters)));
  }

  async commit(): Promise<void> {
    let isDone = false;
    try {
      await this.run("COMMIT");
      isDone = true;
    } finally {
      this.#release(!isDone);
    }
  }

  async rollback(): Promise<void> {
    if (this.#isReleased) return;
    let isDone = false;
    try {
      await this.run("ROLLBACK");
      isDone = true;
    } catch {
      // The connection is given up, and the server undoes the transaction.
    } finally {
      this.#release(!isDone);
    }
  }

  #release(destroy: boolean): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#client.release(destroy);
    this.#client.removeListener?.("error", this.#onError);
  }
}

/** The `TransactionSql` of `npm:postgres`. */
interface PostgresJsHandle {
  unsafe(sql: string, parameters?: readonly string[]): PromiseLike<readonly PostgresRow[]>;
}

/** Ends the call of `begin()` with a rollback. */
const ROLLBACK = Symbol("rollback");

/**
 * A transaction of `npm:postgres`. It reports there alone that a connection is lost. A statement after that would run on a new
 * connection, outside of the transaction, or end the process; so none is sent, also not by the end of `begin()`.
 */
class PostgresJsTransaction<T> implements PostgresTransaction<T> {
  lost: { readonly error: unknown } | undefined;
  readonly #losing = Promise.withResolvers<never>();
  readonly #ending = Promise.withResolvers<never>();
  #ended: Promise<void> = Promise.resolve();
  #isEnding = false;
  #handle: T | undefined;

  private constructor() {
    this.#losing.promise.catch(() => {}); // statements that run report it
    this.#ending.promise.catch(() => {});
  }

  get handle(): T {
    return this.#handle!;
  }

  static async begin<T>(sql: PostgresJs<T>): Promise<PostgresJsTransaction<T>> {
    const transaction = new PostgresJsTransaction<T>();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const work = (handle: T): Promise<never> => {
      transaction.#handle = handle;
      resolve();
      return transaction.#ending.promise;
    };
    transaction.#ended = sql.begin("", work).then(() => {}, (error: unknown) => {
      reject(error);
      if (!transaction.#isEnding) transaction.lose(error);
    });
    await promise;
    return transaction;
  }

  lose(error: unknown): void {
    if (this.lost) return;
    this.lost = { error };
    this.#losing.reject(error);
  }

  async run(sql: string, parameters?: readonly string[]): Promise<readonly PostgresRow[]> {
    if (this.lost) throw this.lost.error;
    const { unsafe } = this.#handle as PostgresJsHandle;
    return await runOn(this, () => Promise.race([unsafe(sql, parameters), this.#losing.promise]));
  }

  async commit(): Promise<void> {
    try {
      // A statement of a handler that failed, and was undone, would have begin() roll back: so it finds an empty transaction.
      await this.run("COMMIT AND CHAIN");
    } finally {
      void this.rollback();
    }
  }

  async rollback(): Promise<void> {
    if (this.lost) return;
    this.#isEnding = true;
    this.#ending.reject(ROLLBACK);
    await Promise.race([this.#ended, this.#losing.promise.catch(() => {})]);
  }
}
