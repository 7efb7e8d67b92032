/**
 * Asking the server whether it counts messages of actors that have none as far as is known.
 *
 * @module
 */

import { listOf } from "../../../short_lived.ts";
import type { EventLog } from "../read/event_log.ts";
import type { Write } from "./write.ts";

/** How many writes to new actors ask the server together. */
const MAX_CONFIRMED_AT_ONCE = 128;

/** For how long they are collected while another request is under way, in milliseconds. */
const MAX_COLLECTING_MS = 10;

/**
 * Asks for many writes at once. The server reports no message if it cannot read the last one, and would accept a second
 * beginning of a history.
 */
export class Confirmations {
  readonly #log: EventLog;
  readonly #onAnswer: (writes: readonly Write[], isNone: boolean) => void;
  /** Writes that ask next. */
  #waiting = listOf<Write>();
  /** How many requests are under way. */
  #requests = 0;
  #collecting: ReturnType<typeof setTimeout> | undefined;

  /** @param onAnswer Takes writes, and whether the server counts no message of all their actors. */
  constructor(log: EventLog, onAnswer: (writes: readonly Write[], isNone: boolean) => void) {
    this.#log = log;
    this.#onAnswer = onAnswer;
  }

  /**
   * Asks for a write. Writes that come while the server answers ask together, but do not wait long: another server may
   * answer them.
   */
  ask(write: Write): void {
    this.#waiting.push(write);
    if (this.#waiting.length >= MAX_CONFIRMED_AT_ONCE) void this.#askForAll();
    else if (this.#waiting.length > 1) return;
    else if (this.#requests === 0) queueMicrotask(() => void this.#askForAll());
    else this.#collecting = setTimeout(() => void this.#askForAll(), MAX_COLLECTING_MS);
  }

  /** Ends the timer. */
  close(): void {
    clearTimeout(this.#collecting);
  }

  async #askForAll(): Promise<void> {
    clearTimeout(this.#collecting);
    const writes = this.#waiting;
    if (writes.length === 0) return;
    this.#waiting = listOf();
    this.#requests++;
    const isNone = await this.#countsNone(writes);
    this.#requests--;
    this.#onAnswer(writes, isNone);
    if (this.#requests === 0) void this.#askForAll();
  }

  async #countsNone(writes: readonly Write[]): Promise<boolean> {
    const subjects = listOf<string>();
    for (const write of writes) write.addNewSubjects(subjects);
    try {
      if (this.#log.expiry.looking) await this.#log.expiry.looking;
      return this.#log.expiry.nothingExpired(performance.now()) && await this.#log.countsNone(subjects);
    } catch {
      // Each of them reads its heads, and waits for the server up to its deadline.
      return false;
    }
  }
}
