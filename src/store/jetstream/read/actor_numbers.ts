/**
 * Numbers for the actors of one read, in typed arrays: a `Map` by their ids takes 105 to 140 bytes an actor (measured).
 *
 * @module
 */

import { Hash } from "../write/actor_table.ts";

/** How many actors there is space for at first; a power of two. */
const FIRST_CAPACITY = 64;

/**
 * Gives each actor a number, from 0 on. It remembers 64 bits of hashes of an id: two of ten million ids are taken for one
 * once in 300,000 reads, and not by choice, since the hashes are of this object alone.
 */
export class ActorNumbers {
  readonly #one = new Hash();
  readonly #other = new Hash();
  /** The hashes of an actor, at its number. */
  #ones = new Int32Array(FIRST_CAPACITY);
  #others = new Int32Array(FIRST_CAPACITY);
  /** Open addressing: an actor's number plus 1 is in the first slot from its hash on that was free; 0 in a free slot. */
  #slots = new Int32Array(FIRST_CAPACITY * 2);
  #size = 0;

  /** How many actors have a number. */
  get size(): number {
    return this.#size;
  }

  /** How many numbers there is space for: columns of an array may have this length. */
  get capacity(): number {
    return this.#ones.length;
  }

  /** The number of an actor; -1 if it has none. */
  find(actorId: string): number {
    return this.#slots[this.#slotOf(this.#one.of(actorId), this.#other.of(actorId))]! - 1;
  }

  /** The number of an actor, which is given one if it has none: then `size` grows. */
  add(actorId: string): number {
    const one = this.#one.of(actorId);
    const other = this.#other.of(actorId);
    let slot = this.#slotOf(one, other);
    const known = this.#slots[slot]!;
    if (known !== 0) return known - 1;
    if (this.#size === this.capacity) {
      this.#grow();
      slot = this.#slotOf(one, other);
    }
    this.#ones[this.#size] = one;
    this.#others[this.#size] = other;
    this.#slots[slot] = ++this.#size;
    return this.#size - 1;
  }

  /** The slot of an actor, or the free one where it would be. */
  #slotOf(one: number, other: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = one & mask;; slot = slot + 1 & mask) {
      const index = this.#slots[slot]! - 1;
      if (index < 0 || (this.#ones[index] === one && this.#others[index] === other)) return slot;
    }
  }

  #grow(): void {
    this.#ones = grown(this.#ones, this.#size * 2);
    this.#others = grown(this.#others, this.#size * 2);
    this.#slots = new Int32Array(this.#slots.length * 2);
    for (let index = 0; index < this.#size; index++) {
      this.#slots[this.#slotOf(this.#ones[index]!, this.#others[index]!)] = index + 1;
    }
  }
}

/** A typed array of another length with the same beginning. */
export function grown<T extends Int32Array | Uint32Array | Uint8Array | Float64Array>(
  array: T,
  length: number,
): T {
  const longer = new (array.constructor as new (length: number) => T)(length);
  longer.set(array);
  return longer;
}
