/**
 * Following a log that can only be read: read to its end, wait to be woken, read on.
 *
 * @module
 */

import type { LogBatch, LogFollow, LogRead } from "./backend.ts";

/** Wakes what waits for something new. A wake-up between looking and waiting is not lost. */
export class Wakeups {
  #count = 0;
  #waiting = new Set<() => void>();

  /** How often it has woken; pass it to {@linkcode wait} after having looked. */
  get count(): number {
    return this.#count;
  }

  /** Wakes all who wait. */
  notify(): void {
    this.#count++;
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /**
   * Waits until it has woken more often than `seen`, or the time is over, or the signal fires.
   *
   * @param seen The count before the caller looked.
   * @param timeout Milliseconds; without it there is no time limit.
   */
  async wait(seen: number, signal: AbortSignal, timeout?: number): Promise<void> {
    if (this.#count !== seen || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    // After the rest: the first timer of a Deno process runs waiting microtasks before it returns.
    const timer = timeout === undefined ? undefined : setTimeout(resolve, timeout);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(wake);
      signal.removeEventListener("abort", wake);
    }
  }
}

/** What following needs of a log. */
export interface FollowedLog {
  /** The last position, or nothing while the log is empty. */
  getLastPosition(): Promise<string | undefined>;
  /** The log up to its present end. */
  readLog(read: LogRead): AsyncIterable<LogBatch>;
  /** Is notified of what this process stores. */
  readonly wakeups: Wakeups;
  /** How often to look for what other processes stored, in milliseconds; without it, never. */
  readonly pollInterval?: number | undefined;
}

/**
 * The log from a position on, and then what comes.
 *
 * @param log The log.
 * @param follow Where to begin, and when to end.
 */
export async function* followLog(log: FollowedLog, follow: LogFollow): AsyncIterable<LogBatch> {
  const { onReady, signal, ...read } = follow;
  let after = read.after;
  let ready = false;
  if (after === "end") {
    const last = await log.getLastPosition();
    after = last ?? "start";
    onReady(last);
    ready = true;
  }
  while (!signal.aborted) {
    const seen = log.wakeups.count;
    for await (const batch of log.readLog({ ...read, after })) {
      if (!ready) onReady(undefined);
      ready = true;
      if (signal.aborted) return;
      yield batch;
      after = batch.position;
    }
    if (!ready) onReady(after === "start" || after === "first-kept" ? undefined : after);
    ready = true;
    await log.wakeups.wait(seen, signal, log.pollInterval);
  }
}
