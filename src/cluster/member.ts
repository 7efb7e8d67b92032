/**
 * A node of a cluster over any bucket, which the coordinator makes available to users.
 *
 * @module
 */
import { abortable } from "../abortable.ts";
import { BackendError, ClosedError, ConfigurationMismatchError } from "../errors.ts";
import { Broadcast } from "./broadcast.ts";
import { type Bucket, BucketView, type BucketWatch, type WatchUpdate } from "./bucket.ts";
import { Cleanups } from "./cleanups.ts";
import { type Clock, RetryDelay, sleepOn, systemClock } from "./clock.ts";
import type { CheckedOptions } from "./coordinator_options.ts";
import { isUnanswered, NodeNameTakenError, RevisionConflictError, shardMapTooLarge } from "./errors.ts";
import { Watching } from "./watching.ts";
import { agreeOnShardCount, CONFIG_KEY, isUnreadableConfig, readShardCount } from "./cluster_config.ts";
import type { HeldLease } from "./held_lease.ts";
import { isUnreadableLease, type LeaseTerms, readLease } from "./lease_record.ts";
import type { LeaseEnvironment } from "./lease.ts";
import { type Leader, LEADER_KEY, type LeaderChange, leaderChangeRules, Leadership } from "./leadership.ts";
import { Membership, type NodeChange, nodeChangeRules } from "./membership.ts";
import { type OwnedShard, OwnedShards, type ShardChange, shardChangeRules } from "./owned_shards.ts";
import { nodeKey } from "./node_record.ts";
import { aliveKey, claimName, Registration } from "./registration.ts";
import { decodeShardMap, MAP_KEY, type ShardMap } from "./shard_map.ts";

/** How long joining waits for servers that elect their leaders, in ms. */
const JOIN_PATIENCE_MS = 15_000;
/** How long joining waits for the watch before it calls the bucket again, in milliseconds. */
const WATCH_PATIENCE_MS = 2_000;
/** How long leaving waits for the bucket at most once its signal has aborted, in milliseconds. */
const FAREWELL_MS = 1_000;

/** One incarnation of the node. */
interface Incarnation {
  readonly lease: HeldLease;
  readonly shards: OwnedShards;
  readonly registration: Registration;
}

/** A node of a cluster. If it loses its session it joins again, as a new incarnation. */
export class Member {
  readonly options: CheckedOptions;
  readonly membership = new Membership();
  readonly nodeChanges = new Broadcast<NodeChange>(nodeChangeRules);
  readonly shardChanges = new Broadcast<ShardChange>(shardChangeRules);
  readonly leaderChanges = new Broadcast<LeaderChange>(leaderChangeRules);
  readonly #bucket: Bucket;
  readonly #clock: Clock;
  readonly #newId: () => string;
  readonly #view = new BucketView();
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
  #map: ShardMap | undefined;
  #leader: Leader | undefined;
  /** Called when the map or the nodes have changed, for callers that cache what they derive from them. */
  onChange: () => void = () => {};

