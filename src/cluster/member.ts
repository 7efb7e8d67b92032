/**
 * A node of a cluster over any bucket, which the coordinator makes available to users.
 *
 * @module
 */
import { abortable } from "../abortable.ts";
import { ClosedError, ConfigurationMismatchError } from "../errors.ts";
import { Broadcast } from "./broadcast.ts";
import type { Bucket, BucketWatch, WatchUpdate } from "./bucket.ts";
import { Cleanups } from "./cleanups.ts";
import { type Clock, RetryDelay, sleepOn, systemClock } from "./clock.ts";
import { agreeOnShardCount, CONFIG_KEY, isUnreadableConfig } from "./cluster_config.ts";
import type { CheckedOptions } from "./coordinator_options.ts";
import { isUnanswered, RevisionConflictError } from "./errors.ts";
import type { HeldLease } from "./held_lease.ts";
import { Incarnation } from "./incarnation.ts";
import { KnownCluster } from "./known_cluster.ts";
import { type Leader, LEADER_KEY, type LeaderChange, leaderChangeRules, Leadership } from "./leadership.ts";
import type { LeaseEnvironment } from "./lease.ts";
import type { LeaseTerms } from "./lease_record.ts";
import { MemberWarnings } from "./member_warnings.ts";
import { type Membership, type NodeChange, nodeChangeRules } from "./membership.ts";
import { nodeKey } from "./node_record.ts";
import { type OwnedShard, type ShardChange, shardChangeRules } from "./owned_shards.ts";
import { aliveKey } from "./registration.ts";
import { MAP_KEY, type ShardMap } from "./shard_map.ts";
import { Watching } from "./watching.ts";

/** How long joining waits for servers that elect their leaders, in ms. */
const JOIN_PATIENCE_MS = 15_000;
/** How long joining waits for the watch before it calls the bucket again, in milliseconds. */
const WATCH_PATIENCE_MS = 2_000;
/** How long leaving waits for the bucket at most once its signal has aborted, in milliseconds. */
const FAREWELL_MS = 1_000;

/** A node of a cluster. If it loses its session it joins again, as a new incarnation. */
export class Member {
  readonly options: CheckedOptions;
  readonly #warnings: MemberWarnings;
  readonly nodeChanges = new Broadcast<NodeChange>(nodeChangeRules);
  readonly shardChanges = new Broadcast<ShardChange>(shardChangeRules);
  readonly leaderChanges = new Broadcast<LeaderChange>(leaderChangeRules);
  readonly #bucket: Bucket;
  readonly #clock: Clock;
  readonly #newId: () => string;
  readonly #known: KnownCluster;
  readonly #leadership: Leadership;
  readonly #closed = new AbortController();
  readonly #stopJoining = new AbortController();
  /** Aborts when leaving has to end soon. */
  readonly #hurry = new AbortController();
  readonly #cleanups = new Cleanups();
  readonly #ready = Promise.withResolvers<void>();
  #isReady = false;
  /** Whether the latest word of the watch was that it works; since when it has not. */
  readonly #watching: Watching;
  #watch: BucketWatch | undefined;
  #incarnation: Incarnation | undefined;
  #draining = false;
  #living: Promise<void> = Promise.resolve();
  #leaving: Promise<void> | undefined;
  /** Called when the map or the nodes have changed, for callers that cache what they derive from them. */
  onChange: () => void = () => {};

