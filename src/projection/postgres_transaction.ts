/**
 * What one event's handler writes to PostgreSQL with: a view of the driver's own transaction, behind a savepoint, that ends with
 * the handler's attempt.
 *
 * @module
 */

import type { HandlerScope } from "./checkpoints.ts";
import { TransactionLostError, transactionOver, transactionRefused } from "./errors.ts";
import type { PostgresTransaction } from "./postgres_driver.ts";
import { failureKind, failureOf, refusalOf, sqlStateOf } from "./postgres_failures.ts";

/** The savepoint of the event in hand. It exists from the transaction's first statement on. */
export const SAVEPOINT = "aether_event";

/** The SQLSTATE of a statement after one that has failed. */
const ABORTED = "25P02";

/** What a scope reports to its unit of work. */
export interface PostgresScopeOwner {
  /** The writes of the event were kept. */
  kept(): void;
  /** The writes of the event are to be undone; all of the transaction with them if `isLost`. */
  dropped(isLost: boolean): void;
}

/** One event's writes. */
export class PostgresScope<T> implements HandlerScope<T> {
  readonly #transaction: PostgresTransaction<T>;
  readonly #owner: PostgresScopeOwner;
  readonly #view: T;
  /** Whether no further statement is taken. */
  #isOver = false;
  /** Whether the writes were kept or dropped. */
  #isSettled = false;
  /** The first failed statement. */
  #failed: unknown;
  #failure: { readonly error: unknown } | undefined;

  /** Begins behind the savepoint. */
  constructor(transaction: PostgresTransaction<T>, owner: PostgresScopeOwner) {
    this.#transaction = transaction;
    this.#owner = owner;
    this.#view = this.#guarded(transaction.handle as object) as T;
  }

