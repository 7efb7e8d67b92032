/**
 * The transaction of a worker in PostgreSQL, over several events.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { backoff, sleep } from "../sleep.ts";
import { BackendError } from "../store/errors.ts";
import type { HandlerScope, UnitOfWork } from "./checkpoints.ts";
import { type CheckpointConflictError, TransactionLostError } from "./errors.ts";
import type { PostgresDriver, PostgresTransaction } from "./postgres_driver.ts";
import { failureKind, failureOf, refusalOf } from "./postgres_failures.ts";
import { PostgresScope, type PostgresScopeOwner, SAVEPOINT } from "./postgres_transaction.ts";

/** The statement that replaces a checkpoint. It returns a row if it did. */
export interface Replacing {
  /** Its text. */
  readonly sql: string;
  /** Its parameters. */
  readonly parameters: readonly string[];
  /** The new revision. */
  readonly revision: string;
}

/** What a unit of work does with its checkpoint. */
export interface UnitCheckpoint {
  /** The statement that replaces it. */
  replacing(value: string, expected: string | undefined): Replacing;
  /** The error if it is at another revision. */
  conflict(): CheckpointConflictError;
  /** Finds out whether a commit was stored whose answer was lost. */
  known(revision: string, error: unknown): Promise<string>;
}

/** The two numbers of the advisory lock that the transactions of a projection share, which shows whose they are. */
export type ProjectionLock = readonly [group: number, key: number];

/** The bound of the random wait before a transaction is repeated, at first and later, in milliseconds. */
const FIRST_WAIT = 5;
const LONGEST_WAIT = 500;
/** How long a statement may run on after its handler's attempt is over, in milliseconds. */
const CANCEL_AFTER = 500;

/** The transaction of a worker. */
export class PostgresUnit<T> implements UnitOfWork<T>, PostgresScopeOwner {
  readonly #driver: PostgresDriver<T>;
  readonly #lock: ProjectionLock;
  readonly #checkpoint: UnitCheckpoint;
  #transaction: PostgresTransaction<T> | undefined;
  /** How many events have writes in the transaction. */
  #events = 0;
  /** Undoes the writes of an event, and keeps those before. */
  #undoing: Promise<void> | undefined;
  /** Transactions that were lost to others, one after the other. */
  #losses = 0;

  /** Has no transaction yet. */
  constructor(driver: PostgresDriver<T>, lock: ProjectionLock, checkpoint: UnitCheckpoint) {
    this.#driver = driver;
    this.#lock = lock;
    this.#checkpoint = checkpoint;
  }

  reserve(signal: AbortSignal): Promise<void> | undefined {
    if (this.#transaction && !this.#undoing && !this.#transaction.lost) return undefined;
    return this.#reserve(signal);
  }

  async #reserve(signal: AbortSignal): Promise<void> {
    if (this.#undoing) await abortable(this.#undoing, signal);
    if (this.#transaction?.lost) throw this.#forgetLost(this.#transaction);
    if (this.#transaction) return;
    if (this.#losses > 0) await sleep(backoff(this.#losses, FIRST_WAIT, LONGEST_WAIT), signal);
    const opening = this.#open();
    try {
      this.#transaction = await abortable(opening, signal);
    } catch (error) {
      opening.then((transaction) => transaction.rollback(), () => {});
      throw failureOf(error);
    }
  }

  async #open(): Promise<PostgresTransaction<T>> {
    const transaction = await this.#driver.begin();
    try {
      const lock = this.#lock.join(", ");
      await transaction.run(`SELECT pg_try_advisory_xact_lock_shared(${lock}); SAVEPOINT ${SAVEPOINT}`);
      return transaction;
    } catch (error) {
      await transaction.rollback();
      throw error;
    }
  }

  rest(): void {
    if (this.#events === 0) void this.#forget()?.rollback();
  }

  enter(): HandlerScope<T> {
    const transaction = this.#transaction;
    if (!transaction) throw new BackendError("checkpoint", "no transaction was begun");
    if (transaction.lost) throw failureOf(transaction.lost.error);
    return new PostgresScope(transaction, this);
  }

  kept(): void {
    this.#events++;
  }

  dropped(isLost: boolean): void {
    const transaction = this.#transaction!;
    if (isLost) this.#losses++;
    if (this.#events === 0 || isLost) {
      this.#forget();
      return void this.#inTime(transaction.rollback());
    }
    if (transaction.lost) return;
    const undoing = this.#inTime(this.#undo(transaction)).then(() => {
      if (this.#undoing === undoing) this.#undoing = undefined;
    });
    this.#undoing = undoing;
  }

  async #undo(transaction: PostgresTransaction<T>): Promise<void> {
    try {
      await transaction.run(`ROLLBACK TO SAVEPOINT ${SAVEPOINT}`);
    } catch (error) {
      transaction.lose(error);
    }
  }

  /** A handler that was late has left a statement that may run for long: it is canceled. */
  async #inTime(undoing: Promise<void>): Promise<void> {
    const timer = setTimeout(() => {
      this.#driver.run(endingOf("pg_cancel_backend", this.#lock), []).catch(() => {}); // it is waited for then
    }, CANCEL_AFTER);
    await undoing;
    clearTimeout(timer);
  }

  async commit(value: string, expected: string | undefined): Promise<string> {
    const events = this.#events;
    await this.#undoing;
    const transaction = this.#forget();
    if (!transaction || events === 0) throw lost("its transaction is over");
    if (transaction.lost) throw await this.#given(transaction, transaction.lost.error);
    const { sql, parameters, revision } = this.#checkpoint.replacing(value, expected);
    let rows: readonly unknown[];
    try {
      rows = await transaction.run(sql, parameters);
    } catch (error) {
      throw await this.#given(transaction, error);
    }
    if (rows.length === 0) {
      await transaction.rollback();
      throw this.#checkpoint.conflict();
    }
    try {
      await transaction.commit();
    } catch (error) {
      const kind = failureKind(error);
      if (kind === "statement" || kind === "again") throw await this.#given(transaction, error);
      return await this.#checkpoint.known(revision, error);
    }
    this.#losses = 0;
    return revision;
  }

  discard(): void {
    void this.#forget()?.rollback();
  }

  /** Ends a transaction that was refused; returns the error for it. */
  async #given(transaction: PostgresTransaction<T>, error: unknown): Promise<unknown> {
    await transaction.rollback();
    if (failureKind(error) !== "again") return refusalOf(error);
    this.#losses++;
    return lost((error as Error).message, { cause: error });
  }

  #forgetLost(transaction: PostgresTransaction<T>): unknown {
    this.#forget();
    return failureOf(transaction.lost!.error);
  }

  /** Forgets the transaction. */
  #forget(): PostgresTransaction<T> | undefined {
    const transaction = this.#transaction;
    this.#transaction = this.#undoing = undefined;
    this.#events = 0;
    return transaction;
  }
}

/** The statement that ends what other sessions do in the transactions of a projection. */
export function endingOf(
  how: "pg_terminate_backend" | "pg_cancel_backend",
  [group, key]: ProjectionLock,
): string {
  return `SELECT ${how}(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 ` +
    `AND classid = ${group} AND objid = ${key >>> 0} AND pid <> pg_backend_pid() ` +
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
}

function lost(reason: string, options?: ErrorOptions): TransactionLostError {
  return new TransactionLostError(`the transaction must be repeated: ${reason}`, options);
}