  constructor(bucket: Bucket, options: CheckedOptions, environment: LeaseEnvironment = {}) {
    this.#bucket = bucket;
    this.options = options;
    this.#warnings = new MemberWarnings(options);
    this.#known = new KnownCluster(options, this.#warnings);
    this.#clock = environment.clock ?? systemClock;
    this.#watching = new Watching(this.#clock);
    this.#newId = environment.newId ?? (() => crypto.randomUUID());
    this.#ready.promise.catch(() => {}); // A caller may never ask for it.
    this.#leadership = new Leadership({
      bucket,
      clock: this.#clock,
      name: options.name,
      shardCount: options.shardCount,
      view: this.#known.view,
      terms: () => this.#terms(LEADER_KEY),
      onChange: () => this.#reportLeader(),
      isMember: () => this.#incarnation?.lease.isHeld ?? false,
      onFailure: (error) => this.#warnings.mapNotStored(error),
      onUnreadable: (key) => this.#warnings.unreadable(key),
    });
  }

  /** The nodes that this node has heard of. */
  get membership(): Membership {
    return this.#known.membership;
  }

  /** The latest version of the map that arrived here. */
  get map(): ShardMap | undefined {
    return this.#known.map;
  }

  /** The leader that was last heard of. */
  get leader(): Leader | undefined {
    return this.#known.leader;
  }

  /** Whether this node leads at this instant. */
  get isLeader(): boolean {
    return this.#leadership.isLeader;
  }

  /** The fencing token of the leadership, while it is this node's. */
  get leaderToken(): number | undefined {
    return this.#leadership.token;
  }

  /** The lease that the current incarnation lives under; `undefined` while the node joins. */
  get session(): HeldLease | undefined {
    return this.#incarnation?.lease;
  }

  /** Resolves once the node has joined and knows the owner of every shard; rejects if it leaves before. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Aborts when the node has left, or can never join again. */
  get signal(): AbortSignal {
    return this.#closed.signal;
  }

  /** The shards on which work may go on. */
  get shards(): Iterable<OwnedShard> {
    return this.#incarnation?.shards.active() ?? [];
  }

  /** A shard, if this node has it and work may go on on it. */
  findShard(id: number): OwnedShard | undefined {
    return this.#incarnation?.shards.find(id);
  }

  #terms(key: string): LeaseTerms {
    const { ttl, maxClockSkew, renewEvery, name } = this.options;
    // A name may be taken in a new bucket at once: it is the leader who must not decide before old leases are over.
    const outlivesBucket = key === LEADER_KEY;
    return { key, name: key, id: this.#newId(), holder: name, ttl, maxClockSkew, renewEvery, outlivesBucket };
  }

  /** Joins. Nothing is left behind if that fails, once {@linkcode settled} has resolved. */
  async join(signal?: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([this.#stopJoining.signal, ...(signal ? [signal] : [])]);
    stop.throwIfAborted();
    this.#watch = this.#bucket.watch(
      ["node.>", MAP_KEY, LEADER_KEY, CONFIG_KEY],
      (update) => this.#take(update),
    );
    try {
      await this.#joinWithPatience(stop);
    } catch (error) {
      this.#watch.close();
      throw error;
    }
    this.#living = this.#live();
    if (this.options.candidate) this.#leadership.start();
  }

  async #joinWithPatience(signal: AbortSignal): Promise<void> {
    const deadline = this.#clock.monotonic() + JOIN_PATIENCE_MS;
    const retry = new RetryDelay();
    for (;;) {
      try {
        return await this.#incarnate(signal);
      } catch (error) {
        const isMomentary = isUnanswered(error) || error instanceof RevisionConflictError;
        if (!isMomentary || this.#clock.monotonic() >= deadline) throw error;
        await sleepOn(this.#clock, retry.next(), signal);
      }
    }
  }

  /** Resolves once what a join that failed has left is removed. */
  settled(): Promise<void> {
    return this.#cleanups.settled();
  }

  /** Becomes a member: of a cluster that it can watch, and with whose nodes it agrees. */
  async #incarnate(signal: AbortSignal): Promise<void> {
    const { name } = this.options;
    // A watch may be silent on a connection that its owner has closed: a call reports that.
    await abortable(this.#bucket.get(aliveKey(name)), signal);
    await this.#watching.started(signal, this.#clock.monotonic() + WATCH_PATIENCE_MS);
    const incarnation = await Incarnation.begin({
      bucket: this.#bucket,
      clock: this.#clock,
      options: this.options,
      terms: this.#terms(aliveKey(name)),
      cleanups: this.#cleanups,
      isDraining: () => this.#draining,
      onShard: (change) => this.shardChanges.send(change),
    }, signal);
    this.#incarnation = incarnation;
    this.#leadership.notify();
    incarnation.shards.apply(this.map, this.#known.mapRevision);
    this.#checkReady();
  }

  /** Waits for the end of each incarnation and starts the next. */
  async #live(): Promise<void> {
    while (this.#incarnation !== undefined && !this.#closed.signal.aborted) {
      const incarnation = this.#incarnation;
      const { lease, shards } = incarnation;
      await aborted(lease.signal);
      this.#incarnation = undefined;
      // Not waited for: work that goes on is without a lease, and must not keep the node away.
      void shards.close(lease.signal.reason);
      await incarnation.close();
      if (this.#leaving !== undefined) return;
      this.#warnings.sessionLost(lease.signal.reason);
      await lease.release();
      await this.#joinAgain();
    }
  }

  async #joinAgain(): Promise<void> {
    const retry = new RetryDelay();
    while (!this.#closed.signal.aborted && this.#leaving === undefined) {
      try {
        return await this.#incarnate(this.#stopJoining.signal);
      } catch (error) {
        if (this.#leaving !== undefined) return;
        const isMomentary = isUnanswered(error) ||
          error instanceof RevisionConflictError || isUnreadableConfig(error);
        if (isMomentary) {
          await sleepOn(this.#clock, retry.next(), this.#stopJoining.signal).catch(() => {});
        } else return this.#end(error);
      }
    }
  }

  /** The node can never join again. */
  #end(error: unknown): void {
    this.#warnings.cannotJoin(error);
    this.#close(error);
  }

  #take(update: WatchUpdate): void {
    this.#watching.take(update);
    if (update.type === "unavailable") return this.#giveUpUnwatched(update.error);
    for (const key of this.#known.view.apply(update)) {
      if (key === MAP_KEY) this.#takeMap();
      else if (key === LEADER_KEY) this.#takeLeader();
      else if (key === CONFIG_KEY) this.#takeConfig();
      else this.#takeNode(key);
    }
    this.#leadership.notify();
  }

  /** A node that cannot watch does not learn what it has to give back: after a while it gives all of it back. */
  #giveUpUnwatched(error: unknown): void {
    const incarnation = this.#incarnation;
    if (incarnation === undefined || this.#watching.silence < this.options.ttl) return;
    this.#warnings.watchLost(error);
    void incarnation.lease.release();
  }

  #takeMap(): void {
    this.#known.readMap();
    this.onChange();
    this.#incarnation?.shards.apply(this.map, this.#known.mapRevision);
    this.#checkReady();
  }

  #checkReady(): void {
    if (this.#isReady || this.#incarnation === undefined || !this.#known.isWhole) return;
    this.#isReady = true;
    this.#ready.resolve();
  }

  #takeLeader(): void {
    if (this.#known.readLeader()) this.#reportLeader();
  }

  /** The configuration was deleted, or written again without this node: it agrees again, or gives everything back. */
  #takeConfig(): void {
    const { shardCount } = this.options;
    const found = this.#known.readShardCount();
    const incarnation = this.#incarnation;
    // In another bucket than that of its session, this node has agreed to nothing yet.
    if (!incarnation?.lease.isHeld || found === shardCount) return;
    agreeOnShardCount(this.#bucket, shardCount).catch((error) => {
      if (error instanceof ConfigurationMismatchError && !isUnreadableConfig(error)) {
        void incarnation.lease.release();
      }
    });
  }

  #reportLeader(): void {
    this.leaderChanges.send({ leader: this.leader, isLeader: this.isLeader });
  }

  #takeNode(key: string): void {
    for (const change of this.#known.readNode(key)) {
      this.onChange();
      this.nodeChanges.send(change);
    }
    this.#checkReady();
    const session = this.#incarnation?.lease.fencingToken;
    if (key !== nodeKey(this.options.name) || session === undefined) return;
    // The record of a living node was removed.
    if (this.membership.nodes.get(key)?.incarnation !== session) this.#incarnation?.update();
  }

  /** Asks the leader to move this node's shards to others, or takes that back. */
  drain(draining: boolean): void {
    this.#draining = draining;
    this.#incarnation?.update();
  }

  /** Lets another node lead. */
  resign(): Promise<void> {
    return this.#leadership.resign();
  }

  /**
   * Stops the work, gives everything back, and goes. Once the signal of any call has aborted, it waits neither for work that
   * does not stop, nor for long for a bucket that does not answer.
   */
  leave(signal?: AbortSignal): Promise<void> {
    if (signal) void aborted(signal).then(() => this.#hurry.abort());
    return this.#leaving ??= this.#leave();
  }

  async #leave(): Promise<void> {
    const reason = new ClosedError("coordinator");
    const { signal } = this.#hurry;
    this.#stopJoining.abort(reason);
    const incarnation = this.#incarnation;
    const stopped = incarnation?.shards.close(reason);
    if (incarnation) await Promise.race([stopped, aborted(incarnation.lease.signal), aborted(signal)]);
    const patience = aborted(signal).then(() => sleepOn(this.#clock, FAREWELL_MS, this.signal)).catch(
      () => {},
    );
    await Promise.race([this.#sayFarewell(incarnation), patience]);
    // No shard is held any more, also if the bucket did not answer.
    void incarnation?.lease.release();
    this.#close(reason);
  }

  async #sayFarewell(incarnation: Incarnation | undefined): Promise<void> {
    if (incarnation !== undefined) {
      await incarnation.unregister();
      await Promise.all([incarnation.lease.release(), this.#leadership.stop()]);
    } else await this.#leadership.stop();
    await this.#living;
    await this.#cleanups.settled();
  }

  #close(reason: unknown): void {
    if (this.#closed.signal.aborted) return;
    this.#watch?.close();
    this.#closed.abort(reason);
    this.#ready.reject(reason);
    const failure = reason instanceof ClosedError && reason.reason === "coordinator" ? undefined : reason;
    this.nodeChanges.close(failure);
    this.shardChanges.close(failure);
    this.leaderChanges.close(failure);
    void this.#leadership.stop();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
