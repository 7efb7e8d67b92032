/**
 * Turns for a limited number at a time.
 *
 * @module
 */

/** Lets a limited number in; the others wait, first come, first served. */
export class Semaphore {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  /** @param limit How many at a time. */
  constructor(limit: number) {
    this.#free = limit;
  }

  /** Waits for a turn, which ends when what it returns is disposed of. */
  async acquire(): Promise<Disposable> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return { [Symbol.dispose]: () => this.#release() };
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }
}
