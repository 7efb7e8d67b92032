/**
 * Transactions over SQLite that span several events: one connection has one transaction, which its users take in turn, and
 * a handler writes with a view of the database that ends with its event.
 *
 * @module
 */

import { AetherError, InvalidArgumentError } from "../errors.ts";
import { BackendError } from "../store/errors.ts";
import type { HandlerScope } from "./checkpoints.ts";
import { transactionOver, transactionRefused } from "./errors.ts";
import { describe } from "../text.ts";

type Method = (...parameters: unknown[]) => unknown;

/**
 * A statement; that of `node:sqlite` fits.
 *
 * @category Projections
 */
export interface SqliteStatement {
  /** Runs it. */
  run(...parameters: (string | number | null)[]): unknown;
  /** Its first row. */
  get(...parameters: (string | number | null)[]): unknown;
  /** Its rows. */
  all(...parameters: (string | number | null)[]): unknown[];
}

/**
 * An open database; `DatabaseSync` of `node:sqlite` fits.
 *
 * @category Projections
 */
export interface SqliteDatabase {
  /** Runs statements without parameters. */
  exec(sql: string): void;
  /** Prepares a statement. */
  prepare(sql: string): SqliteStatement;
}

/** The connection of one database. Projections that share it use it one after another. */
export class SqliteConnection {
  static readonly #connections = new WeakMap<SqliteDatabase, SqliteConnection>();
  readonly #database: SqliteDatabase;
  #user: object | undefined;
  readonly #waiting: { readonly user: object; readonly resolve: () => void }[] = [];

  private constructor(database: SqliteDatabase) {
    this.#database = database;
  }

  /** The connection of a database: the same one for everything that uses it. */
  static of(database: SqliteDatabase): SqliteConnection {
    if (typeof database?.exec !== "function" || typeof database.prepare !== "function") {
      throw new InvalidArgumentError(
        "database",
        `must be an open database, such as a DatabaseSync of node:sqlite, and is ${describe(database)}`,
      );
    }
    let connection = this.#connections.get(database);
    if (!connection) this.#connections.set(database, connection = new SqliteConnection(database));
    return connection;
  }

