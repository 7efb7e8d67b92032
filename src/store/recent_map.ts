/**
 * A map of bounded size that keeps what was used last.
 *
 * @module
 */

/**
 * Keeps at least as many entries as it was asked and at most twice as many. They are put into a generation; when it is
 * full, the generation before is dropped. A map from which the oldest entry is taken for each new one costs several times
 * as much: it fills with holes that have to be skipped.
 */
export class RecentMap<V> {
  readonly #size: number;
  #recent = new Map<string, V>();
  #former = new Map<string, V>();
  #hasForgotten = false;

  /** @param size At least how many entries to keep. */
  constructor(size: number) {
    this.#size = size;
  }

  /** Whether an entry was dropped. */
  get hasForgotten(): boolean {
    return this.#hasForgotten;
  }

  /** The value of a key, which counts as used. */
  get(key: string): V | undefined {
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const former = this.#former.get(key);
    if (former !== undefined) this.set(key, former);
    return former;
  }

  /** Sets the value of a key. */
  set(key: string, value: V): void {
    if (this.#recent.size >= this.#size && !this.#recent.has(key)) {
      this.#hasForgotten ||= this.#former.size > 0;
      this.#former = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, value);
  }

  /** Forgets a key. */
  delete(key: string): void {
    this.#recent.delete(key);
    this.#former.delete(key);
  }
}
