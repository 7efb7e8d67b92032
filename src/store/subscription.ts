/**
 * Subscriptions to a store's global log.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { LogBatch, LogFollow } from "./backend.ts";
import { flatten, type Restore, takeBuffered, withBuffered } from "./buffered_iteration.ts";
import type { LogSubscription } from "./types.ts";

/** What a subscription needs. */
export interface FollowingSubscriptionOptions<T> {
  /** Begins to follow the log. */
  readonly follow: (controls: Pick<LogFollow, "onReady" | "signal">) => AsyncIterable<LogBatch>;
  /** Chooses what is delivered. */
  readonly select: (batch: LogBatch) => readonly T[];
  /** What brings items to the form in which they are delivered. */
  readonly restore: () => Restore<T> | undefined;
  /** The place behind a delivered item; `undefined` if further items are of the same place. */
  readonly positionOf: (item: T) => string | undefined;
  /** The position that it begins behind, if it begins behind one. */
  readonly position: string | undefined;
  /** The user's signal: the loop throws its reason. */
  readonly signal: AbortSignal | undefined;
  /** The log's last position. */
  readonly getLastPosition: () => Promise<string | undefined>;
  /** Called once when it has ended. */
  readonly onEnd: (subscription: FollowingSubscription<T>) => void;
}

/** A subscription that follows the global log. The first batch is read ahead, the others as they are asked for. */
export class FollowingSubscription<T> implements LogSubscription<T> {
  readonly ready: Promise<void>;
  readonly #options: FollowingSubscriptionOptions<T>;
  readonly #ending = new AbortController();
  readonly #batches: AsyncIterator<LogBatch>;
  #first: Promise<IteratorResult<LogBatch, unknown>> | undefined;
  #position: string | undefined;
  /** Callers that wait until it has come to a position. */
  readonly #waiting = new Map<PromiseWithResolvers<boolean>, string>();
  /** Whether the loop waits for an event, or has not begun. */
  #isIdle = true;
  #iterated = false;
  #ended = false;

  /** Begins at once. */
  constructor(options: FollowingSubscriptionOptions<T>) {
    this.#options = options;
    this.#position = options.position;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    promise.catch(() => {}); // the loop throws the same error; a caller that does not ask for `ready` must not be punished
    const onReady = (position: string | undefined): void => {
      this.#position ??= position;
      resolve();
    };
    options.signal?.addEventListener("abort", this.#abort, { once: true });
    if (options.signal?.aborted) this.#abort();
    this.#batches = options.follow({ onReady, signal: this.#ending.signal })[Symbol.asyncIterator]();
    this.#first = this.#batches.next();
    this.#first.then(({ done }) => {
      if (done && options.signal?.aborted) reject(options.signal.reason);
      else if (done) resolve();
    }, (error) => {
      if (!this.#ending.signal.aborted) reject(error);
      else if (options.signal?.aborted) reject(options.signal.reason);
      else resolve();
    });
  }

  /** The place behind the last event that was delivered or left out. */
  get position(): string | undefined {
    return this.#position;
  }

  /** Waits until the loop has done with what is in the log now. */
  async caughtUp(): Promise<boolean> {
    const end = await this.#options.getLastPosition();
    if (end === undefined) return true;
    if (this.#ended) return false;
    const waiting = Promise.withResolvers<boolean>();
    this.#waiting.set(waiting, end);
    // Without an event in hand it may be there already, and no event may come to say so.
    if (this.#isIdle) this.#noteProgress();
    return await waiting.promise;
  }

  /** The loop has done with everything up to the position. */
  #noteProgress(): void {
    const position = this.#position;
    if (this.#waiting.size === 0 || position === undefined) return;
    this.#settle((end) => position >= end, true);
  }

  #settle(concerns: (end: string) => boolean, result: boolean): void {
    for (const [waiting, end] of this.#waiting) {
      if (!concerns(end)) continue;
      this.#waiting.delete(waiting);
      waiting.resolve(result);
    }
  }

  /** A failure to read on once it was ended is its end. */
  readonly #endedNormally = (error: unknown): IteratorReturnResult<undefined> => {
    if (!this.#ending.signal.aborted) throw error;
    return { done: true, value: undefined };
  };

  readonly #abort = (): void => this.#ending.abort();

  /** Ends the loop normally. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#settle(() => true, false);
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#ending.abort();
    this.#options.onEnd(this);
    await this.#first?.catch(() => {});
    await this.#batches.return?.().catch(() => {}); // what ends it is not reported again
  }

  /** The one iteration over what it delivers. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    if (this.#iterated) {
      throw new InvalidArgumentError("subscription", "is iterated already: subscribe once for each loop");
    }
    this.#iterated = true;
    const { signal, restore } = this.#options;
    const items = flatten(this.#deliver(), { signal, restore });
    const take = takeBuffered(items);
    const iterator: AsyncIterator<T> = {
      next: async (): Promise<IteratorResult<T, undefined>> => {
        if (this.#ended) return { done: true, value: undefined };
        this.#isIdle = true;
        this.#noteProgress();
        const result = await this.#next(items);
        this.#isIdle = false;
        if (result.done) await this.close();
        else this.#position = this.#options.positionOf(result.value) ?? this.#position;
        return result;
      },
      return: async (): Promise<IteratorReturnResult<undefined>> => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
    return withBuffered(iterator, () => {
      this.#noteProgress();
      const item = this.#ended ? undefined : take();
      if (item !== undefined) this.#position = this.#options.positionOf(item) ?? this.#position;
      return item;
    });
  }

  /** The next item; a failure ends the subscription. */
  async #next(items: AsyncIterator<T>): Promise<IteratorResult<T, undefined>> {
    try {
      return await items.next();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async *#deliver(): AsyncIterable<readonly T[]> {
    try {
      for (;;) {
        const result = await (this.#first ?? this.#batches.next()).catch(this.#endedNormally);
        this.#first = undefined;
        if (result.done) return;
        const items = this.#options.select(result.value);
        if (items.length > 0) yield items;
        if (this.#ended) continue;
        this.#position = result.value.position;
        this.#noteProgress();
      }
    } finally {
      this.#first = undefined;
    }
  }
}
