/**
 * Limits how many run at a time.
 *
 * @module
 */

/** Limits how many run at a time; the others wait in their order. */
export class Semaphore {
  readonly #waiting = new Set<() => void>();
  #free: number;

  /** @param limit How many at a time. */
  constructor(limit: number) {
    this.#free = limit;
  }

  /**
   * Waits until one more may run, and counts it until the returned object is disposed of.
   *
   * @param signal Ends the wait: it rejects with the signal's reason.
   */
  async acquire(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#turn(signal);
    return { [Symbol.dispose]: () => this.#release() };
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (): void => {
      if (this.#waiting.delete(resolve)) reject(signal.reason);
    };
    this.#waiting.add(resolve);
    signal.addEventListener("abort", abort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  #release(): void {
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      return next();
    }
    this.#free++;
  }
}
