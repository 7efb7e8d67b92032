/**
 * Waiting.
 *
 * @module
 */

/** The longest time that a timer takes, in milliseconds. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Waits for a time, at most for 24 days.
 *
 * @param milliseconds How long.
 * @param signal Ends the wait: it rejects with the signal's reason.
 */
export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = (): void => reject(signal?.reason);
  // Before the timer: the first timer of a Deno process runs waiting microtasks before it returns, which may abort.
  signal?.addEventListener("abort", abort, { once: true });
  // A longer timer would be over at once.
  const timer = setTimeout(resolve, Math.min(milliseconds, MAX_TIMER_MS));
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Waits until a promise has settled, at most for a time. */
export async function settledWithin(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  const settled = new AbortController();
  const end = (): void => settled.abort();
  promise.then(end, end);
  await sleep(milliseconds, settled.signal).catch(() => {});
}

/**
 * How long to wait before a further try: a random time up to a bound that doubles with each try ("full jitter"), so
 * that writers who met once do not meet again.
 *
 * @param attempt How many tries have failed, from 1.
 * @param base The bound after the first, in milliseconds.
 * @param most The bound after many, in milliseconds.
 */
export function backoff(attempt: number, base: number, most: number): number {
  return Math.random() * Math.min(most, base * 2 ** (attempt - 1));
}
