/**
 * One event at a time out of batches.
 *
 * @module
 */

/** What {@linkcode flatten} takes. */
export interface FlattenOptions {
  /** The most items to hand out. @default {all} */
  readonly limit?: number | undefined;
  /** Ends the iteration with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called before each batch; what it throws ends the iteration. */
  readonly check?: () => void;
}

/**
 * Hands out the items of batches one by one. Written by hand, because an async generator costs as much an item as
 * reading and decoding an event does.
 *
 * @param batches Where the batches come from; it is told when the iteration ends early.
 */
export function flatten<T>(
  batches: AsyncIterable<readonly T[]>,
  options: FlattenOptions = {},
): AsyncIterableIterator<T> {
  const { limit = Infinity, signal, check } = options;
  let source: AsyncIterator<readonly T[]> | undefined;
  let batch: readonly T[] = [];
  let next = 0;
  let left = limit;
  let done = limit === 0;

  const finish = async (): Promise<IteratorReturnResult<undefined>> => {
    done = true;
    batch = [];
    await source?.return?.();
    return { done: true, value: undefined };
  };

  const take = (): IteratorYieldResult<T> => {
    if (--left === 0) done = true;
    return { done: false, value: batch[next++]! };
  };

  const refill = async (): Promise<IteratorResult<T, undefined>> => {
    if (done) return await finish();
    try {
      for (;;) {
        signal?.throwIfAborted();
        check?.();
        source ??= batches[Symbol.asyncIterator]();
        const result = await abortable(source.next(), signal);
        if (result.done) return await finish();
        if (result.value.length === 0) continue;
        batch = result.value;
        next = 0;
        return take();
      }
    } catch (error) {
      await finish();
      throw error;
    }
  };

  let refilling: Promise<unknown> | undefined;
  return {
    next(): Promise<IteratorResult<T, undefined>> {
      // Calls that are not awaited one by one take their turns, as they would with a generator.
      if (refilling) return refilling.then(() => this.next(), () => this.next());
      if (next < batch.length && !done && !signal?.aborted) return Promise.resolve(take());
      const result = refill();
      const settled = (): void => void (refilling = undefined);
      refilling = result.then(settled, settled);
      return result;
    },
    return(): Promise<IteratorReturnResult<undefined>> {
      return finish();
    },
    [Symbol.asyncIterator](): AsyncIterableIterator<T> {
      return this;
    },
  };
}

/** A promise that also rejects, with the signal's reason, when the signal fires. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener("abort", abort));
}
