/**
 * Notices that a consumer is not heard of any more.
 *
 * @module
 */

const MISSED_HEARTBEATS = 2.5;

/** Reports a silence of two heartbeats and a half, from `start()` until `stop()`. */
export class SilenceMonitor {
  /** Set with each message: asking for the time costs as much as half of what is done with one. */
  heard = false;
  readonly #heartbeat: number;
  readonly #onSilence: () => void;
  /** When the consumer was last heard of, as far as it was noted. */
  #seen = 0;
  #checked = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param heartbeat How often the server reports, in milliseconds. */
  constructor(heartbeat: number, onSilence: () => void) {
    this.#heartbeat = heartbeat;
    this.#onSilence = onSilence;
  }

  /** Watches from now on. */
  start(): void {
    this.#checked = performance.now();
    this.#timer = setInterval(() => this.#check(), this.#heartbeat / 2);
  }

  /** A consumer was created, which counts as heard of. */
  restart(): void {
    this.#seen = performance.now();
  }

  /** Watches no more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const now = performance.now();
    // If this process was suspended, what has arrived meanwhile must be read before the consumer counts as silent.
    if (this.heard || now - this.#checked > this.#heartbeat) this.#seen = now;
    this.heard = false;
    this.#checked = now;
    if (now - this.#seen > this.#heartbeat * MISSED_HEARTBEATS) this.#onSilence();
  }
}
