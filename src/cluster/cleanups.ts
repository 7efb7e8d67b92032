/**
 * What closing waits for.
 *
 * @module
 */

/** Calls, and what goes on in the background after they were aborted: it removes what they have left. */
export class Cleanups {
  readonly #running = new Set<Promise<void>>();

  /** Adds work, which may fail. */
  add(work: Promise<unknown>): void {
    const ended: Promise<void> = work.then(() => {}, () => {}).then(() => void this.#running.delete(ended));
    this.#running.add(ended);
  }

  /** Resolves once all of it has ended. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
