/**
 * Running a projection: history, then live events, for as long as the process lives.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { LeaseLostError } from "../cluster/errors.ts";
import type { Lease, LeaseOptions, LeaseStore } from "../cluster/lease.ts";
import type { Event } from "../event/types.ts";
import { readOptions } from "../options.ts";
import { sleep } from "../sleep.ts";
import type { EventStore } from "../store/types.ts";
import { type Warn, warner } from "../warning.ts";
import { leaseKeyOf } from "./checkpoints.ts";
import { endOf, knownEnd, outcomeOf, Patience } from "./ends.ts";
import { CheckpointConflictError, ProjectionInUseError, STOP_THIS } from "./errors.ts";
import { workOff } from "./log.ts";
import type { Guard } from "./attempt.ts";
import { type CompiledProjection, compileProjection } from "./compile.ts";
import type { Projection } from "./projection.ts";
import type { Draft } from "./draft.ts";
import { parseRecord } from "./record.ts";
import { follow } from "./follow.ts";
import { checkRun, type ProjectionRun, type RunOptions, type RunState } from "./projection_run.ts";
import { SegmentedRun } from "./segmented_run.ts";
import { readWaitFor, type WaitForOptions, waitForPosition } from "./wait_for.ts";
import { Worker } from "./worker.ts";

/**
 * Runs a projection. Several processes may run it: exactly one works, and another takes over when it has ended.
 *
 * @param store Where the events are.
 * @param projection What is done with them.
 * @param options How it is run.
 * @throws {InvalidArgumentError} If something is out of range.
 *
 * @example Work in the background, and read your writes
 * ```ts
 * import { InMemoryCheckpoints, InMemoryEventStore, runProjection } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 *
 * let placed = 0;
 * await using run = runProjection(store, {
 *   name: "placed-orders",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle: { OrderPlaced: () => void placed++ },
 * });
 * const [event] = await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 * await run.waitFor(event!.position);
 * assert.equal(placed, 1);
 * ```
 *
 * @category Projections
 */
export function runProjection<E extends Event, Tx = undefined>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
  options?: RunOptions,
): ProjectionRun {
  const compiled = compileProjection(projection);
  const checked = readOptions(options, checkRun);
  const log: EventStore = store;
  return compiled.segments === undefined
    ? new Run(log, compiled, checked)
    : new SegmentedRun(log, compiled, checked);
}

/** How long a run must have followed the log for its next failure to count as the first one, in milliseconds. */
const STEADY = 10_000;
/** How often a run that waits for another worker looks whether it could work, at first and later, in milliseconds. */
const FIRST_LOOK = 500;
const LONGEST_LOOK = 5_000;

/** A projection that runs. */
export class Run<Tx> implements ProjectionRun {
  readonly finished: Promise<void>;
  readonly #store: EventStore;
  readonly #projection: CompiledProjection<Tx>;
  readonly #options: RunOptions;
  readonly #warn: Warn;
  readonly #patience: Patience;
  readonly #id = crypto.randomUUID();
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(position: string) => void>();
  readonly #begin: ((draft: Draft) => void) | undefined;
  #state: RunState = "waiting";
  #hasClaimed = false;
  #liveSince = Infinity;
  #failure: { readonly error: unknown } | undefined;

  /**
   * Begins.
   *
   * @param begin Changes the record whenever the run takes the projection over.
   */
  constructor(
    store: EventStore,
    projection: CompiledProjection<Tx>,
    options: RunOptions,
    begin?: (draft: Draft) => void,
  ) {
    this.#begin = begin;
    this.#store = store;
    this.#projection = projection;
    this.#options = options;
    this.#warn = warner(options.onWarning);
    this.#patience = new Patience(projection.id);
    this.finished = this.#work();
    this.finished.catch(() => {}); // the warning and the state report it too
  }

  get state(): RunState {
    return this.#state;
  }

