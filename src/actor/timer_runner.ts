/**
 * Working on timers for as long as a process runs: one process at a time by a lease, and again after a failure.
 *
 * @module
 */

import { type Clock, systemClock } from "../cluster/clock.ts";
import type { Lease } from "../cluster/lease.ts";
import { ClosedError } from "../errors.ts";
import { currentTimestamp } from "../event/timestamp.ts";
import { backoff, settledWithin, sleep } from "../sleep.ts";
import { sideOf } from "../side_storage.ts";
import { LogReplacedError } from "../store/errors.ts";
import type { AnyActor } from "./definition.ts";
import { openTimerIndex } from "./open_timer_index.ts";
import { IndexConflict, type TimerIndex } from "./timer_index.ts";
import { TimerSession } from "./timer_session.ts";
import { kindsWithTimers, type TimerSetup } from "./timers.ts";

/** The key of the lease of a kind of actors begins with it. */
const LEASE = "timers.";
/** How long the lease lasts without a renewal, in milliseconds. */
export const DEFAULT_LEASE_TTL = 3_000;
/** The bounds of the wait before the work is taken up again, in milliseconds. */
const FIRST_RETRY = 100;
const LONGEST_RETRY = 10_000;
/**
 * How long the last writes may take when it is closed, in milliseconds. On a storage that does not answer they are given up:
 * the index follows from the log, and a timer that was fired takes effect once.
 */
const CLOSE_TIMEOUT = 1_000;
/** How often a clock of the user's is looked at, in milliseconds: it may be set at any time. */
const LOOK_INTERVAL = 20;

/** The time by which the timers of a store are due: that of the store, unless another one is given. */
export function timerClock(store: object, now: (() => Date) | undefined = sideOf(store)?.now): Clock {
  if (!now) return systemClock;
  return {
    monotonic: systemClock.monotonic,
    wall: () => Date.parse(currentTimestamp(now)),
    setTimer: (callback, delay) => systemClock.setTimer(callback, Math.min(delay, LOOK_INTERVAL)),
  };
}

/** Takes the lease of a kind of actors and works, until it is closed. */
class TimerRunner {
  readonly #setup: TimerSetup;
  readonly #definition: AnyActor;
  readonly #leaseTtl: number;
  readonly #closing = new AbortController();
  #index: TimerIndex | undefined;
  /** Resolves when it has ended. Rejects with a {@linkcode LogReplacedError} if the log is another one. */
  readonly finished: Promise<void>;

  constructor(setup: TimerSetup, definition: AnyActor, leaseTtl: number) {
    this.#setup = setup;
    this.#definition = definition;
    this.#leaseTtl = leaseTtl;
    this.finished = this.#run(this.#closing.signal);
    this.finished.catch(() => {}); // a warning reports it too
  }

  /** Finishes what is being fired, and hands over at once. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("host"));
    await this.finished.catch(() => {});
  }

  async #run(signal: AbortSignal): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    const work = this.#work(signal);
    try {
      await Promise.race([work, closed.then(() => settledWithin(work, CLOSE_TIMEOUT))]);
    } finally {
      await this.#index?.close(); // which ends what still waits
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted; attempt++) {
      const began = performance.now();
      try {
        this.#index ??= await openTimerIndex(this.#setup.store, this.#setup.warn);
        await this.#workOn(this.#index, signal);
        break; // the store was closed
      } catch (error) {
        if (signal.aborted || error instanceof ClosedError) break;
        if (error instanceof LogReplacedError) throw this.#stopped(error);
        if (performance.now() - began > LONGEST_RETRY) attempt = 1;
        if (!(error instanceof IndexConflict)) {
          const message = "work on timers was interrupted and is tried again: until then timers may be late";
          this.#setup.warn({ code: "timers-interrupted", message, cause: error });
        }
        await sleep(backoff(attempt, FIRST_RETRY, LONGEST_RETRY), signal).catch(() => {});
      }
    }
    await this.#index?.close();
  }

  /** What was worked on are the timers of a log that does not exist any more. */
  #stopped(cause: LogReplacedError): LogReplacedError {
    const message = `work on the timers of "${this.#definition.name}" has stopped: ${cause.message}`;
    this.#setup.warn({ code: "timers-stopped", message, cause });
    return cause;
  }

  /** Works until the store is closed. */
  async #workOn(index: TimerIndex, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const lease = await index.leases.acquire(LEASE + this.#definition.name, {
        ttl: this.#leaseTtl,
        signal,
      });
      try {
        const isOver = await this.#workUnder(lease, index, signal);
        if (isOver) return;
      } finally {
        await lease.release();
      }
    }
  }

  /** Works while the lease is held; returns whether the store was closed. */
  async #workUnder(lease: Lease, index: TimerIndex, signal: AbortSignal): Promise<boolean> {
    const ending = AbortSignal.any([signal, lease.signal]);
    const session = new TimerSession(this.#setup, this.#definition, index);
    try {
      await session.run(() => lease.isHeld, ending);
    } catch (error) {
      if (!lease.isHeld && !signal.aborted) return false; // another process works on
      throw error;
    }
    return !ending.aborted;
  }
}

/** Work on the timers of several kinds: each has a lease of its own, because another process may not know all of them. */
export class TimerRunners {
  readonly #runners: readonly TimerRunner[];
  /** Resolves when all have ended. Rejects if one of them has failed, which ends the others. */
  readonly finished: Promise<void>;

  constructor(setup: TimerSetup, leaseTtl = DEFAULT_LEASE_TTL) {
    this.#runners = kindsWithTimers(setup.definitions).map((kind) => new TimerRunner(setup, kind, leaseTtl));
    this.finished = Promise.all(this.#runners.map(({ finished }) => finished))
      .then(() => {})
      .finally(() => this.close());
    this.finished.catch(() => {}); // a warning reports it too
  }

  /** Finishes what is being fired, and hands over at once. */
  async close(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.close()));
  }
}
