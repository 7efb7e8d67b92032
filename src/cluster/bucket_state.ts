/**
 * What every bucket does, as a state machine without time or network of its own. The bucket in memory is this and a
 * timer; the simulator's server is this behind a bad network.
 *
 * @module
 */
import type { Entry, PutOptions } from "./bucket.ts";
import { RevisionConflictError } from "./errors.ts";

interface Stored {
  readonly entry: Entry;
  /** When it is due to expire, on the clock that writes are stamped with. */
  readonly expires: number;
}

/** Entries by key, with revisions and expiry. */
export class BucketState {
  readonly #stored = new Map<string, Stored>();
  readonly #tombstoneTtl: number;
  #revision: number;

  /** Starts empty; the first write gets `floor + 1` as its revision. */
  constructor(floor: number, tombstoneTtl: number) {
    this.#revision = floor;
    this.#tombstoneTtl = tombstoneTtl;
  }

  /** The entry under a key, expired or not. */
  get(key: string): Entry | undefined {
    return this.#stored.get(key)?.entry;
  }

  /** Every entry. */
  *entries(): Generator<Entry> {
    for (const { entry } of this.#stored.values()) yield entry;
  }

  /** Stores a value under compare-and-set. */
  put(key: string, value: string, time: number, { expected, ttl }: PutOptions): Entry {
    return this.#write(key, value, expected, ttl === undefined ? Infinity : time + ttl);
  }

  /** Stores a tombstone under compare-and-set. */
  remove(key: string, expected: number, time: number): Entry {
    return this.#write(key, undefined, expected, time + this.#tombstoneTtl);
  }

  #write(key: string, value: string | undefined, expected: number, expires: number): Entry {
    if ((this.get(key)?.revision ?? 0) !== expected) throw new RevisionConflictError(key, expected);
    const entry: Entry = Object.freeze({ key, value, revision: ++this.#revision });
    this.#stored.set(key, { entry, expires });
    return entry;
  }

  /** Turns values that are due into tombstones, forgets tombstones that are due, and names the new tombstones. */
  expire(time: number): Entry[] {
    const expired: Entry[] = [];
    for (const [key, { entry, expires }] of [...this.#stored]) {
      if (expires > time) continue;
      if (entry.value === undefined) this.#stored.delete(key);
      else expired.push(this.remove(key, entry.revision, time));
    }
    return expired;
  }

  /** When the next value (not tombstone) is due. */
  nextExpiry(): number {
    let next = Infinity;
    for (const { entry, expires } of this.#stored.values()) {
      if (entry.value !== undefined && expires < next) next = expires;
    }
    return next;
  }
}
