/**
 * Whether a node's watch over its cluster works.
 *
 * @module
 */
import type { WatchUpdate } from "./bucket.ts";
import { type Clock, Wakeup } from "./clock.ts";
import { isUnanswered, unanswered } from "./errors.ts";

/** What the watch reported last. */
export class Watching {
  readonly #clock: Clock;
  readonly #waiting = new Set<Wakeup>();
  #works = false;
  #failure: { readonly error: unknown; readonly since: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** For how long the watch has not worked, in ms; 0 while it works. */
  get silence(): number {
    return this.#failure === undefined ? 0 : this.#clock.monotonic() - this.#failure.since;
  }

  /** Takes a report. */
  take(update: WatchUpdate): void {
    if (update.type === "unavailable") {
      this.#works = false;
      this.#failure = { since: this.#clock.monotonic(), ...this.#failure, error: update.error };
    } else if (update.type === "snapshot") {
      this.#works = true;
      this.#failure = undefined;
    }
    for (const wakeup of this.#waiting) wakeup.notify();
  }

  /**
   * Waits until the watch works.
   *
   * @throws The watch's own error, if that is no outage, or the deadline has passed.
   */
  async started(signal: AbortSignal, deadline: number): Promise<void> {
    const wakeup = new Wakeup(this.#clock);
    const wake = (): void => wakeup.notify();
    signal.addEventListener("abort", wake);
    this.#waiting.add(wakeup);
    try {
      for (;;) {
        signal.throwIfAborted();
        if (this.#works) return;
        const left = deadline - this.#clock.monotonic();
        const error = this.#failure?.error;
        if (error !== undefined && !isUnanswered(error)) throw error;
        if (left <= 0) throw error ?? unanswered("watch the cluster");
        await wakeup.sleep(left === Infinity ? undefined : left);
      }
    } finally {
      this.#waiting.delete(wakeup);
      signal.removeEventListener("abort", wake);
    }
  }
}
