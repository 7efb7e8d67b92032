/**
 * Tests that need the passing of time itself, on a machine that stands still at times.
 *
 * @module
 */
import { connectPatiently } from "./patient.ts";

/** How often a machine is given twice the time. */
const TRIES = 4;

/**
 * Runs what must happen within a certain time: a lease is renewed, an actor is remembered before its events expire. If
 * it fails, and the machine stood still meanwhile for a part of that time, it runs again with twice the time: what is
 * stopped for so long can keep no such time.
 *
 * @param time The retention or the time to live of the first try, in milliseconds.
 */
export async function withTime(
  time: number,
  scenario: (time: number, pulse: Pulse) => Promise<void>,
): Promise<void> {
  for (let count = 1;; count++, time *= 2) {
    await using pulse = new Pulse();
    try {
      return await scenario(time, pulse);
    } catch (error) {
      if (count === TRIES || pulse.longest < time / 40) throw error;
      console.warn(`the machine stood still for ${Math.round(pulse.longest)} ms: again with twice the time`);
    }
  }
}

/** Measures for how long at most this process, or a server that it watches, has stood still. */
export class Pulse implements AsyncDisposable {
  readonly #over = new AbortController();
  readonly #beats: Promise<void>[] = [];
  #longest = 0;

  constructor() {
    this.#beat(() => Promise.resolve());
  }

  /** The longest standstill, in milliseconds. */
  get longest(): number {
    return this.#longest;
  }

  /** Watches a server too. The time in which it is shut down does not count. */
  async watch(url: string): Promise<void> {
    const connection = await connectPatiently(url);
    this.#beat(async () => void await connection.rtt(), () => connection.close());
  }

  #beat(beat: () => Promise<void>, end?: () => Promise<void>): void {
    this.#beats.push((async () => {
      let last = performance.now();
      while (!this.#over.signal.aborted) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        await beat().catch(() => {});
        this.#longest = Math.max(this.#longest, performance.now() - last);
        last = performance.now();
      }
      await end?.();
    })());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#beats);
  }
}
