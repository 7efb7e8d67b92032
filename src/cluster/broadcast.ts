/**
 * One source of changes, any number of loops over them.
 *
 * @module
 */

/** What ends a loop over changes. */
export interface ChangesOptions {
  /** Ends the loop by throwing the signal's reason. */
  readonly signal?: AbortSignal;
}

interface Reader<T> {
  readonly queue: T[];
  wake: () => void;
}

/** Hands every change to every loop that runs. */
export class Broadcast<T> {
  readonly #readers = new Set<Reader<T>>();
  #closed = false;

  /** Hands a change to every loop. */
  send(change: T): void {
    for (const reader of this.#readers) {
      reader.queue.push(change);
      reader.wake();
    }
  }

  /** Ends every loop once it has had what was sent. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#readers) reader.wake();
  }

  /** A loop over `first`, taken now, and every later change. Nothing that is sent after this call is missed. */
  changes(first: readonly T[], { signal }: ChangesOptions = {}): AsyncIterable<T> {
    const reader: Reader<T> = { queue: [...first], wake: () => {} };
    this.#readers.add(reader);
    return { [Symbol.asyncIterator]: () => this.#read(reader, signal) };
  }

  async *#read(reader: Reader<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
    const wake = (): void => reader.wake();
    signal?.addEventListener("abort", wake);
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (reader.queue.length > 0) yield reader.queue.shift() as T;
        else if (this.#closed) return;
        else {
          const { promise, resolve } = Promise.withResolvers<void>();
          reader.wake = resolve;
          await promise;
        }
      }
    } finally {
      signal?.removeEventListener("abort", wake);
      this.#readers.delete(reader);
    }
  }
}
