/**
 * The leader: elected by a lease, it stamps the shard map with its token before it decides anything, and then keeps the
 * map as the nodes that live require.
 *
 * @module
 */
import { allocate } from "./allocate.ts";
import type { ChangeRules } from "./broadcast.ts";
import type { Bucket, BucketView } from "./bucket.ts";
import { Claim } from "./claim.ts";
import { type Clock, RetryDelay, Wakeup } from "./clock.ts";
import { EndedSessions } from "./ended_sessions.ts";
import { RevisionConflictError } from "./errors.ts";
import type { HeldLease } from "./held_lease.ts";
import { type LeaseTerms, readLease, UnreadableLeases } from "./lease_record.ts";
import { decodeNode } from "./node_record.ts";
import { decodeShardMap, encodeShardMap, MAP_KEY, type ShardMap } from "./shard_map.ts";

/**
 * The holder of the leader's lease.
 *
 * @category Cluster
 */
export interface Leader {
  /** The name of the node. */
  readonly name: string;
  /** The fencing token of the leader's lease. */
  readonly fencingToken: number;
}

/**
 * The leadership went to another node, or was given up.
 *
 * @category Cluster
 */
export interface LeaderChange {
  /** The leader now, if there is one. */
  readonly leader: Leader | undefined;
  /** Whether this node leads. */
  readonly isLeader: boolean;
}

/** A loop that is behind needs to hear the latest only. */
export const leaderChangeRules: ChangeRules<LeaderChange> = {
  keyOf: () => LEADER_KEY,
  merge: (pending) => pending.slice(-1),
};

/** The key of the leader's lease. */
export const LEADER_KEY = "leader";

/** What the leadership of a node works with. */
export interface LeadershipOptions {
  /** The cluster's bucket. */
  readonly bucket: Bucket;
  /** Time. */
  readonly clock: Clock;
  /** The node's name. */
  readonly name: string;
  /** The number of shards. */
  readonly shardCount: number;
  /** The node's view of `leader`, `map` and `node.>`. */
  readonly view: BucketView;
  /** The terms of the next lease to campaign for. */
  terms(): LeaseTerms;
  /** Called when `isLeader` has changed. */
  onChange(): void;
  /** Whether this node is a member of the cluster now: no other may lead it. */
  isMember(): boolean;
  /** Called with each error that keeps the map from being stored. */
  onFailure(error: unknown): void;
  /** Called with the key of each record that cannot be read. */
  onUnreadable(key: string): void;
}

/** The latest version of the map that the leader knows. */
interface Version {
  readonly map: ShardMap;
  readonly revision: number;
}

