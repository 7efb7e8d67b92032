/**
 * Time as coordination sees it. It comes in from outside, so that the simulator drives the very code that runs in
 * production.
 *
 * @module
 */

/** Two clocks and a timer. */
export interface Clock {
  /** Milliseconds on a clock that never goes back but may stand still while the machine sleeps. */
  monotonic(): number;
  /** Milliseconds since 1970 on a clock that goes on while the machine sleeps but may be set. */
  wall(): number;
  /** Calls back once after at least `delay` ms; the function that it returns cancels that. */
  setTimer(callback: () => void, delay: number): () => void;
}

/** By how much the rates of two clocks may differ: 1 %. */
export const CLOCK_RATE_ALLOWANCE = 0.01;

/** The process's own clocks. */
export const systemClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  setTimer: (callback, delay) => {
    const timer = setTimeout(callback, delay);
    return () => clearTimeout(timer);
  },
};

/** One moment on both clocks. */
export interface Instant {
  /** On {@linkcode Clock.monotonic}. */
  readonly monotonic: number;
  /** On {@linkcode Clock.wall}. */
  readonly wall: number;
}

/** This moment on both clocks. */
export function now(clock: Clock): Instant {
  return { monotonic: clock.monotonic(), wall: clock.wall() };
}

/** How long until an instant, by the clock that is closer to it: 0 or less once either of them has passed it. */
export function remaining(clock: Clock, deadline: Instant): number {
  return Math.min(deadline.monotonic - clock.monotonic(), deadline.wall - clock.wall());
}

/** How soon what got no answer is tried again at first, in ms. */
const FIRST_RETRY_MS = 250;
/** How soon it is tried again after many tries, in ms. */
const LAST_RETRY_MS = 2_000;

/** The waits between tries: each is twice as long as the one before, until there is progress. */
export class RetryDelay {
  #next = FIRST_RETRY_MS;

  /** How long to wait now, in ms. */
  next(): number {
    const delay = this.#next;
    this.#next = Math.min(delay * 2, LAST_RETRY_MS);
    return delay;
  }

  /** There was progress. */
  reset(): void {
    this.#next = FIRST_RETRY_MS;
  }
}

/**
 * What a loop sleeps on: until it is woken or a time has passed. A wake-up while no loop sleeps is kept for the next
 * sleep, so that none is lost.
 */
export class Wakeup {
  readonly #clock: Clock;
  #pending = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the current sleep, or the next one at once. */
  notify(): void {
    this.#pending = true;
    this.#wake?.();
  }

  /** Sleeps until {@linkcode notify}, at most `limit` ms, and answers whether it was woken. */
  async sleep(limit?: number): Promise<boolean> {
    if (!this.#pending) {
      await new Promise<void>((resolve) => {
        let cancel = (): void => {};
        this.#wake = () => {
          this.#wake = undefined;
          cancel();
          resolve();
        };
        if (limit === undefined) return;
        cancel = this.#clock.setTimer(() => this.#wake?.(), limit);
        // The first timer of a Deno process runs waiting microtasks before it returns: one of them may have woken this.
        if (this.#wake === undefined) cancel();
      });
    }
    const woken = this.#pending;
    this.#pending = false;
    return woken;
  }
}

/** Waits for a time, or for the signal: then it rejects with its reason. */
export async function sleepOn(clock: Clock, duration: number, signal: AbortSignal): Promise<void> {
  const wakeup = new Wakeup(clock);
  const wake = (): void => wakeup.notify();
  signal.addEventListener("abort", wake);
  if (!signal.aborted) await wakeup.sleep(duration);
  signal.removeEventListener("abort", wake);
  signal.throwIfAborted();
}
