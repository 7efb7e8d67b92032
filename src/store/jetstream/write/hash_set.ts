/**
 * A set of hashes.
 *
 * @module
 */

/** The initial number of slots; a power of two. */
const FIRST_SLOTS = 64;
/** A free slot; the hash of that value is stored as the next one. */
const FREE = 0;

/** A set of 32-bit hashes, in 8 to 16 bytes each. */
export class HashSet {
  #slots = new Int32Array(FIRST_SLOTS);
  #size = 0;

  /** The number of hashes. */
  get size(): number {
    return this.#size;
  }

  /** Whether a hash was added. */
  has(hash: number): boolean {
    return this.#slots[this.#place(stored(hash))] !== FREE;
  }

  /** Adds a hash. */
  add(hash: number): void {
    const value = stored(hash);
    const place = this.#place(value);
    if (this.#slots[place] !== FREE) return;
    this.#slots[place] = value;
    if (++this.#size * 2 > this.#slots.length) this.#grow();
  }

  /** Removes all of them. */
  clear(): void {
    this.#slots = new Int32Array(FIRST_SLOTS);
    this.#size = 0;
  }

  /** The slot of a hash, or the free one where it belongs. */
  #place(value: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let place = value & mask;
    while (slots[place] !== FREE && slots[place] !== value) place = place + 1 & mask;
    return place;
  }

  #grow(): void {
    const former = this.#slots;
    this.#slots = new Int32Array(former.length * 2);
    for (const value of former) if (value !== FREE) this.#slots[this.#place(value)] = value;
  }
}

function stored(hash: number): number {
  return hash === FREE ? FREE + 1 : hash;
}