  /** Takes the connection for a user, which has to release it. Returns a promise only if another one has it. */
  reserve(user: object, signal?: AbortSignal): Promise<void> | undefined {
    if (this.#user === user) return undefined;
    if (this.#user !== undefined) return this.#wait(user, signal);
    this.#user = user;
    return undefined;
  }

  async #wait(user: object, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const entry = { user, resolve };
    const abort = (): void => {
      const index = this.#waiting.indexOf(entry);
      if (index < 0) return;
      this.#waiting.splice(index, 1);
      reject(signal!.reason);
    };
    this.#waiting.push(entry);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Gives the connection to the next user. */
  release(user: object): void {
    if (this.#user !== user) return;
    const next = this.#waiting.shift();
    this.#user = next?.user;
    next?.resolve();
  }

  /** Begins a transaction that may write. */
  begin(): void {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
    } catch (error) {
      throw failureOf(error);
    }
  }

  /** Undoes all of the transaction, if there still is one. */
  rollback(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch {
      // SQLite itself has rolled it back, or the database is closed.
    }
  }
}

const TRANSIENT = /database (table )?is locked/i;
/** Failures that are not of the statement: the file, the disk or the connection is the reason. */
const MACHINERY =
  /database (table |schema )?is locked|disk is full|disk I\/O error|readonly database|malformed|is not a database|unable to open|out of memory|interrupted|database is not open|has been finalized|locking protocol/i;
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [TRANSIENT, "another connection holds the database: set PRAGMA busy_timeout"],
  [
    /within a transaction/i,
    "a transaction was begun on the connection by other code: give the checkpoints a connection of their own",
  ],
  [/disk is full/i, "the disk is full: make room on it"],
  [/database is not open|has been finalized/i, "the database was closed: open it again"],
];

/** Whether another connection holds the file, so that a further try may succeed. */
export function isBusy(error: unknown): boolean {
  return TRANSIENT.test(messageOf(error));
}

/** Whether the file, the disk or the connection is the reason of a failure, and not the statement. */
export function isMachinery(error: unknown): boolean {
  return MACHINERY.test(messageOf(error));
}

/** The typed error for one of SQLite. Some come without their error code, so that the text decides. */
export function failureOf(error: unknown): unknown {
  if (error instanceof AetherError) return error;
  const text = messageOf(error);
  if (/readonly database/i.test(text)) {
    return new InvalidArgumentError("database", "cannot be written: open it for writing", { cause: error });
  }
  const advice = ADVICE.find(([pattern]) => pattern.test(text))?.[1] ?? text;
  return new BackendError("checkpoint", advice, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a scope reports to its unit of work. */
export interface SqliteScopeOwner {
  /**
   * Begins the writes of an event.
   *
   * @throws {TransactionBusyError} If those of another one have begun.
   */
  take(scope: object): void;
  /** Whether writes of earlier events are in the transaction. */
  readonly isShared: boolean;
  /** The writes of the event were kept. */
  kept(): void;
  /** The writes of the event were undone; the transaction is over with them if `isLost`. */
  dropped(isLost: boolean): void;
}

const SAVEPOINT = "aether_event";

/** One event's writes, behind a savepoint. One event's at a time, so that one name will do. */
export class SqliteScope<D extends SqliteDatabase> implements HandlerScope<D> {
  readonly #database: D;
  readonly #owner: SqliteScopeOwner;
  readonly #view: D;
  #isBegun = false;
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;

  /** Begins: at once, or with the first use of the view. */
  constructor(database: D, owner: SqliteScopeOwner, when: "now" | "at-use" = "now") {
    this.#database = database;
    this.#owner = owner;
    if (when === "now") this.#begin();
    this.#view = this.#guarded(database);
  }

  #begin(): void {
    if (this.#isBegun) return;
    this.#owner.take(this);
    this.#database.exec(`SAVEPOINT ${SAVEPOINT}`);
    this.#isBegun = true;
  }

  get transaction(): D {
    if (this.#isOver) throw transactionOver();
    return this.#view;
  }

  /** Why the database could not do what the handler asked for, if that is not the handler's fault. */
  get broken(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  keep(): "kept" {
    // A handler may have caught the failure of a statement: the event's writes are then not complete.
    if (this.#failure) throw this.#failure.error;
    if (!this.#isBegun) {
      this.#isOver = true;
      return "kept";
    }
    try {
      this.#database.exec(`RELEASE ${SAVEPOINT}`);
    } catch (cause) {
      throw refusal(cause);
    }
    this.#isOver = true;
    this.#owner.kept();
    return "kept";
  }

  drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (!this.#isBegun) return;
    let isLost = false;
    if (this.#owner.isShared) {
      try {
        this.#database.exec(`ROLLBACK TO ${SAVEPOINT}; RELEASE ${SAVEPOINT}`);
      } catch {
        isLost = true;
      }
    }
    this.#owner.dropped(isLost);
  }

  /** A view of the database, or of a statement or rows of it, that is refused once the event's transaction is over. */
  #guarded<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (!isMethod(member)) return member;
        return (...parameters: unknown[]): unknown => this.#call(target, name, member, parameters);
      },
    });
  }

  #call(target: object, name: string | symbol, method: Method, parameters: readonly unknown[]): unknown {
    if (this.#isOver) throw transactionOver();
    if (target === this.#database) refuseControl(name, parameters[0]);
    try {
      this.#begin();
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
    try {
      const result = Reflect.apply(method, target, parameters);
      return isLive(result) ? this.#guarded(result) : result;
    } catch (error) {
      if (isMachinery(error)) this.#failure ??= { error: failureOf(error) };
      // SQLite undoes the whole transaction for some failures, and what followed would be outside of any.
      if (!this.#isOpen()) this.#end();
      throw error;
    }
  }

  #end(): void {
    this.#isOver = true;
    this.#owner.dropped(true);
  }

  #isOpen(): boolean {
    try {
      const { isTransaction } = this.#database as { readonly isTransaction?: boolean };
      if (isTransaction !== undefined) return isTransaction;
      this.#database.exec("BEGIN");
    } catch (error) {
      return /within a transaction/i.test(messageOf(error));
    }
    this.#database.exec("ROLLBACK");
    return false;
  }
}

function isMethod(value: unknown): value is Method {
  return typeof value === "function";
}

/** Statements, and rows that are read one by one. */
function isLive(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const { run, next } = value as { readonly run?: unknown; readonly next?: unknown };
  return typeof run === "function" || typeof next === "function";
}

const ENDING_CALLS: ReadonlySet<string | symbol> = new Set(["close", "open", "deserialize", Symbol.dispose]);
/** Comments, strings and quoted names, in which nothing is a statement. */
const NOT_SQL = /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]/g;
const TRIGGER = /\bCREATE\s+(?:TEMP\s+|TEMPORARY\s+)?TRIGGER\b[\s\S]*\bEND\b/i;
const CONTROL = /^(?:BEGIN|COMMIT|END|ROLLBACK(?!\s+(?:TRANSACTION\s+)?TO\b))\b/i;
const OWN_SAVEPOINT = new RegExp(`^(?:ROLLBACK|RELEASE|SAVEPOINT)\\b.*\\baether_(?:event|record)\\b`, "is");

/** Refuses what would end the transaction that the checkpoint is committed with. */
function refuseControl(name: string | symbol, sql: unknown): void {
  if (ENDING_CALLS.has(name)) throw transactionRefused(`${String(name)} would end the transaction`);
  if (typeof sql !== "string") return;
  // Names of savepoints may be quoted.
  const unquoted = sql.replace(NOT_SQL, (part) => /^["`[]\w+["`\]]$/.test(part) ? part.slice(1, -1) : " ");
  for (const part of unquoted.replace(TRIGGER, " ").split(";")) {
    const statement = part.trim();
    if (!CONTROL.test(statement) && !OWN_SAVEPOINT.test(statement)) continue;
    throw transactionRefused(
      `the library begins and ends the transaction, and not ${JSON.stringify(statement.slice(0, 40))}: ` +
        "use savepoints of your own to undo a part of it",
    );
  }
}

/** The typed error for what the database refuses when writes are kept or committed. */
export function refusal(cause: unknown): unknown {
  if (isMachinery(cause)) return failureOf(cause);
  return transactionRefused(messageOf(cause), { cause });
}