  get transaction(): T {
    if (this.#isOver) throw transactionOver();
    return this.#view;
  }

  get broken(): { readonly error: unknown } | undefined {
    const { lost } = this.#transaction;
    return this.#failure ?? (lost && { error: failureOf(lost.error) });
  }

  /**
   * Keeps the writes once every statement has ended. If one has failed and the handler has not undone it with a savepoint of its own,
   * PostgreSQL refuses.
   */
  async keep(): Promise<"kept"> {
    // A handler may have caught the failure of a statement: the event's writes are then not complete.
    if (this.#failure) throw this.#failure.error;
    this.#isOver = true;
    try {
      await this.#transaction.run(`RELEASE SAVEPOINT ${SAVEPOINT}; SAVEPOINT ${SAVEPOINT}`);
    } catch (cause) {
      const isAborted = sqlStateOf(cause) === ABORTED && this.#failed !== undefined;
      throw this.broken?.error ?? refusalOf(isAborted ? this.#failed : cause);
    }
    if (this.#isSettled) throw transactionOver(); // the right to work was over while it waited
    this.#isSettled = true;
    this.#owner.kept();
    return "kept";
  }

  drop(): void {
    if (this.#isSettled) return;
    this.#isSettled = this.#isOver = true;
    this.#owner.dropped(this.#failure?.error instanceof TransactionLostError);
  }

  /** A view of the driver's transaction that is refused once the attempt is over. */
  #guarded(target: object): object {
    return new Proxy(target, {
      // npm:postgres: the transaction itself is a function, which takes statements as tagged templates.
      apply: (_, __, parameters) => this.#call(target, "", target as Method, parameters),
      get: (_, name) => {
        const member = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        if (STATEMENTS.has(name) || ENDING_CALLS.has(name)) {
          return (...parameters: unknown[]): unknown => this.#call(target, name, member, parameters);
        }
        // Helpers: they may have members of their own.
        return Object.keys(member).length > 0 ? member : member.bind(target);
      },
    });
  }

  #call(target: object, name: string | symbol, method: Method, parameters: readonly unknown[]): unknown {
    if (this.#isOver) throw transactionOver();
    if (ENDING_CALLS.has(name)) throw transactionRefused(`${String(name)} would end the transaction`);
    if (this.#transaction.lost) throw this.#transaction.lost.error;
    if (name !== "savepoint") refuseControl(sqlOf(name, parameters[0]));
    const given = name === "savepoint" ? parameters.map((work) => this.#nested(work)) : parameters;
    const result = method.apply(target, [...given]);
    if (!(result instanceof Promise)) return result;
    if (result.constructor !== Promise) return this.#lazy(result);
    result.then(undefined, this.#noteFailure);
    return result;
  }

  /** What runs in a savepoint of `npm:postgres` is given a transaction of its own. */
  #nested(work: unknown): unknown {
    if (typeof work !== "function") return work;
    return (transaction: object): unknown => work(this.#guarded(transaction));
  }

  /** A statement of `npm:postgres`: it begins when it is waited for, and may also be a part of another statement. */
  #lazy(statement: Promise<unknown>): object {
    let isBegun = false;
    const view: object = new Proxy(statement, {
      get: (_, name) => {
        const member = Reflect.get(statement, name, statement);
        if (typeof member !== "function") return member;
        if (!BEGINNING_CALLS.has(name)) return this.#chained(statement, view, member);
        return (...parameters: unknown[]): unknown => {
          const refusal = this.#isOver ? transactionOver() : this.#transaction.lost?.error;
          if (refusal !== undefined) return refused(name, refusal, parameters);
          if (!isBegun) Promise.prototype.then.call(statement, undefined, this.#noteFailure);
          isBegun = true;
          return this.#chained(statement, view, member)(...parameters);
        };
      },
    });
    return view;
  }

  #chained(statement: object, view: object, method: Method): (...parameters: unknown[]) => unknown {
    return (...parameters) => {
      const result = method.apply(statement, parameters);
      return result === statement ? view : result;
    };
  }

  /** Notes the failure of a statement that no handler is to blame for. */
  readonly #noteFailure = (error: unknown): void => {
    const kind = failureKind(error);
    this.#failed ??= error;
    if (kind === "statement") return;
    if (kind === "again") {
      const reason = `the transaction must be repeated: ${(error as Error).message}`;
      this.#failure ??= { error: new TransactionLostError(reason, { cause: error }) };
      return;
    }
    this.#failure ??= { error: failureOf(error) };
    if (sqlStateOf(error) === undefined) this.#transaction.lose(error);
  };
}

type Method = (...parameters: unknown[]) => unknown;

/** Refuses a statement as its driver would: by a rejection, where that is what the caller gets. */
function refused(name: string | symbol, error: unknown, parameters: readonly unknown[]): unknown {
  const rejection = Promise.reject(error);
  if (name === "then") return rejection.then(...parameters as []);
  if (name === "catch") return rejection.catch(...parameters as []);
  if (name === "finally") return rejection.finally(...parameters as []);
  rejection.catch(() => {});
  throw error;
}

const STATEMENTS: ReadonlySet<string | symbol> = new Set(["query", "unsafe", "file", "savepoint", "notify"]);
const ENDING_CALLS: ReadonlySet<string | symbol> = new Set([
  "release",
  "end",
  "close",
  "destroy",
  "begin",
  "reserve",
  "connect",
  "prepare",
  Symbol.dispose,
  Symbol.asyncDispose,
]);
/** The members of a statement of `npm:postgres` that begin it. */
const BEGINNING_CALLS: ReadonlySet<string | symbol> = new Set([
  "then",
  "catch",
  "finally",
  "execute",
  "forEach",
  "cursor",
  "readable",
  "writable",
]);

/** The text of a statement, as the drivers take it. */
function sqlOf(name: string | symbol, first: unknown): string | undefined {
  const { raw, text } = (first ?? {}) as { readonly raw?: unknown; readonly text?: unknown };
  if (name === "") return Array.isArray(raw) ? (first as readonly string[]).join(" $0 ") : undefined;
  return typeof first === "string" ? first : typeof text === "string" ? text : undefined;
}

/** Comments, strings and quoted names, in which nothing is a statement. */
const NOT_SQL =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\$(\w*)\$[\s\S]*?(?:\$\1\$|$)|\be'(?:[^'\\]|''|\\[\s\S])*'|'(?:[^']|'')*'|"(?:[^"]|"")*"/gi;
/** The body of a function in standard SQL. */
const BODY = /\bBEGIN\s+ATOMIC\b[\s\S]*\bEND\b/i;
const CONTROL =
  /^(?:BEGIN|START\s+TRANSACTION|COMMIT|END|ABORT|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b))\b/i;
const OWN_SAVEPOINT = new RegExp(`^(?:ROLLBACK|RELEASE|SAVEPOINT)\\b.*\\b${SAVEPOINT}\\b`, "is");

/** Refuses what would end the transaction that the checkpoint is committed with. */
function refuseControl(sql: string | undefined): void {
  if (sql === undefined) return;
  const unquoted = sql.replace(NOT_SQL, (part) => /^"\w+"$/.test(part) ? part.slice(1, -1) : " ");
  for (const part of unquoted.replace(BODY, " ").split(";")) {
    const statement = part.trim();
    if (!CONTROL.test(statement) && !OWN_SAVEPOINT.test(statement)) continue;
    throw transactionRefused(
      `the library begins and ends the transaction, and not ${JSON.stringify(statement.slice(0, 40))}: ` +
        "use savepoints of your own to undo a part of it",
    );
  }
}
