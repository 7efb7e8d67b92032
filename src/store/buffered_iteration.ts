/**
 * One event at a time out of batches.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { AetherError } from "../errors.ts";
import { registerClass } from "../copies.ts";

/** Where an iterator keeps what hands out its items without a promise. */
const BUFFERED: unique symbol = Symbol.for("@flowmade-one/aether/available-items/1");

/** An iterator whose next items may be available without waiting. */
interface BufferedIterator<T> {
  readonly [BUFFERED]?: () => T | undefined;
}

/**
 * Hands out the next item of an iterator if it is available, and `undefined` if it must be waited for with
 * `next()`: a promise an item costs more than handling it. An iterator that is not ours never has any available.
 */
export function takeBuffered<T>(iterator: AsyncIterator<T>): () => T | undefined {
  return (iterator as BufferedIterator<T>)[BUFFERED] ?? ((): undefined => undefined);
}

/** Gives an iterator what {@linkcode takeBuffered} finds. */
export function withBuffered<I extends AsyncIterator<unknown>, T>(
  iterator: I,
  take: () => T | undefined,
): I {
  return Object.defineProperty(iterator, BUFFERED, { value: take });
}

/** Carries what a caller's callback has thrown through a backend that gives its own errors a type. */
class CallbackError extends AetherError {
  static {
    registerClass(this, "CallbackError");
  }
}

/** A callback whose own failure ends the iteration as it is. */
export function passing<T>(callback: ((value: T) => void) | undefined): ((value: T) => void) | undefined {
  return callback && ((value) => {
    try {
      callback(value);
    } catch (cause) {
      throw new CallbackError("A callback has thrown.", { cause });
    }
  });
}

/** Turns an item that was read into what can be handed out: one item, or a list of them. */
export type Restore<T> = (item: T) => Restored<T> | Promise<Restored<T>>;

type Restored<T> = T | readonly T[];

/** What {@linkcode flatten} takes. */
export interface FlattenOptions<T> {
  /** The most items to take: those of which nothing is handed out do not count. @default {all} */
  readonly limit?: number | undefined;
  /** Ends the iteration with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Asked with each batch for what is to be done to its items, each when it is handed out and not before: an item that
   * no reader takes may be beyond it.
   */
  readonly restore?: () => Restore<T> | undefined;
}

/**
 * Hands out the items of batches one by one. Written by hand, because an async generator costs as much an item as
 * reading and decoding an event does.
 *
 * @param batches Where the batches come from; it is called when the iteration ends early.
 */
export function flatten<T>(
  batches: AsyncIterable<readonly T[]>,
  options: FlattenOptions<T> = {},
): AsyncIterableIterator<T> {
  const { limit = Infinity, signal, restore } = options;
  let source: AsyncIterator<readonly T[]> | undefined;
  let batch: readonly T[] = [];
  let next = 0;
  let left = limit;
  let isEnded = false;
  let restoring: Restore<T> | undefined;
  /** What the last item was turned into, as far as it is not handed out. */
  let rest: readonly T[] = [];

  const finish = async (): Promise<IteratorReturnResult<undefined>> => {
    isEnded = true;
    batch = rest = [];
    await source?.return?.();
    return { done: true, value: undefined };
  };

  const take = (): T => {
    left--;
    return batch[next++]!;
  };

  /** Whether an item is ready. */
  const load = async (): Promise<boolean> => {
    while (next >= batch.length) {
      source ??= batches[Symbol.asyncIterator]();
      const result = await abortable(source.next(), signal);
      if (result.done) return false;
      batch = result.value;
      next = 0;
      restoring = restore?.();
      signal?.throwIfAborted();
    }
    return true;
  };

  const advance = async (): Promise<IteratorResult<T, undefined>> => {
    if (isEnded) return { done: true, value: undefined };
    try {
      signal?.throwIfAborted();
      while (rest.length === 0) {
        if (isEnded || left === 0 || !await load()) return await finish();
        const item = take();
        const value = restoring ? await restoring(item) : item;
        if (!isList(value)) return { done: false, value };
        if (value.length === 0) left++;
        if (!isEnded) rest = value;
      }
      const [value, ...others] = rest;
      rest = others;
      return { done: false, value: value! };
    } catch (error) {
      const finished = finish();
      // An iteration that was aborted does not wait for what it was waiting for.
      if (signal?.aborted) finished.catch(() => {});
      else await finished;
      throw error instanceof CallbackError ? error.cause : error;
    }
  };

  let advancing: Promise<unknown> | undefined;
  const isBuffered = (): boolean => next < batch.length && left > 0 && !restoring && !signal?.aborted;
  const iterator: AsyncIterableIterator<T> = {
    next(): Promise<IteratorResult<T, undefined>> {
      // Calls that are not awaited one by one take their turns, as they would with a generator.
      if (advancing) return advancing.then(() => this.next(), () => this.next());
      if (isBuffered()) return Promise.resolve({ done: false, value: take() });
      const result = advance();
      const settled = (): void => void (advancing = undefined);
      advancing = result.then(settled, settled);
      return result;
    },
    return(): Promise<IteratorReturnResult<undefined>> {
      return finish();
    },
    [Symbol.asyncIterator](): AsyncIterableIterator<T> {
      return this;
    },
  };
  return withBuffered(iterator, () => !advancing && isBuffered() ? take() : undefined);
}

function isList<T>(value: Restored<T>): value is readonly T[] {
  return Array.isArray(value);
}
