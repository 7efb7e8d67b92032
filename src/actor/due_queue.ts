/**
 * What is due next, among many things whose times change.
 *
 * @module
 */

/** Something that is due at a time. */
export interface Due {
  /** When. */
  readonly due: number;
  /** Its place in the queue; -1 if it is not in it. */
  place: number;
}

/** A binary heap by time, in which each entry knows its place: it can be moved and removed. */
export class DueQueue<T extends Due> {
  readonly #heap: T[] = [];

  /** How many are in it. */
  get size(): number {
    return this.#heap.length;
  }

  /** What is due first. */
  peek(): T | undefined {
    return this.#heap[0];
  }

  /** Puts something where it belongs, whether it is in the queue or not. */
  update(entry: T): void {
    if (entry.place < 0) entry.place = this.#heap.push(entry) - 1;
    this.#sink(this.#rise(entry.place));
  }

  /** Takes something out, if it is in the queue. */
  delete(entry: T): void {
    const { place } = entry;
    if (place < 0) return;
    entry.place = -1;
    const last = this.#heap.pop()!;
    if (last === entry) return;
    this.#set(place, last);
    this.#sink(this.#rise(place));
  }

  /** All entries that are due at a time at the latest. */
  countUntil(time: number, place = 0): number {
    let count = 0;
    const places = [place];
    for (let next = places.pop(); next !== undefined; next = places.pop()) {
      const entry = this.#heap[next];
      if (!entry || entry.due > time) continue;
      count++;
      places.push(2 * next + 1, 2 * next + 2);
    }
    return count;
  }

  #set(place: number, entry: T): void {
    this.#heap[place] = entry;
    entry.place = place;
  }

  #rise(place: number): number {
    const entry = this.#heap[place]!;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (this.#heap[above]!.due <= entry.due) break;
      this.#set(place, this.#heap[above]!);
      place = above;
    }
    this.#set(place, entry);
    return place;
  }

  #sink(place: number): void {
    const heap = this.#heap;
    const entry = heap[place]!;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && heap[below + 1]!.due < heap[below]!.due) below++;
      if (heap[below]!.due >= entry.due) break;
      this.#set(place, heap[below]!);
      place = below;
    }
    this.#set(place, entry);
  }
}
