/** How many milliseconds a step of the wait takes. */
const STEP = 10;

/**
 * Waits a while in which this process runs. The time during which a busy machine stops the whole process does not
 * count: after such a stop timers end first, and a call that was to end "at once" had no chance to do so.
 */
export async function runningTime(milliseconds: number, signal?: AbortSignal): Promise<void> {
  for (let left = milliseconds; left > 0 && !signal?.aborted; left -= STEP) {
    await new Promise((resolve) => setTimeout(resolve, STEP));
  }
}

/** The outcome of a promise, or "late" if it has none after this process has run for a while. */
export async function soon<T>(promise: Promise<T>, milliseconds: number): Promise<T | "late"> {
  const over = new AbortController();
  const late = runningTime(milliseconds, over.signal).then(() => "late" as const);
  try {
    return await Promise.race([promise, late]);
  } finally {
    over.abort();
    await late;
  }
}
