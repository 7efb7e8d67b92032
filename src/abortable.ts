/**
 * Waiting that a signal ends.
 *
 * @module
 */

/** One listener for each signal: the signal itself searches a list of all its listeners when one is removed. */
const waiting = new WeakMap<AbortSignal, Waiting>();

/** The promises that wait for a signal. */
class Waiting {
  readonly #signal: AbortSignal;
  readonly #callbacks = new Set<() => void>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(callback: () => void): void {
    if (this.#callbacks.size === 0) this.#signal.addEventListener("abort", this.#fire, { once: true });
    this.#callbacks.add(callback);
  }

  delete(callback: () => void): void {
    if (!this.#callbacks.delete(callback) || this.#callbacks.size > 0) return;
    this.#signal.removeEventListener("abort", this.#fire);
  }

  readonly #fire = (): void => {
    for (const callback of this.#callbacks) callback();
    this.#callbacks.clear();
  };
}

/** A promise that also rejects, with the signal's reason, when the signal fires. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    let those = waiting.get(signal);
    if (!those) waiting.set(signal, those = new Waiting(signal));
    if (signal.aborted) abort();
    else those.add(abort);
    const settled = those;
    promise.then((value) => {
      settled.delete(abort);
      resolve(value);
    }, (error) => {
      settled.delete(abort);
      reject(error);
    });
  });
}

/** Iterates. The signal also ends a wait for the next item: the iteration ends with the signal's reason. */
export async function* abortableItems<T>(
  items: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, void> {
  const source = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await abortable(source.next(), signal);
      if (done) return;
      yield value;
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    const ended = Promise.resolve(source.return?.());
    // An iteration that was aborted does not wait for what it was waiting for.
    if (signal?.aborted) ended.catch(() => {});
    else await ended;
  }
}