  constructor(bucket: Bucket, options: CheckedOptions, environment: LeaseEnvironment = {}) {
    this.#bucket = bucket;
    this.options = options;
    this.#clock = environment.clock ?? systemClock;
    this.#watching = new Watching(this.#clock);
    this.#newId = environment.newId ?? (() => crypto.randomUUID());
    this.#ready.promise.catch(() => {}); // A caller may never ask for it.
    this.#leadership = new Leadership({
      bucket,
      clock: this.#clock,
      name: options.name,
      shardCount: options.shardCount,
      view: this.#view,
      terms: () => this.#terms(LEADER_KEY),
      onChange: () => this.#reportLeader(),
      isMember: () => this.#incarnation?.lease.isHeld ?? false,
      onFailure: (error) => this.#reportMap(error),
      onUnreadable: (key) => this.#reportUnreadable(key),
    });
  }

  /** The latest version of the map that arrived here. */
  get map(): ShardMap | undefined {
    return this.#map;
  }

  /** The leader that was last heard of. */
  get leader(): Leader | undefined {
    return this.#leader;
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
    const { name, shardCount } = this.options;
    // A watch may be silent on a connection that its owner has closed: a call reports that.
    await abortable(this.#bucket.get(aliveKey(name)), signal);
    await this.#watching.started(signal, this.#clock.monotonic() + WATCH_PATIENCE_MS);
    const terms = this.#terms(aliveKey(name));
    const lease = await claimName(this.#bucket, this.#clock, name, terms, signal, this.#cleanups);
    const registration: Registration = new Registration(this.#bucket, this.#clock, name, lease, () => ({
      name,
      session: lease.fencingToken,
      address: this.options.address,
      metadata: this.options.metadata,
      weight: this.options.weight,
      draining: this.#draining,
      seen: shards.seen,
      releasing: shards.releasing,
    }));
    const shards: OwnedShards = new OwnedShards(
      { name, session: lease.fencingToken },
      lease,
      (change) => this.shardChanges.send(change),
      () => registration.update(),
    );
    try {
      // After the lease was granted: so that a session in a bucket that was made again has agreed in that bucket.
      await abortable(agreeOnShardCount(this.#bucket, shardCount), signal);
      await abortable(registration.open(), signal);
      signal.throwIfAborted();
    } catch (error) {
      const ended = giveUp(registration, lease);
      this.#cleanups.add(ended);
      await abortable(ended, signal);
      throw error;
    }
    this.#incarnation = { lease, registration, shards };
    this.#leadership.notify();
    shards.apply(this.#map, this.#view.get(MAP_KEY)?.revision ?? 0);
    this.#checkReady();
  }

  /** Waits for the end of each incarnation and starts the next. */
  async #live(): Promise<void> {
    while (this.#incarnation !== undefined && !this.#closed.signal.aborted) {
      const { lease, shards, registration } = this.#incarnation;
      await aborted(lease.signal);
      this.#incarnation = undefined;
      // Not waited for: work that goes on is without a lease, and must not keep the node away.
      void shards.close(lease.signal.reason);
      await registration.close();
      if (this.#leaving !== undefined) return;
      this.options.warn({
        code: "session-lost",
        message: `the node "${this.options.name}" lost its session and joins again`,
        cause: lease.signal.reason,
      });
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
    this.options.warn({
      code: error instanceof NodeNameTakenError ? "name-lost" : "left-by-force",
      message: `The node "${this.options.name}" cannot join again, and has left. ` +
        (error instanceof Error ? error.message : ""),
      cause: error,
    });
    this.#close(error);
  }

  #take(update: WatchUpdate): void {
    this.#watching.take(update);
    if (update.type === "unavailable") return this.#giveUpUnwatched(update.error);
    for (const key of this.#view.apply(update)) {
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
    this.options.warn({
      code: "watch-lost",
      message:
        `The node "${this.options.name}" cannot watch its cluster, and gives its shards back until it can.`,
      cause: error,
    });
    void incarnation.lease.release();
  }

  /** Reports what keeps the shard map from being stored, except an outage, which the node's own session reports. */
  #reportMap(error: unknown): void {
    if (isUnanswered(error) || error instanceof RevisionConflictError) return;
    const cause = error instanceof BackendError && error.reason === "too-large"
      ? shardMapTooLarge(this.options.shardCount, { cause: error })
      : error;
    this.options.warn({
      code: "map-not-stored",
      message:
        `The node "${this.options.name}" leads and cannot store the shard map, so that shards have no owner. ` +
        (cause instanceof Error ? cause.message : ""),
      cause,
    });
  }

  #takeMap(): void {
    const entry = this.#view.get(MAP_KEY);
    const map = decodeShardMap(entry);
    if (entry?.value !== undefined && map === undefined) this.#reportUnreadable(MAP_KEY);
    this.#map = map?.assignments.length === this.options.shardCount ? map : undefined;
    this.onChange();
    this.#incarnation?.shards.apply(this.#map, entry?.revision ?? 0);
    this.#checkReady();
  }

  #checkReady(): void {
    if (this.#isReady || this.#incarnation === undefined || this.#map === undefined) return;
    for (const owner of new Set(this.#map.assignments.map((assignment) => assignment?.owner))) {
      if (owner === undefined) return;
      if (this.membership.nodes.get(nodeKey(owner.name))?.incarnation !== owner.session) return;
    }
    this.#isReady = true;
    this.#ready.resolve();
  }

  #takeLeader(): void {
    const entry = this.#view.get(LEADER_KEY);
    const leader = readLease(entry);
    if (isUnreadableLease(entry)) this.#reportUnreadable(LEADER_KEY);
    if (leader?.token === this.#leader?.fencingToken) return;
    this.#leader = leader && { name: leader.holder, fencingToken: leader.token };
    this.#reportLeader();
  }

  /** The configuration was deleted, or written again without this node: it agrees again, or gives everything back. */
  #takeConfig(): void {
    const entry = this.#view.get(CONFIG_KEY);
    const { shardCount } = this.options;
    const found = readShardCount(entry);
    if (entry?.value !== undefined && found === undefined) this.#reportUnreadable(CONFIG_KEY);
    const incarnation = this.#incarnation;
    // In another bucket than that of its session, this node has agreed to nothing yet.
    if (!incarnation?.lease.isHeld || found === shardCount) return;
    agreeOnShardCount(this.#bucket, shardCount).catch((error) => {
      if (error instanceof ConfigurationMismatchError && !isUnreadableConfig(error)) {
        void incarnation.lease.release();
      }
    });
  }

  #reportUnreadable(key: string): void {
    this.options.warn({
      code: "unreadable-record",
      message:
        `The node "${this.options.name}" ignores the record "${key}", which is damaged or has a newer format. ` +
        "Use the newest version of the library on every node, or delete the record.",
    });
  }

  #reportLeader(): void {
    this.leaderChanges.send({ leader: this.#leader, isLeader: this.isLeader });
  }

  #takeNode(key: string): void {
    for (const change of this.membership.update(key, this.#view)) {
      this.onChange();
      this.nodeChanges.send(change);
    }
    const isUnreadable = this.#view.get(key)?.value !== undefined && !this.membership.nodes.has(key);
    if (isUnreadable) this.#reportUnreadable(key);
    this.#checkReady();
    const session = this.#incarnation?.lease.fencingToken;
    if (key !== nodeKey(this.options.name) || session === undefined) return;
    // The record of a living node was removed.
    if (this.membership.nodes.get(key)?.incarnation !== session) this.#incarnation?.registration.update();
  }

  /** Asks the leader to move this node's shards to others, or takes that back. */
  drain(draining: boolean): void {
    this.#draining = draining;
    this.#incarnation?.registration.update();
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
    const patience = aborted(signal).then(() => sleepOn(this.#clock, FAREWELL_MS, this.signal)).catch(() => {});
    await Promise.race([this.#sayFarewell(incarnation), patience]);
    // No shard is held any more, also if the bucket was not told.
    void incarnation?.lease.release();
    this.#close(reason);
  }

  async #sayFarewell(incarnation: Incarnation | undefined): Promise<void> {
    if (incarnation !== undefined) {
      const { lease, registration } = incarnation;
      await registration.close();
      // The record is removed first: what is in it about the shards is true until the lease is released.
      await registration.remove();
      await Promise.all([lease.release(), this.#leadership.stop()]);
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

/** Removes what an incarnation that did not come about has stored. */
async function giveUp(registration: Registration, lease: HeldLease): Promise<void> {
  await registration.close();
  await registration.remove();
  await lease.release();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
