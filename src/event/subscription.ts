/**
 * What a subscription is, to a store's log and to a bus alike.
 *
 * @module
 */

/**
 * Events as they come. It is iterated once; `close()`, disposal and a `break` end it.
 *
 * @typeParam T What it delivers.
 *
 * @category Stores
 */
export interface Subscription<T> extends AsyncIterable<T>, AsyncDisposable {
  /** Resolves when nothing that is stored from then on can be missed; rejects where the subscription cannot begin. */
  readonly ready: Promise<void>;
  /** The place behind the last event that was delivered or that the filter left out; resume with `after`. */
  readonly position: string | undefined;
  /** Ends the loop normally. */
  close(): Promise<void>;
}
