/**
 * Waiting for servers that have just started: a cluster elects its leaders for some seconds.
 *
 * @module
 */

import { backoff, sleep } from "../sleep.ts";

/** How long opening anything waits for a cluster that is about to elect its leaders, in milliseconds. */
export const OPEN_PATIENCE = 15_000;
/** The bounds of the random wait before a further try, in milliseconds. */
export const FIRST_WAIT = 10;
export const LONGEST_WAIT = 500;

/** What is waited for. */
export interface PatienceOptions {
  /** How long, in milliseconds. */
  readonly patience: number;
  /** Whether a failure may pass. */
  readonly isMomentary: (error: unknown) => boolean;
  /** Ends the waiting with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Repeats what fails momentarily. */
export async function retryWhile<T>(
  { patience, isMomentary, signal }: PatienceOptions,
  run: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + patience;
  for (let attempt = 1;; attempt++) {
    signal?.throwIfAborted();
    try {
      return await run();
    } catch (error) {
      if (!isMomentary(error) || performance.now() > deadline) throw error;
      await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), signal);
    }
  }
}
