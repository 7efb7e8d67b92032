/**
 * One source of changes, any number of loops over them.
 *
 * @module
 */
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";

/**
 * What ends a loop over changes.
 *
 * @category Cluster
 */
export interface ChangesOptions {
  /**
   * Ends the loop by throwing the signal's reason. The coordinator's own signal ends it normally: it aborts when the
   * coordinator leaves, and then every loop ends.
   */
  readonly signal?: AbortSignal;
}

const OPTIONS: OptionNames<ChangesOptions> = { signal: true };

/** How the changes of one source follow one another. */
export interface ChangeRules<T> {
  /** What a change is about: changes with different keys may be reported in another order. */
  keyOf(change: T): unknown;
  /**
   * What is left to report of the changes of one key that a slow loop has not taken yet. It must be bounded, so that no
   * loop can fall behind without limit.
   */
  merge(pending: readonly T[]): readonly T[];
}

/** What a loop has not taken yet, by key, the oldest key first. */
class Backlog<T> {
  readonly #rules: ChangeRules<T>;
  readonly #pending = new Map<unknown, readonly T[]>();

  constructor(rules: ChangeRules<T>) {
    this.#rules = rules;
  }

  add(change: T): void {
    const key = this.#rules.keyOf(change);
    const merged = this.#rules.merge([...this.#pending.get(key) ?? [], change]);
    if (merged.length === 0) this.#pending.delete(key);
    else this.#pending.set(key, merged);
  }

  take(): { readonly change: T } | undefined {
    for (const [key, [change, ...rest]] of this.#pending) {
      this.#pending.delete(key);
      if (rest.length > 0) this.#pending.set(key, rest);
      return { change: change as T };
    }
    return undefined;
  }
}

interface Reader<T> {
  readonly backlog: Backlog<T>;
  wake: () => void;
}

/** Hands every change to every loop that runs. */
export class Broadcast<T> {
  readonly #rules: ChangeRules<T>;
  readonly #readers = new Set<Reader<T>>();
  #closed: { readonly error: unknown } | undefined;

  constructor(rules: ChangeRules<T>) {
    this.#rules = rules;
  }

  /** How many loops run. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Hands a change to every loop. */
  send(change: T): void {
    for (const reader of this.#readers) {
      reader.backlog.add(change);
      reader.wake();
    }
  }

  /** Ends every loop once it has had what was sent: normally, or with an error. */
  close(error?: unknown): void {
    this.#closed ??= { error };
    for (const reader of this.#readers) reader.wake();
  }

  /**
   * A loop over how things are when it begins, and every later change. Nothing is kept for a loop that has not begun.
   *
   * @param first Reports how things are.
   */
  changes(first: () => Iterable<T>, options?: ChangesOptions): AsyncIterable<T> {
    const signal = readOptions(options, (given) => {
      checkKnown(given, OPTIONS);
      return checkSignal(given.signal);
    });
    return { [Symbol.asyncIterator]: () => this.#read(first, signal) };
  }

  async *#read(first: () => Iterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
    const reader: Reader<T> = { backlog: new Backlog(this.#rules), wake: () => {} };
    const wake = (): void => reader.wake();
    for (const change of first()) reader.backlog.add(change);
    this.#readers.add(reader);
    signal?.addEventListener("abort", wake);
    try {
      for (;;) {
        if (signal?.aborted && this.#closed === undefined) throw signal.reason;
        const next = reader.backlog.take();
        if (next !== undefined) yield next.change;
        else if (this.#closed !== undefined) {
          if (this.#closed.error !== undefined) throw this.#closed.error;
          return;
        } else {
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
