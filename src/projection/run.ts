/**
 * Running a projection: history, then live events, for as long as the process lives.
 *
 * @module
 */

import { BucketUnreachableError, LeaseLostError } from "../cluster/errors.ts";
import type { Lease, LeaseOptions, LeaseStore } from "../cluster/lease.ts";
import { nameFault } from "../event/text.ts";
import type { Event } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkFunction, checkSignal, readOptions } from "../options.ts";
import { backoff, sleep } from "../sleep.ts";
import { BackendError, DamagedHistoryError } from "../store/errors.ts";
import type { EventStore } from "../store/types.ts";
import { type Warn, warner, type Warning } from "../warning.ts";
import { CheckpointConflictError, ProjectionFencedError } from "./errors.ts";
import { workOff } from "./log.ts";
import type { Guard } from "./progress.ts";
import { type CompiledProjection, compileProjection, type Projection } from "./projection.ts";
import { parseRecord } from "./record.ts";
import { follow } from "./follow.ts";
import { untyped } from "./untyped_store.ts";
import { readWaitFor, type WaitForOptions, waitForPosition } from "./wait_for.ts";
import { Worker } from "./worker.ts";

/** How a projection is run. */
export interface RunOptions {
  /** Where the lease of the one worker is kept. @default {beside the checkpoints, where they offer it} */
  readonly leases?: LeaseStore;
  /**
   * How long another worker waits at most after a crash of this one, in ms, at least 2000: a hundredth and up to 200 ms longer on
   * Deno KV. After a clean end it does not wait. @default {15000}
   */
  readonly leaseTtl?: number;
  /** Who runs it: shown to those who look at the lease. @default {""} */
  readonly holder?: string;
  /** Ends the run: `finished` rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Takes warnings: a store that could not be reached, a lease that was lost. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

/**
 * What a run is doing: waiting for another worker to end, reading history, following what comes, waiting for a store that
 * cannot be reached; stopped (with the error of `finished`) or closed.
 */
export type RunState = "waiting" | "catching-up" | "live" | "unreachable" | "stopped" | "closed";

/** A projection that runs. */
export interface ProjectionRun extends AsyncDisposable {
  /** What it is doing. */
  readonly state: RunState;
  /**
   * Resolves after `close()`; rejects with what the run cannot go on with: {@linkcode ProjectionStoppedError}, a damaged or
   * truncated log, a checkpoint that is not of this log, the reason of the signal.
   */
  readonly finished: Promise<void>;
  /**
   * Waits until the event at a position has been handled, here or in another process: what is read from the read model
   * afterwards shows it.
   *
   * @throws {ProjectionBehindError} If it takes too long.
   * @throws {InvalidPositionError} If it is no position of this log.
   */
  waitFor(position: string, options?: WaitForOptions): Promise<void>;
  /** Finishes the event in hand, writes the checkpoint and hands over to another worker at once. */
  close(): Promise<void>;
}

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
 */
export function runProjection<E extends Event, Tx = undefined>(
  store: EventStore<E>,
  projection: Projection<E, Tx>,
  options?: RunOptions,
): ProjectionRun {
  return new Run(untyped(store), compileProjection(projection), readOptions(options, checkRun));
}

/** Returns the options as they were read. */
function checkRun({ ...options }: RunOptions): RunOptions {
  const { holder, leaseTtl, leases, signal, onWarning } = options;
  const fault = holder === undefined || holder === "" ? undefined : nameFault(holder, 256);
  if (fault) throw new InvalidArgumentError("options.holder", fault);
  if (leaseTtl !== undefined && !(typeof leaseTtl === "number" && leaseTtl >= 2000)) {
    throw new InvalidArgumentError("options.leaseTtl", "must be at least 2000 ms");
  }
  if (leases !== undefined && typeof leases?.acquire !== "function") {
    throw new InvalidArgumentError("options.leases", "must be a store of leases, such as InMemoryLeases");
  }
  checkSignal(signal);
  checkFunction("options.onWarning", onWarning);
  return options;
}

const FIRST_WAIT = 100;
const LONGEST_WAIT = 5000;

class Run<Tx> implements ProjectionRun {
  readonly finished: Promise<void>;
  readonly #store: EventStore;
  readonly #projection: CompiledProjection<Tx>;
  readonly #options: RunOptions;
  readonly #warn: Warn;
  readonly #id = crypto.randomUUID();
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(position: string) => void>();
  #state: RunState = "waiting";

  constructor(store: EventStore, projection: CompiledProjection<Tx>, options: RunOptions) {
    this.#store = store;
    this.#projection = projection;
    this.#options = options;
    this.#warn = warner(options.onWarning);
    this.finished = this.#work();
    this.finished.catch(() => {}); // whoever does not ask for it sees the state
  }

  get state(): RunState {
    return this.#state;
  }

