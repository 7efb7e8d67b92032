/**
 * How long handlers may take: one timer for all that work at this moment, since a timer for each costs more than calling them.
 *
 * @module
 */

import { handlerTimeout } from "./errors.ts";
import type { HandlerTurn } from "./handler_context.ts";

/** A handler that is waited for. */
interface Waited {
  readonly deadline: number;
  /** Ends its attempt. */
  readonly end: (reason: unknown) => void;
  before: Waited | undefined;
  behind: Waited | undefined;
  isOver: boolean;
}

/** The time limit of the handlers of a worker. */
export class TimeLimit {
  readonly #milliseconds: number;
  readonly #signal: AbortSignal;
  /** Those that are waited for, in the order of their calls, which is that of their deadlines. */
  #first: Waited | undefined;
  #last: Waited | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isListening = false;

  /**
   * Waits for nothing yet.
   *
   * @param milliseconds How long each handler may take.
   * @param signal Ends all of them.
   */
  constructor(milliseconds: number, signal: AbortSignal) {
    this.#milliseconds = milliseconds;
    this.#signal = signal;
  }

  /** Waits for a handler for as long as it may take. */
  wait<T, Tx>(result: PromiseLike<T>, turn: HandlerTurn<Tx>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waited = this.#begin((reason) => {
        turn.end({ reason });
        reject(reason);
      });
      result.then((value) => {
        if (!waited.isOver) turn.hasReturned = true;
        this.#remove(waited);
        resolve(value);
      }, (error) => {
        this.#remove(waited);
        reject(error);
      });
    });
  }

  /** Ends the timer. Those that are still waited for are not limited any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#signal.removeEventListener("abort", this.#abort);
    this.#isListening = false;
  }

  #begin(end: (reason: unknown) => void): Waited {
    const before = this.#last;
    const deadline = performance.now() + this.#milliseconds;
    const waited: Waited = { deadline, end, before, behind: undefined, isOver: false };
    if (before) before.behind = waited;
    else this.#first = waited;
    this.#last = waited;
    if (!this.#isListening) this.#signal.addEventListener("abort", this.#abort, { once: true });
    this.#isListening = true;
    // After the listener: the first timer of a Deno process runs waiting microtasks before it returns.
    this.#timer ??= setTimeout(this.#look, this.#milliseconds);
    if (this.#signal.aborted) this.#abort();
    return waited;
  }

  #remove(waited: Waited): void {
    if (waited.isOver) return;
    waited.isOver = true;
    const { before, behind } = waited;
    if (before) before.behind = behind;
    else this.#first = behind;
    if (behind) behind.before = before;
    else this.#last = before;
  }

  /** Ends those that are late. */
  readonly #look = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (let late = this.#first; late && late.deadline <= now; late = this.#first) {
      this.#remove(late);
      late.end(handlerTimeout(this.#milliseconds));
    }
    if (this.#first) this.#timer = setTimeout(this.#look, Math.max(1, this.#first.deadline - now));
  };

  readonly #abort = (): void => {
    for (let waited = this.#first; waited; waited = this.#first) {
      this.#remove(waited);
      waited.end(this.#signal.reason);
    }
  };
}
