/**
 * Ending what has a deadline, also while it waits for something.
 *
 * @module
 */

/** Something that ends at its deadline. */
export interface Timed {
  /** When, on the clock of `performance.now()`. */
  readonly deadline: number;
  /** Whether it was added to {@linkcode Deadlines}. */
  isTimed: boolean;
  /** Ends it. */
  expire(): void;
}

/** The shortest time between two looks, in milliseconds. */
const SHORTEST_INTERVAL = 10;

/** Ends what is not answered in time. One timer serves all of them: most are answered long before. */
export class Deadlines {
  readonly #waiting = new Set<Timed>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires, on the clock of `performance.now()`. */
  #due = Infinity;
  readonly #keepsAlive: boolean;

  /** @param keepsAlive Whether the process does not end while something waits for its deadline. */
  constructor(keepsAlive = false) {
    this.#keepsAlive = keepsAlive;
  }

  /** Ends something at its deadline, unless it was answered before. */
  add(timed: Timed): void {
    if (timed.isTimed) return;
    timed.isTimed = true;
    this.#waiting.add(timed);
    if (timed.deadline < this.#due) this.#arm(timed.deadline);
  }

  /** Forgets what is done and was added. */
  delete(timed: Timed): void {
    this.#waiting.delete(timed);
  }

  /** Ends the timer. */
  close(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #arm(due: number): void {
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#end(), Math.max(0, due - performance.now()));
    if (!this.#keepsAlive) Deno.unrefTimer(this.#timer);
  }

  #end(): void {
    const now = performance.now();
    let next = Infinity;
    for (const timed of this.#waiting) {
      if (timed.deadline > now) next = Math.min(next, timed.deadline);
      else {
        this.#waiting.delete(timed);
        timed.expire();
      }
    }
    this.#due = Infinity;
    if (next < Infinity) this.#arm(Math.max(next, now + SHORTEST_INTERVAL));
  }
}