  async waitFor(position: string, options?: WaitForOptions): Promise<void> {
    const { checkpoints, id } = this.#projection;
    await waitForPosition(this.#store, checkpoints, id, position, {
      ...readWaitFor(options),
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

  async #work(): Promise<void> {
    const { signal } = this.#options;
    const ending = AbortSignal.any([this.#closing.signal, ...(signal ? [signal] : [])]);
    try {
      await Promise.resolve(); // `finished` is there before anything can happen
      const leases = this.#options.leases ?? await this.#projection.checkpoints.leases?.();
      for (let failures = 0; !ending.aborted;) {
        try {
          await this.#turn(leases, ending, () => failures = 0);
        } catch (error) {
          if (ending.aborted && isAbortOf(error, ending)) break;
          if (!this.#canGoOn(error)) throw error;
          if (error instanceof LeaseLostError || error instanceof CheckpointConflictError) continue;
          this.#state = "unreachable";
          const { name, version } = this.#projection.id;
          this.#warn({
            code: "projection-interrupted",
            message: `projection "${name}" version ${version} was interrupted and tries again`,
            cause: error,
          });
          await sleep(backoff(++failures, FIRST_WAIT, LONGEST_WAIT), ending).catch(() => {});
        }
      }
      if (!this.#closing.signal.aborted) signal?.throwIfAborted();
      this.#state = "closed";
    } catch (error) {
      this.#state = "stopped";
      throw error;
    }
  }

  /** What is over by itself: another worker came, or something cannot be reached. */
  #canGoOn(error: unknown): boolean {
    return error instanceof LeaseLostError || error instanceof CheckpointConflictError ||
      error instanceof BackendError || error instanceof BucketUnreachableError;
  }

  /** Works from taking the lease to losing it. */
  async #turn(leases: LeaseStore | undefined, ending: AbortSignal, onProgress: () => void): Promise<void> {
    this.#state = "waiting";
    const lease = await this.#acquire(leases, ending);
    try {
      await this.#session(lease, ending, onProgress);
    } catch (error) {
      // A woken worker hears of its loss from the checkpoint or from the clock, whichever speaks first.
      const isConflict = error instanceof CheckpointConflictError || error instanceof ProjectionFencedError;
      if (isConflict && lease && !lease.isHeld) throw lease.signal.reason ?? error;
      if (error instanceof CheckpointConflictError && !lease) await this.#assertOurs(error);
      throw error;
    } finally {
      await lease?.release();
    }
  }

  async #acquire(leases: LeaseStore | undefined, signal: AbortSignal): Promise<Lease | undefined> {
    const { name, version } = this.#projection.id;
    const { leaseTtl: ttl, holder } = this.#options;
    const options: LeaseOptions = { signal, ...(ttl && { ttl }), ...(holder && { holder }) };
    return await leases?.acquire(`projection ${version} ${name}`, options);
  }

  /** Without a lease the newer worker wins. A retry of a parked event, or `projectOnce`, takes nothing over. */
  async #assertOurs(cause: unknown): Promise<void> {
    const { id, checkpoints } = this.#projection;
    const stored = await checkpoints.load(id);
    if (stored && parseRecord(id, stored).owner?.id !== this.#id) {
      throw new ProjectionFencedError(id, { cause });
    }
  }

  async #session(lease: Lease | undefined, ending: AbortSignal, onProgress: () => void): Promise<void> {
    const { signal: aborted } = this.#options;
    const ends = [...(lease ? [lease.signal] : []), ...(aborted ? [aborted] : [])];
    const signal = AbortSignal.any(ends);
    const guard: Guard = {
      signal,
      isOver: () => ending.aborted,
      check: () => {
        if (lease && !lease.isHeld) {
          throw lease.signal.reason ?? new LeaseLostError(lease.key, lease.fencingToken, "expired");
        }
        aborted?.throwIfAborted();
      },
      sleep: (milliseconds) => sleep(milliseconds, AbortSignal.any([signal, ending])),
    };
    const worker = await Worker.load(this.#store, this.#projection, guard, (position) => {
      for (const listener of this.#listeners) listener(position);
    });
    try {
      await worker.claim(this.#id, lease?.fencingToken);
      onProgress();
      await worker.finishIntent();
      this.#state = "catching-up";
      if (!await workOff(this.#store, this.#projection, worker, guard)) return;
      this.#state = "live";
      const over = AbortSignal.any([signal, ending]);
      // Where the store was closed, the projection ends with it.
      if (await follow(this.#store, this.#projection, worker, guard, over)) this.#closing.abort();
    } catch (error) {
      // A clean end in the middle of a wait for another attempt: what was done before it is committed.
      if (this.#closing.signal.aborted && isAbortOf(error, ending)) await worker.flush();
      // Damage ends the log before it, and what was handled of it is done.
      if (error instanceof DamagedHistoryError) await worker.flush();
      throw error;
    } finally {
      worker.discard();
    }
  }
}

function isAbortOf(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || error instanceof DOMException && error.name === "AbortError";
}
