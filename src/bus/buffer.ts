/**
 * A first-in, first-out buffer with a bound.
 *
 * @module
 */

/** Slots that it begins with. */
const FIRST_SIZE = 16;

/** A ring that grows, up to its bound. */
export class RingBuffer<T> {
  readonly #bound: number;
  #slots: (T | undefined)[] = new Array(FIRST_SIZE);
  #first = 0;
  #length = 0;

  /** @param bound The most that it holds. */
  constructor(bound: number) {
    this.#bound = bound;
  }

  /** How many it holds. */
  get length(): number {
    return this.#length;
  }

  /** Whether it holds no more. */
  get isFull(): boolean {
    return this.#length >= this.#bound;
  }

  /** Adds one behind the others; it must not be full. */
  push(item: T): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#first + this.#length++) & (this.#slots.length - 1)] = item;
  }

  /** Removes and returns the first item; `undefined` if the buffer is empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#first];
    this.#slots[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#slots.length - 1);
    this.#length--;
    return item;
  }

  /** Removes every item. */
  clear(): void {
    this.#slots = new Array(FIRST_SIZE);
    this.#first = 0;
    this.#length = 0;
  }

  /** Doubles: the number of slots stays a power of two, for the arithmetic above. */
  #grow(): void {
    const { length } = this.#slots;
    const slots: (T | undefined)[] = new Array(length * 2);
    for (let index = 0; index < length; index++) {
      slots[index] = this.#slots[(this.#first + index) & (length - 1)];
    }
    this.#slots = slots;
    this.#first = 0;
  }
}
