/**
 * Whether messages of a log may have expired: a save to a new actor asks the server only if so.
 *
 * @module
 */

/** How often to check that the first message has not expired, in milliseconds. */
const LOOK_INTERVAL = 500;
/** For how long the result is valid, in milliseconds, if the message expires much later. */
const LOOK_VALIDITY = 5_000;
/** How much later, in milliseconds: clocks may be set, and the retention shortened, in the meantime. */
const LONG_TO_LIVE = 60 * 60 * 1_000;

/** What a store knows of it. */
export class Expiry {
  readonly #expires: () => boolean;
  readonly #timeLeft: () => Promise<number>;
  /** Until when, on the clock of `performance.now()`, it is known that nothing has expired. */
  #soundUntil = 0;
  #lookedAt = -Infinity;
  #looking: Promise<void> | undefined;

  /**
   * @param expires Returns whether messages of this log expire at all.
   * @param timeLeft Asks for how long the log's first message is still kept, in milliseconds; infinite if nothing expires, NaN if it is gone.
   */
  constructor(expires: () => boolean, timeLeft: () => Promise<number>) {
    this.#expires = expires;
    this.#timeLeft = timeLeft;
  }

  /** The look-up whether messages have expired, if one is under way. It never rejects. */
  get looking(): Promise<void> | undefined {
    return this.#looking;
  }

  /**
   * Whether it is known that no message has expired: the first one existed a moment ago, and expires much later. If it
   * is not known, it is looked up for the next call.
   *
   * @param now The time of `performance.now()`, which is costly to read.
   */
  nothingExpired(now: number): boolean {
    // Looked up before it is over, so that saves under load do not notice.
    if (now > this.#soundUntil - LOOK_VALIDITY / 2 && now > this.#lookedAt + LOOK_INTERVAL) {
      this.#lookedAt = now;
      const done = (): void => void (this.#looking = undefined);
      this.#looking = this.#look(now).then(done, done); // if it fails it stays unknown, which costs a read
    }
    return now < this.#soundUntil || !this.#expires();
  }

  async #look(now: number): Promise<void> {
    if (await this.#timeLeft() > LONG_TO_LIVE) this.#soundUntil = now + LOOK_VALIDITY;
  }
}
