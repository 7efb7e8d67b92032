/**
 * How long a store is open: what `close()` waits for, what it ends, and what it refuses.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { StoreClosedError } from "./errors.ts";

/** Counts what is in flight, from the opening of a store to its end. */
export class Lifetime {
  readonly #closing = new AbortController();
  readonly #idle = Promise.withResolvers<void>();
  #inFlight = 0;
  #isClosed = false;

  /** Fires when the store is closed, and ends the reads that are in progress. */
  readonly signal: AbortSignal = this.#closing.signal;

  /**
   * Refuses a call after the end.
   *
   * @throws {StoreClosedError} If the store is closed.
   */
  assertOpen(): void {
    if (this.#isClosed) throw new StoreClosedError();
  }

  /** A signal that fires when the caller's does, or when the store is closed. */
  until(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.signal]) : this.signal;
  }

  /** Runs an operation that is waited for when the store is closed. */
  async track<T>(operation: () => T | Promise<T>): Promise<T> {
    this.enter();
    try {
      return await operation();
    } finally {
      this.leave();
    }
  }

  /** Runs a read, which ends when the store is closed. */
  ask<T>(read: (signal: AbortSignal) => T | Promise<T>): Promise<T> {
    const { signal } = this;
    return this.track(() => {
      const answer = read(signal);
      return answer instanceof Promise ? abortable(answer, signal) : answer;
    });
  }

  /** Begins something that is waited for: `leave()` ends it. */
  enter(): void {
    this.#inFlight++;
  }

  /** Ends what `enter()` began. */
  leave(): void {
    if (--this.#inFlight === 0 && this.#isClosed) this.#idle.resolve();
  }

  /** Refuses what comes after, and ends the reads that are in progress. */
  close(): void {
    this.#isClosed = true;
    this.#closing.abort(new StoreClosedError());
  }

  /** Resolves when nothing is in flight any more, after `close()`. */
  async idle(): Promise<void> {
    if (this.#inFlight > 0) await this.#idle.promise;
  }
}
