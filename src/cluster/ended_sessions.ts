/**
 * Which sessions of nodes are over: what a leader proves before it gives their shards to others.
 *
 * @module
 */
import { type Bucket, BucketView, type Entry, type WatchUpdate } from "./bucket.ts";
import type { Clock } from "./clock.ts";
import { RevisionConflictError } from "./errors.ts";
import { isUnreadableLease, readLease, type UnreadableLeases } from "./lease_record.ts";
import { decodeNode } from "./node_record.ts";
import { aliveKey, provesOver } from "./registration.ts";
import type { Session } from "./shard_map.ts";

/** What it works with. */
export interface EndedSessionsOptions {
  /** The cluster's bucket. */
  readonly bucket: Bucket;
  /** Time. */
  readonly clock: Clock;
  /** The time to live of the nodes' leases, in ms. */
  readonly ttl: number;
  /** Outlives a leadership: since when unreadable records have been in place. */
  readonly unreadable: UnreadableLeases;
  /** Called with the key of each record that cannot be read. */
  onUnreadable(key: string): void;
}

/** The leases that nodes live under, as one leader sees them. */
export class EndedSessions {
  readonly #options: EndedSessionsOptions;
  readonly #alive = new BucketView();

  constructor(options: EndedSessionsOptions) {
    this.#options = options;
  }

  /** Takes a report of the watch over `alive.>`, and returns whether it is more than the renewal of a lease. */
  take(update: WatchUpdate): boolean {
    const isNews = this.#isNews(update);
    this.#alive.apply(update);
    return isNews;
  }

  #isNews(update: WatchUpdate): boolean {
    if (update.type !== "entry") return true;
    const known = readLease(this.#alive.get(update.entry.key));
    return known === undefined || known.token !== readLease(update.entry)?.token;
  }

  /** Whether it is proved that a session is over. */
  isOver({ name, session }: Session): boolean {
    return provesOver(this.#alive.get(aliveKey(name)), session);
  }

  /**
   * Stores a tombstone in place of each lease of which nothing is left, or only a tombstone older than the session, or a
   * record that could not be read for a whole time to live. That it can be stored proves that the session is over.
   */
  async bury(sessions: readonly (Session | undefined)[]): Promise<void> {
    const { bucket } = this.#options;
    const alive = this.#alive;
    if (!alive.synced) return;
    const latest = new Map<string, number>();
    for (const owner of sessions) {
      if (owner) latest.set(owner.name, Math.max(owner.session, latest.get(owner.name) ?? 0));
    }
    for (const [name, session] of latest) {
      const key = aliveKey(name);
      const known = alive.get(key);
      if (provesOver(known, session) || this.#mayLive(known)) continue;
      let entry: Entry | undefined;
      try {
        const revision = await bucket.remove(key, known?.revision ?? 0);
        entry = { key, revision, value: undefined };
      } catch (error) {
        if (!(error instanceof RevisionConflictError)) throw error;
        entry = await bucket.get(key);
      }
      if (entry !== undefined) alive.apply({ type: "entry", entry });
    }
  }

  #mayLive(alive: Entry | undefined): boolean {
    if (alive?.value === undefined) return false;
    if (!isUnreadableLease(alive)) return true;
    const { clock, ttl, unreadable, onUnreadable } = this.#options;
    onUnreadable(alive.key);
    return !unreadable.isOver(alive, clock.monotonic(), ttl);
  }

  /** Removes the records of nodes that are over, so that every node sees them leave. */
  async forget(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) {
      const node = decodeNode(entry);
      if (node === undefined || !this.isOver(node)) continue;
      try {
        await this.#options.bucket.remove(entry.key, entry.revision);
      } catch (error) {
        if (!(error instanceof RevisionConflictError)) throw error;
      }
    }
  }
}
