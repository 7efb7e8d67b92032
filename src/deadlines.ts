/**
 * Ending what has a deadline, also while it waits for something.
 *
 * @module
 */

/** Something that ends at its deadline. */
export interface Timed {
  /** When, on the clock of `performance.now()`. */
  readonly deadline: number;
  /** Its place in {@linkcode Deadlines}, which sets it; -1 before and after. */
  slot: number;
  /** Ends it. */
  expire(): void;
}

/** The shortest time between two looks, in milliseconds. */
const SHORTEST_INTERVAL = 10;

/**
 * Ends what is not answered in time. One timer serves all of them: most are answered long before.
 *
 * It has no `Set`: that makes a new table each time as many were deleted as it has room for, and the old table keeps what it
 * held alive until a collection of the old generation (measured on JetStream: 3 of the 5 us that collections took per save).
 */
export class Deadlines {
  readonly #slots: (Timed | undefined)[] = [];
  readonly #free: number[] = [];
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
    if (timed.slot >= 0) return;
    timed.slot = this.#free.pop() ?? this.#slots.length;
    this.#slots[timed.slot] = timed;
    if (timed.deadline < this.#due) this.#arm(timed.deadline);
  }

  /** Forgets what is done, if it was added. */
  delete(timed: Timed): void {
    const { slot } = timed;
    if (this.#slots[slot] !== timed) return;
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    timed.slot = -1;
  }

  /** Ends the timer. */
  close(): void {
    clearTimeout(this.#timer);
    this.#slots.length = this.#free.length = 0;
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
    for (const timed of this.#slots) {
      if (timed === undefined) continue;
      if (timed.deadline > now) next = Math.min(next, timed.deadline);
      else {
        this.delete(timed);
        timed.expire();
      }
    }
    this.#due = Infinity;
    if (next < Infinity) this.#arm(Math.max(next, now + SHORTEST_INTERVAL));
  }
}