/** Campaigns for the leadership, and leads. */
export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #wakeup: Wakeup;
  /** Reset by a version of the map that was stored. */
  readonly #retry = new RetryDelay();
  readonly #unreadable = new UnreadableLeases();
  #lease: HeldLease | undefined;
  #stamped = false;
  #stopped = false;
  #abstainUntil = 0;
  #resignedToken = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#wakeup = new Wakeup(options.clock);
  }

  /** Whether this node leads at this very instant. */
  get isLeader(): boolean {
    return this.#stamped && this.#lease !== undefined && this.#lease.isHeld;
  }

  /** The fencing token of the leadership, while it is this node's. */
  get token(): number | undefined {
    return this.isLeader ? this.#lease?.fencingToken : undefined;
  }

  /** Starts to campaign. */
  start(): void {
    this.#running = this.#run();
  }

  /** Something in the view has changed. */
  notify(): void {
    this.#wakeup.notify();
  }

  /** Gives the leadership up, and lets others campaign first. */
  async resign(): Promise<void> {
    if (this.#lease === undefined) return;
    this.#abstainUntil = this.#options.clock.monotonic() + this.#options.terms().ttl;
    this.#resignedToken = this.#lease.fencingToken;
    await this.#lease.release();
  }

  /** Gives the leadership up and stops campaigning. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wakeup.notify();
    await this.#lease?.release();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#lease = await this.#campaign();
      if (this.#lease === undefined) return;
      // A member has agreed with the others on the number of shards, in the bucket that granted its lease.
      if (!this.#stopped && this.#options.isMember()) await this.#lead(this.#lease);
      this.#stamped = false;
      await this.#lease.release();
      this.#lease = undefined;
      this.#options.onChange();
    }
  }

  /** Tries whenever no node leads as far as the view shows, and otherwise twice in a time to live. */
  async #campaign(): Promise<HeldLease | undefined> {
    const { clock, bucket, view } = this.#options;
    const terms = this.#options.terms();
    const claim = new Claim(bucket, clock, terms);
    const retry = new RetryDelay();
    let wait = 0;
    let nextTry = -Infinity;
    for (; !this.#stopped; await this.#wakeup.sleep(wait)) {
      const known = view.get(LEADER_KEY);
      if ((readLease(known)?.token ?? 0) > this.#resignedToken) this.#abstainUntil = 0; // Another node has led since.
      wait = this.#abstainUntil - clock.monotonic();
      if (wait > 0) continue;
      wait = claim.untilOldEnough || terms.ttl / 2;
      if (!this.#options.isMember()) continue;
      const untilTry = nextTry - clock.monotonic();
      if (known?.value !== undefined && untilTry > 0) {
        wait = untilTry;
        continue;
      }
      nextTry = clock.monotonic() + terms.ttl / 2;
      try {
        const lease = await claim.try(known?.value === undefined ? known : undefined);
        if (lease !== undefined) return lease;
        retry.reset();
      } catch {
        wait = retry.next(); // Not reachable, or no permission: the node's own lease reports it.
      }
    }
    return undefined;
  }

  async #lead(lease: HeldLease): Promise<void> {
    const { bucket, clock, onUnreadable } = this.#options;
    const { ttl } = this.#options.terms();
    const ended = new EndedSessions({ bucket, clock, ttl, unreadable: this.#unreadable, onUnreadable });
    const wake = (): void => this.#wakeup.notify();
    lease.signal.addEventListener("abort", wake);
    const watch = bucket.watch(["alive.>"], (update) => {
      if (ended.take(update)) wake();
    });
    try {
      for (let version = await this.#stamp(lease); version !== undefined && lease.isHeld && !this.#stopped;) {
        if (!this.#stamped) {
          this.#stamped = true;
          this.#options.onChange();
        }
        version = await this.#tend(lease, version, ended);
      }
    } finally {
      watch.close();
      lease.signal.removeEventListener("abort", wake);
    }
  }

  /**
   * Puts this leader's token on the map, unless the map has it already. From then on nothing that an earlier leader decided can be stored.
   * `undefined`: this leader is deposed.
   */
  async #stamp(lease: HeldLease, atLeast = 0): Promise<Version | undefined> {
    const { bucket, name, shardCount } = this.#options;
    while (lease.isHeld && !this.#stopped) {
      try {
        const entry = await bucket.get(MAP_KEY);
        const read = decodeShardMap(entry);
        const found = read?.assignments.length === shardCount ? read : undefined;
        if (entry !== undefined && found !== undefined) {
          if (found.leaderToken > lease.fencingToken) return undefined;
          if (found.leaderToken === lease.fencingToken && entry.revision >= atLeast) {
            return { map: found, revision: entry.revision };
          }
        }
        const map: ShardMap = {
          leader: name,
          leaderToken: lease.fencingToken,
          genesis: found?.genesis,
          assignments: found?.assignments ?? new Array<undefined>(shardCount).fill(undefined),
        };
        const revision = await this.#store(lease, map, entry?.revision ?? 0);
        if (revision !== undefined) return { map, revision };
      } catch (error) {
        await this.#recover(error); // Not reachable: the lease ends by itself if that lasts.
      }
    }
    return undefined;
  }

  /** Stores a version over the one it was made from; `undefined` if that is no longer the latest. */
  async #store(lease: HeldLease, map: ShardMap, over: number): Promise<number | undefined> {
    if (!lease.isHeld) return undefined;
    try {
      const revision = await this.#options.bucket.put(MAP_KEY, encodeShardMap(map), { expected: over });
      this.#retry.reset();
      return revision;
    } catch (error) {
      if (error instanceof RevisionConflictError) return undefined;
      throw error;
    }
  }

  /** Does what there is to do, or sleeps; answers with the latest version of the map, or `undefined` if deposed. */
  async #tend(lease: HeldLease, version: Version, ended: EndedSessions): Promise<Version | undefined> {
    const { view } = this.#options;
    const latest = view.get(MAP_KEY);
    if (latest !== undefined && latest.revision > version.revision) {
      return await this.#stamp(lease, latest.revision);
    }
    const leftOut = [...view.leftOut("node.>")];
    const entries = [...view.matching("node.>"), ...leftOut];
    const nodes = entries.map((entry) => decodeNode(entry)).filter((node) => node !== undefined);
    try {
      await ended.bury([...nodes, ...version.map.assignments.map((assignment) => assignment?.owner)]);
      const seen = latest?.revision ?? 0;
      const next = allocate({ ...version, seen, nodes, isOver: (session) => ended.isOver(session) });
      if (next !== undefined) {
        const revision = await this.#store(lease, next, version.revision);
        return revision === undefined ? await this.#stamp(lease) : { map: next, revision };
      }
      await ended.forget(entries);
      for (const entry of leftOut) {
        const node = decodeNode(entry);
        if (node === undefined || ended.isOver(node)) view.forgetLeftOut(entry.key);
      }
    } catch (error) {
      await this.#recover(error); // The outcome is not known: read what is stored.
      return await this.#stamp(lease, version.revision);
    }
    await this.#wakeup.sleep(this.#options.terms().ttl);
    return version;
  }

  /** Waits after a failure: no news may shorten the wait. */
  async #recover(error: unknown): Promise<void> {
    this.#options.onFailure(error);
    const { clock } = this.#options;
    const until = clock.monotonic() + this.#retry.next();
    while (!this.#stopped && this.#lease?.isHeld) {
      const left = until - clock.monotonic();
      if (left <= 0) return;
      await this.#wakeup.sleep(left);
    }
  }
}
