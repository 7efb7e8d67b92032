/**
 * Ending writes at their deadlines, also while they wait for something.
 *
 * @module
 */

import type { Write } from "./write.ts";

/** The shortest time between two looks, in milliseconds. */
const SHORTEST_INTERVAL = 10;

/** Ends what is not answered in time. One timer serves all of them: most are answered long before. */
export class Deadlines {
  readonly #writes = new Set<Write>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires, on the clock of `performance.now()`. */
  #due = Infinity;

  /** Ends a write at its deadline, unless it was answered before. */
  add(write: Write): void {
    if (write.isTimed) return;
    write.isTimed = true;
    this.#writes.add(write);
    if (write.deadline < this.#due) this.#arm(write.deadline);
  }

  /** Forgets a write that is done and was added. */
  delete(write: Write): void {
    this.#writes.delete(write);
  }

  /** Ends the timer. */
  close(): void {
    clearTimeout(this.#timer);
    this.#writes.clear();
  }

  #arm(due: number): void {
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#end(), Math.max(0, due - performance.now()));
    Deno.unrefTimer(this.#timer);
  }

  #end(): void {
    const now = performance.now();
    let next = Infinity;
    for (const write of this.#writes) {
      if (write.deadline > now) next = Math.min(next, write.deadline);
      else {
        this.#writes.delete(write);
        write.expire();
      }
    }
    this.#due = Infinity;
    if (next < Infinity) this.#arm(Math.max(next, now + SHORTEST_INTERVAL));
  }
}
