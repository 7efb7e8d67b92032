/**
 * Virtual time: events in the order of their times, and after each the promises that it settled.
 *
 * @module
 */
import type { Random } from "../../support/random.ts";

/** How many turns of the microtask queue follow an event: more than the longest chain of awaits. */
const TURNS = 24;

async function takeTurns(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await null;
}

interface Scheduled {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

export class World {
  /** The true time, in ms, that no process can see. */
  time = 0;
  /** The events so far. */
  steps = 0;
  readonly random: Random;
  /** The last things that happened, for the report of a failure. */
  readonly trace: string[] = [];
  readonly #heap: Scheduled[] = [];
  readonly #settle: () => Promise<void>;
  #order = 0;

  /** @param settle Waits until the promises that an event settled have had their callbacks. */
  constructor(random: Random, settle: () => Promise<void> = takeTurns) {
    this.random = random;
    this.#settle = settle;
  }

  note(text: string): void {
    this.trace.push(`${this.time.toFixed(1).padStart(9)} ${text}`);
    if (this.trace.length > 400) this.trace.splice(0, 200);
  }

  /** Schedules an event after a delay; the function that it returns cancels it. */
  after(delay: number, run: () => void): () => void {
    const event: Scheduled = { at: this.time + Math.max(0, delay), order: this.#order++, run };
    this.#push(event);
    return () => event.run = undefined;
  }

  /** Runs events until `done` says so or none is left; `check` follows every event. */
  async run(done: () => boolean, check: () => void): Promise<void> {
    while (!done()) {
      const event = this.#pop();
      if (event === undefined) return;
      if (event.run === undefined) continue;
      this.time = event.at;
      this.steps++;
      event.run();
      await this.#settle();
      check();
    }
  }

  #before(a: number, b: number): boolean {
    const x = this.#heap[a] as Scheduled;
    const y = this.#heap[b] as Scheduled;
    return x.at < y.at || (x.at === y.at && x.order < y.order);
  }

  #swap(a: number, b: number): void {
    const x = this.#heap[a] as Scheduled;
    this.#heap[a] = this.#heap[b] as Scheduled;
    this.#heap[b] = x;
  }

  #push(event: Scheduled): void {
    let at = this.#heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #pop(): Scheduled | undefined {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (top === undefined || last === undefined || top === last) return top;
    this.#heap[0] = last;
    for (let at = 0;;) {
      const left = 2 * at + 1;
      if (left >= this.#heap.length) break;
      const least = left + 1 < this.#heap.length && this.#before(left + 1, left) ? left + 1 : left;
      if (!this.#before(least, at)) break;
      this.#swap(least, at);
      at = least;
    }
    return top;
  }
}
