/**
 * A bucket in the memory of one process.
 *
 * @module
 */
import type { Bucket, BucketWatch, Entry, PutOptions, WatchUpdate } from "./bucket.ts";
import { BucketState } from "./bucket_state.ts";
import { type Clock, systemClock } from "./clock.ts";
import { matchesKey } from "./names.ts";

const TOMBSTONE_TTL_MS = 60_000;
const MICROSECONDS_PER_MS = 1000;

/** The last revision of all buckets that live by a clock: a bucket may be made again within the same millisecond. */
const lastRevisions = new WeakMap<Clock, number>();

/**
 * A bucket in the memory of one process, for tests and applications on a single machine. All that use the object
 * are one cluster.
 *
 * @example Two nodes in one process
 * ```ts
 * import { Coordinator, InMemoryBucket } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const cluster = new InMemoryBucket();
 * await using first = await Coordinator.join(cluster, { name: "a", shardCount: 4 });
 * await using second = await Coordinator.join(cluster, { name: "b", shardCount: 4 });
 * assert.equal(first.shardCount, second.shardCount);
 * ```
 *
 * @category Cluster
 */
export class InMemoryBucket implements Bucket {
  readonly #clock: Clock;
  readonly #state: BucketState;
  readonly #watches = new Set<(entry: Entry) => void>();
  #cancelTimer: (() => void) | undefined;
  #timerAt = Infinity;

  /**
   * Starts empty. Its revisions start at the wall clock in microseconds: above those of an earlier process; and above
   * those of every bucket that was made earlier in this one.
   */
  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
    const time = Math.floor(clock.wall()) * MICROSECONDS_PER_MS;
    this.#state = new BucketState(Math.max(time, lastRevisions.get(clock) ?? 0), TOMBSTONE_TTL_MS);
  }

  /** The entry under a key. */
  get(key: string): Promise<Entry | undefined> {
    this.#expire();
    return Promise.resolve(this.#state.get(key));
  }

  /** Replaces the entry whose revision is `expected`. */
  put(key: string, value: string, options: PutOptions): Promise<number> {
    return Promise.try(() =>
      this.#write(() => this.#state.put(key, value, this.#clock.monotonic(), options))
    );
  }

  /** Replaces the entry whose revision is `expected` by a tombstone. */
  remove(key: string, expected: number): Promise<number> {
    return Promise.try(() => this.#write(() => this.#state.remove(key, expected, this.#clock.monotonic())));
  }

  #write(write: () => Entry): number {
    this.#expire();
    const entry = write();
    lastRevisions.set(this.#clock, Math.max(entry.revision, lastRevisions.get(this.#clock) ?? 0));
    this.#announce(entry);
    this.#arm();
    return entry.revision;
  }

  /** Reports a snapshot at once and then every change. */
  watch(patterns: readonly string[], listener: (update: WatchUpdate) => void): BucketWatch {
    let open = true;
    const matches = (entry: Entry): boolean => patterns.some((pattern) => matchesKey(pattern, entry.key));
    const report = (update: WatchUpdate): void => queueMicrotask(() => open && listener(update));
    const watch = (entry: Entry): void => {
      if (matches(entry)) report({ type: "entry", entry });
    };
    this.#watches.add(watch);
    report({ type: "snapshot", entries: [...this.#state.entries()].filter(matches) });
    return {
      close: () => {
        open = false;
        this.#watches.delete(watch);
      },
    };
  }

  #announce(entry: Entry): void {
    for (const watch of this.#watches) watch(entry);
  }

  #expire(): void {
    for (const entry of this.#state.expire(this.#clock.monotonic())) this.#announce(entry);
  }

  /** Keeps one timer, for the value that expires first; none while nothing can expire. */
  #arm(): void {
    const next = this.#state.nextExpiry();
    if (next === this.#timerAt) return;
    this.#cancelTimer?.();
    this.#timerAt = next;
    this.#cancelTimer = next === Infinity ? undefined : this.#clock.setTimer(() => {
      this.#timerAt = Infinity;
      this.#expire();
      this.#arm();
    }, Math.max(1, Math.ceil(next - this.#clock.monotonic())));
  }
}