  async waitFor(position: string, options?: WaitForOptions): Promise<void> {
    const { checkpoints, id, keyOf } = this.#projection;
    await waitForPosition(this.#store, checkpoints, id, position, {
      ...readWaitFor(options),
      keyOf,
      listen: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      ended: this.finished,
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.finished.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Ends the run with an error, unless it has ended. What was handled is committed. */
  protected fail(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.#failure = { error };
    this.#closing.abort();
  }

  async #work(): Promise<void> {
    const { signal } = this.#options;
    const ending = AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]);
    try {
      await Promise.resolve(); // `finished` must exist before anything can happen
      const leases = this.#options.leases ?? await this.#projection.checkpoints.leases?.();
      while (!ending.aborted) await this.#attempt(leases, ending);
      if (this.#failure) throw this.#failure.error;
      if (!this.#closing.signal.aborted) signal?.throwIfAborted();
      this.#state = "closed";
    } catch (error) {
      this.#state = "stopped";
      if (signal?.aborted && error === signal.reason) throw error;
      const outcome = outcomeOf(this.#projection.id, error);
      this.#report("projection-stopped", "has stopped", outcome);
      throw outcome;
    }
  }

  /** Works until something fails, and waits if another attempt is worth it. */
  async #attempt(leases: LeaseStore | undefined, ending: AbortSignal): Promise<void> {
    try {
      await this.#turn(leases, ending);
    } catch (error) {
      if (ending.aborted && isAbortOf(error, ending)) return;
      if (endOf(error) === "closed") {
        this.#closing.abort();
        return this.#report("projection-ended", "has ended, because its store was closed", undefined);
      }
      if (performance.now() - this.#liveSince > STEADY) this.#patience.reset();
      this.#liveSince = Infinity;
      await sleep(this.#interrupted(error), ending).catch(() => {});
    }
  }

  /**
   * Notes a failure that may pass; returns how long to wait.
   *
   * @throws What the run ends with, if waiting does not help.
   */
  #interrupted(error: unknown): number {
    const wait = this.#patience.waitAfter(error);
    if (endOf(error) === "superseded") return wait;
    this.#state = "unreachable";
    this.#report("projection-interrupted", "was interrupted and tries again", error);
    return wait;
  }

  #report(code: string, what: string, cause: unknown): void {
    const { name, version } = this.#projection.id;
    const message = `projection "${name}" version ${version} ${what}`;
    this.#warn(cause === undefined ? { code, message } : { code, message, cause });
  }

  /** Works from taking the lease to losing it. */
  async #turn(leases: LeaseStore | undefined, ending: AbortSignal): Promise<void> {
    if (this.#state !== "unreachable") this.#state = "waiting";
    const lease = leases && await this.#acquire(leases, ending);
    try {
      await this.#session(lease, ending);
    } catch (error) {
      // After a suspension either the checkpoint or the clock is the first to show that the lease is lost.
      const isConflict = error instanceof CheckpointConflictError || error instanceof ProjectionInUseError;
      if (isConflict && lease && !lease.isHeld) throw lease.signal.reason ?? error;
      if (error instanceof CheckpointConflictError && !lease) await this.#assertOurs(error);
      throw error;
    } finally {
      await lease?.release();
    }
  }

  /** Waits for the lease, and looks meanwhile whether the checkpoints can be reached at all. */
  async #acquire(leases: LeaseStore, ending: AbortSignal): Promise<Lease> {
    const { leaseTtl: ttl, holder } = this.#options;
    const waiting = new AbortController();
    const signal = AbortSignal.any([ending, waiting.signal]);
    const looking = this.#look(signal, (error) => waiting.abort(error));
    const options: LeaseOptions = { signal, ...(ttl && { ttl }), ...(holder && { holder }) };
    try {
      return await leases.acquire(leaseKeyOf(this.#projection.id), options);
    } finally {
      waiting.abort();
      await looking;
    }
  }

  async #look(signal: AbortSignal, giveUp: (error: unknown) => void): Promise<void> {
    const { checkpoints, id } = this.#projection;
    for (let wait = FIRST_LOOK;; wait = Math.min(wait * 2, LONGEST_LOOK)) {
      try {
        await sleep(wait, signal);
      } catch {
        return;
      }
      try {
        await checkpoints.load(id);
        if (!signal.aborted) this.#state = "waiting";
      } catch (error) {
        if (signal.aborted) return;
        try {
          this.#interrupted(error);
        } catch (outcome) {
          return giveUp(outcome);
        }
      }
    }
  }

  /**
   * Without a lease the newer worker wins, as does the deletion of the checkpoint. A retry of a parked event, or `projectOnce`,
   * takes nothing over.
   */
  async #assertOurs(cause: unknown): Promise<void> {
    const { id, checkpoints } = this.#projection;
    const stored = await checkpoints.load(id);
    if (!stored || parseRecord(id, stored).owner?.id !== this.#id) {
      throw new ProjectionInUseError(id, "taken-over", STOP_THIS, { cause });
    }
  }

  async #session(lease: Lease | undefined, ending: AbortSignal): Promise<void> {
    const guard = this.#guard(lease, ending);
    const loading = Worker.load(this.#store, this.#projection, guard, (position) => {
      for (const listener of this.#listeners) listener(position);
    });
    const worker = await abortable(loading, ending);
    let isClean = true;
    try {
      if (this.#begin) worker.amend(this.#begin);
      await worker.claim(this.#id, lease?.fencingToken, this.#hasClaimed);
      this.#hasClaimed = true;
      await worker.finishIntent();
      const end = await abortable(this.#store.getLastPosition(), ending);
      this.#state = "catching-up";
      if (!await workOff(this.#store, this.#projection, worker, guard, end)) return;
      this.#state = "live";
      this.#liveSince = performance.now();
      await follow(this.#store, this.#projection, worker, guard, AbortSignal.any([guard.signal, ending]));
    } catch (error) {
      // A clean end in the middle of a wait for another attempt: what was done before it is committed.
      if (this.#closing.signal.aborted && isAbortOf(error, ending)) await worker.flush();
      // However the work ends, what was handled is done.
      else await worker.salvage();
      isClean = ending.aborted || knownEnd(error) === undefined;
      throw error;
    } finally {
      if (isClean) await worker.rest();
      worker.discard();
    }
  }

  /** The limits of a session's right to work. */
  #guard(lease: Lease | undefined, ending: AbortSignal): Guard {
    const { signal: aborted } = this.#options;
    const signal = AbortSignal.any([...(lease ? [lease.signal] : []), ...(aborted ? [aborted] : [])]);
    return {
      signal,
      isOver: () => ending.aborted,
      check: () => {
        if (lease && !lease.isHeld) {
          throw lease.signal.reason ?? new LeaseLostError(lease.key, lease.fencingToken, "expired");
        }
        aborted?.throwIfAborted();
      },
      sleep: (milliseconds, other) =>
        sleep(milliseconds, AbortSignal.any([signal, ending, ...(other ? [other] : [])])),
      onCommit: () => this.#patience.reset(),
      warn: this.#warn,
    };
  }
}

function isAbortOf(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || error instanceof DOMException && error.name === "AbortError";
}
