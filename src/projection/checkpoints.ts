/**
 * Where checkpoints are kept: compare-and-set on one small record a projection, and, if the read model is in the same
 * database, a transaction over both.
 *
 * @module
 */

import type { LeaseStore } from "../cluster/lease.ts";
import { InvalidArgumentError } from "../errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { checkKnown, checkSignal } from "../options.ts";
import { describe } from "../text.ts";
import { DamagedCheckpointError, type ProjectionId } from "./errors.ts";

/**
 * Names a projection where its checkpoints are; the projection itself will do.
 *
 * @category Projections
 */
export interface ProjectionReference {
  /** Its name. */
  readonly name: string;
  /** Its version. @default {1} */
  readonly version?: number;
  /** Where its checkpoint is kept. */
  readonly checkpoints: Pick<CheckpointStore<unknown>, "load">;
  /** Its key, if it has one of its own: it shows whether an event waits behind a parked one. */
  key?(event: StoredEvent): string;
}

/**
 * A stored checkpoint.
 *
 * @category Projections
 */
export interface StoredCheckpoint {
  /** The record, as JSON. */
  readonly value: string;
  /** Changes with every write; never comes again. */
  readonly revision: string;
  /** Which projection it is of, by its key: `list()` returns it. */
  readonly id?: ProjectionId;
  /** Why it cannot be read: `list()` returns it in the place of the value, which is empty, and the others with it. */
  readonly damage?: DamagedCheckpointError;
}

/**
 * A checkpoint that cannot be read, as `list()` returns it.
 *
 * @throws What is no damage.
 */
export function unreadable(id: ProjectionId, error: unknown): StoredCheckpoint {
  if (!(error instanceof DamagedCheckpointError)) throw error;
  return { value: "", revision: "", id, damage: error };
}

/**
 * The writes of one event's handler.
 *
 * @typeParam Tx What the handler writes with.
 */
export interface HandlerScope<Tx> {
  /** What the handler writes with. */
  readonly transaction: Tx;
  /** Why the database could not do what the handler asked for, if that is no failure of the handler. */
  readonly broken?: { readonly error: unknown } | undefined;
  /** Whether what the handler has read was changed since by another one. */
  readonly isDisturbed?: boolean;
  /**
   * Adds the writes to the unit of work; answers `"full"`, and adds nothing, where the unit must be committed first. A scope
   * of `enterShared()` may answer `"disturbed"` and adds nothing either: what the handler has read was changed since by another one.
   * A scope of `enter()` may answer later. No further write is taken from the call on.
   *
   * @throws {HandlerError} If they are too many for any unit.
   * @throws {HandlerError} If the database does not take them.
   */
  keep(): "kept" | "full" | "disturbed" | Promise<"kept" | "full">;
  /** Forgets the writes; all that the handler still writes is refused. */
  drop(): void;
}

/**
 * The writes of several events in order, which are committed together with the checkpoint.
 *
 * @typeParam Tx What handlers write with.
 *
 * @category Projections
 */
export interface UnitOfWork<Tx> {
  /**
   * Makes sure that the next handler can begin its writes. Returns `undefined` if it can at once.
   *
   * @throws The signal's reason.
   */
  reserve?(signal: AbortSignal): Promise<void> | undefined;
  /** Ends what `reserve()` began, unless there are writes to commit. */
  rest?(): void;
  /** Begins the writes of the next event. The scope before it must have been kept or dropped. */
  enter(): HandlerScope<Tx>;
  /**
   * The same while scopes of other handlers are open, of events in any order. A use of the transaction while another handler
   * has it fails with a `TransactionBusyError`, and the handler is called again. Without this method handlers run one at a time,
   * however many lanes a projection has.
   */
  enterShared?(): HandlerScope<Tx>;
  /**
   * Lets no other handler begin to write before the commit, of the unit or of a record alone. Returns a promise while one still
   * writes; it is asked again then.
   */
  beforeCommit?(): Promise<void> | undefined;
  /** Ends what `beforeCommit()` began, however the commit has ended. */
  afterCommit?(): void;
  /**
   * Commits what was kept, and the record, if the checkpoint is still at `expected`; the unit is then empty again.
   *
   * @returns The checkpoint's new revision.
   * @throws {CheckpointConflictError} If it is not. Nothing was written, and the unit is empty again.
   * @throws {HandlerError} If the database does not take what handlers wrote. Nothing was written, and the unit is
   * empty again.
   */
  commit(value: string, expected: string | undefined): Promise<string>;
  /** Forgets everything. */
  discard(): void;
}

/**
 * Where checkpoints are kept.
 *
 * @typeParam Tx What handlers write a read model with that commits together with the checkpoint; `undefined` if there
 * is no such thing, and handlers are called at least once.
 *
 * @category Projections
 */
export interface CheckpointStore<Tx = undefined> extends AsyncDisposable {
  /**
   * Shows the compiler what handlers write with, also if that is nothing, so that a handler which needs a transaction is refused
   * here. It has no value; a store of your own declares it as the stores of the library do.
   */
  readonly transactionType?: () => Tx;
  /** The most bytes that a record may have. @default {as many as it likes} */
  readonly maxBytes?: number;
  /** Whether checkpoints end with the process, so that it is not noted in them which process works. @default {false} */
  readonly isVolatile?: boolean;
  /** Reads a checkpoint; never a stale one. */
  load(id: ProjectionId): Promise<StoredCheckpoint | undefined>;
  /**
   * Replaces a checkpoint.
   *
   * @param value The record, as JSON.
   * @param expected The revision that it must be at; `undefined` if there must be none.
   * @returns The new revision.
   * @throws {CheckpointConflictError} If it is at another revision. Nothing was stored.
   */
  save(id: ProjectionId, value: string, expected: string | undefined): Promise<string>;
  /**
   * Deletes a checkpoint, also one that cannot be read. A later `save` of a revision that it had is refused.
   *
   * @returns Whether there was one.
   */
  delete?(id: ProjectionId): Promise<boolean>;
  /** All checkpoints, also those that cannot be read. */
  list(): Promise<readonly StoredCheckpoint[]>;
  /** Begins a unit of work, where the store has such. */
  begin?(id: ProjectionId): UnitOfWork<Tx>;
  /** Ends what older workers of a projection have begun and not committed, before a worker takes it over. */
  supersede?(id: ProjectionId): Promise<void>;
  /** The leases of the workers of these checkpoints; without it they do not wait for one another. */
  leases?(): Promise<LeaseStore>;
  /** Closes what it opened. */
  close(): Promise<void>;
}

/** The key of the lease of a projection's worker. */
export function leaseKeyOf({ name, version }: ProjectionId): string {
  return `projection ${version} ${name}`;
}

/** What calls work with that are made while no worker runs. */
interface UnderLease {
  readonly leases?: LeaseStore;
  readonly signal?: AbortSignal;
}

/** Returns the options of a call that is made while no worker runs, as they were read. */
export function checkUnderLease({ ...options }: UnderLease): UnderLease {
  checkKnown<UnderLease>(options, { leases: true, signal: true });
  checkLeases(options.leases, "tryAcquire");
  checkSignal(options.signal);
  return options;
}

/** @param method What is called of them. */
export function checkLeases(leases: LeaseStore | undefined, method: "acquire" | "tryAcquire"): void {
  if (leases === undefined || typeof leases?.[method] === "function") return;
  throw new InvalidArgumentError(
    "options.leases",
    `must be a store of leases, such as InMemoryLeases, and is ${describe(leases)}`,
  );
}
