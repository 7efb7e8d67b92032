/**
 * Waiting until a shard has an owner again. One question for all calls that wait for the shard is enough: they go on together,
 * in the order in which they came.
 *
 * @module
 */

import { backoff, sleep } from "../sleep.ts";

/**
 * The bounds of the wait before a shard is asked for again, in milliseconds: a planned move takes few of them. A question that
 * no process answers costs 0.2 ms.
 */
const FIRST_WAIT = 5;
const LONGEST_WAIT = 20;
/** After so many questions, about a second, no owner is to be expected soon. */
const MANY_QUESTIONS = 100;
const LATER_WAIT = 250;

/** A call that waits. */
interface Waiter {
  /** Whether the shard has come to the caller's process. */
  readonly isHere: () => boolean;
  readonly goOn: () => void;
}

/** The calls that wait for one shard. */
interface Waiting {
  readonly waiters: Set<Waiter>;
  /** Ends the questions. */
  readonly ending: AbortController;
}

/** Calls that wait for shards. */
export class ShardWaits {
  readonly #isServed: (shard: number) => Promise<boolean>;
  readonly #waiting = new Map<number, Waiting>();

  /** @param isServed Asks whether a process listens to the calls of a shard. */
  constructor(isServed: (shard: number) => Promise<boolean>) {
    this.#isServed = isServed;
  }

  /**
   * Waits until a process listens to the calls of a shard, or the time is over.
   *
   * @param isHere Whether the shard has come to this process: that is enough too.
   * @throws The signal's reason.
   */
  async wait(
    shard: number,
    time: number,
    isHere: () => boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<void>();
    const goOn = (): void => resolve();
    const waiter: Waiter = { isHere, goOn };
    const waiting = this.#waiting.get(shard) ?? this.#begin(shard);
    waiting.waiters.add(waiter);
    signal?.addEventListener("abort", goOn);
    const timer = setTimeout(goOn, Math.max(0, time));
    await promise;
    clearTimeout(timer);
    signal?.removeEventListener("abort", goOn);
    waiting.waiters.delete(waiter);
    if (waiting.waiters.size === 0) this.#end(shard, waiting);
    signal?.throwIfAborted();
  }

  /** Lets all calls go on. */
  endAll(): void {
    for (const [shard, waiting] of this.#waiting) this.#end(shard, waiting);
  }

  #begin(shard: number): Waiting {
    const waiting = { waiters: new Set<Waiter>(), ending: new AbortController() };
    this.#waiting.set(shard, waiting);
    void this.#ask(shard, waiting);
    return waiting;
  }

  #end(shard: number, { waiters, ending }: Waiting): void {
    if (ending.signal.aborted) return;
    ending.abort();
    this.#waiting.delete(shard);
    for (const { goOn } of waiters) goOn();
  }

  async #ask(shard: number, waiting: Waiting): Promise<void> {
    const { signal } = waiting.ending;
    for (let attempt = 1; !signal.aborted; attempt++) {
      const longest = attempt > MANY_QUESTIONS ? LATER_WAIT : LONGEST_WAIT;
      await sleep(backoff(attempt, FIRST_WAIT, longest), signal).catch(() => {});
      const isHere = [...waiting.waiters].some(({ isHere }) => isHere());
      if (isHere || signal.aborted || await this.#isServed(shard)) break;
    }
    this.#end(shard, waiting);
  }
}
