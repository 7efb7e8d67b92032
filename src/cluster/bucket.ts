/**
 * The storage that coordination needs, as small as it can be: compare-and-set on keys, with a time to live, and a watch.
 * A JetStream key-value bucket, Deno KV, a map in memory and the simulator's server are all such buckets.
 *
 * @module
 */
import { matchesKey } from "./names.ts";

/** What a bucket holds under a key. */
export interface Entry {
  /** The key. */
  readonly key: string;
  /**
   * Rises with every write to any key of the bucket, and starts above every revision of an older bucket of the same
   * name: revisions serve as fencing tokens.
   */
  readonly revision: number;
  /** The value; `undefined` for a tombstone: the mark that a removed or expired value leaves behind for a while. */
  readonly value: string | undefined;
}

/** How a value is written. */
export interface PutOptions {
  /** The revision of the entry that is replaced, be it a value or a tombstone; 0 if there must be none. */
  readonly expected: number;
  /** How long the value lives unless it is replaced, in ms. @default {forever} */
  readonly ttl?: number;
  /** How long to wait for the answer at most, in ms. @default {the bucket's own} */
  readonly timeout?: number;
}

/** What a watch reports: all entries that match, tombstones included, or one that changed. */
export type WatchUpdate =
  | {
    /** All that matches: first, and again whenever the watch cannot be sure that it missed nothing. */
    readonly type: "snapshot";
    /** Every entry that matches. A key that is missing here is gone. */
    readonly entries: readonly Entry[];
  }
  | {
    /** One entry was written, removed or expired. */
    readonly type: "entry";
    /** The entry as it is now. */
    readonly entry: Entry;
  }
  | {
    /** Nothing can be reported at the moment. The watch goes on trying, and a snapshot follows once it can. */
    readonly type: "unavailable";
    /** Why. */
    readonly error: unknown;
  };

/** A running watch. */
export interface BucketWatch {
  /** Stops it. No update is reported afterwards. */
  close(): void;
}

/** Which bucket it is. One that was lost and made again under the same name is another one. */
export interface BucketOrigin {
  /** Unique to the bucket. */
  readonly id: string;
  /** The bucket was made before this time on the process's monotonic clock, in ms. */
  readonly madeBefore: number;
  /**
   * Whether it is known that no bucket of its name existed before: nothing was ever granted in another one.
   *
   * @default {false}
   */
  readonly isFirst?: boolean;
}

/**
 * Compare-and-set storage with a time to live. Calls reject with a `BackendError` whose `reason` is `unreachable` if there is no answer, and with
 * `ClosedError` if there never will be one.
 */
export interface Bucket {
  /**
   * Which bucket the next call is for: no call reaches another one. `undefined` for a bucket that cannot be lost while a
   * process that uses it lives.
   */
  readonly origin?: BucketOrigin | undefined;
  /**
   * The entry under a key, tombstones included, as the leader of the storage knows it. One that is stored and cannot be read
   * has an empty value, which is no record, and the revision that a write in its place has to expect.
   */
  get(key: string): Promise<Entry | undefined>;
  /**
   * Replaces the entry whose revision is `expected` and answers with the new revision.
   *
   * @throws {RevisionConflictError} If the entry has another revision.
   */
  put(key: string, value: string, options: PutOptions): Promise<number>;
  /**
   * Replaces the entry whose revision is `expected` by a tombstone and answers with the tombstone's revision. With 0 it
   * proves that there was none.
   *
   * @throws {RevisionConflictError} If the entry has another revision.
   */
  remove(key: string, expected: number): Promise<number>;
  /**
   * Reports a snapshot and then every change of the keys that match a pattern (a key, or `level.>`). It may be late, it may leave
   * out states that were soon replaced, but the last state of a key is reported in the end.
   */
  watch(patterns: readonly string[], listener: (update: WatchUpdate) => void): BucketWatch;
}

/** The latest known entries of a watched part of a bucket. Late and repeated news of a key change nothing. */
export class BucketView {
  readonly #entries = new Map<string, Entry>();
  readonly #leftOut = new Map<string, Entry>();
  #synced = false;

  /** Whether the first snapshot has arrived. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Takes in an update and names the keys that it changed. */
  apply(update: WatchUpdate): string[] {
    if (update.type === "unavailable") return [];
    if (update.type === "entry") return this.#take(update.entry) ? [update.entry.key] : [];
    this.#synced = true;
    const changed = update.entries.filter((entry) => this.#take(entry)).map((entry) => entry.key);
    const present = new Set(update.entries.map((entry) => entry.key));
    for (const [key, entry] of this.#entries) {
      if (present.has(key)) continue;
      this.#entries.delete(key);
      if (entry.value !== undefined) this.#leftOut.set(key, entry);
      changed.push(key);
    }
    return changed;
  }

  #take(entry: Entry): boolean {
    const known = this.#entries.get(entry.key);
    if (known !== undefined && !supersedes(entry, known)) return false;
    this.#entries.set(entry.key, entry);
    this.#leftOut.delete(entry.key);
    return true;
  }

  /** The latest known entry of a key. */
  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** The latest known entries that match a pattern. */
  *matching(pattern: string): Generator<Entry> {
    for (const entry of this.#entries.values()) if (matchesKey(pattern, entry.key)) yield entry;
  }

  /**
   * Values that match a pattern, and that a later snapshot left out although no tombstone of them was reported. They are
   * perhaps still in place: the server that made the snapshot may lag behind.
   */
  *leftOut(pattern: string): Generator<Entry> {
    for (const entry of this.#leftOut.values()) if (matchesKey(pattern, entry.key)) yield entry;
  }

  /** Forgets a value that was left out: it is known to be of no use any more. */
  forgetLeftOut(key: string): void {
    this.#leftOut.delete(key);
  }
}

/** Whether an entry is news. A record that expires without a tombstone of its own keeps its revision. */
function supersedes(entry: Entry, known: Entry): boolean {
  if (entry.revision !== known.revision) return entry.revision > known.revision;
  return entry.value === undefined && known.value !== undefined;
}
