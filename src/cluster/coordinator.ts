/**
 * The entry point of cluster coordination.
 *
 * @module
 */
import { abortable } from "../abortable.ts";
import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";
import type { ChangesOptions } from "./broadcast.ts";
import type { Bucket } from "./bucket.ts";
import { checkOptions, COORDINATOR_OPTIONS, type CoordinatorOptions } from "./coordinator_options.ts";
import {
  checkClusterBucket,
  CLUSTER_BUCKET_OPTIONS,
  type ClusterBucketOptions,
  openClusterBucket,
} from "./jetstream/open.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import type { NatsConnection } from "../nats/connection.ts";
import { shardMapTooLarge } from "./errors.ts";
import type { LeaseEnvironment } from "./lease.ts";
import type { Leader, LeaderChange } from "./leadership.ts";
import { Member } from "./member.ts";
import type { ClusterNode, NodeChange } from "./membership.ts";
import type { OwnedShard, ShardChange } from "./owned_shards.ts";
import { hash } from "./shard_of.ts";
import { leastMapBytes, sessionKey } from "./shard_map.ts";

/**
 * How a node joins a cluster that is kept in NATS.
 *
 * @category Cluster
 */
export interface JoinOptions extends CoordinatorOptions, ClusterBucketOptions {}

const JOIN_OPTIONS: OptionNames<JoinOptions> = { ...COORDINATOR_OPTIONS, ...CLUSTER_BUCKET_OPTIONS };

/**
 * How a node leaves its cluster.
 *
 * @category Cluster
 */
export interface LeaveOptions {
  /** Ends the waiting for work that does not stop; then a server that does not answer is waited for one second at most. */
  readonly signal?: AbortSignal;
}

const LEAVE_OPTIONS: OptionNames<LeaveOptions> = { signal: true };

/**
 * Whether the coordinator is a member of its cluster.
 *
 * @category Cluster
 */
export type CoordinatorStatus = "joined" | "unreachable" | "joining" | "left";

/**
 * This process as a node of a cluster: which other nodes there are, which of them leads, and which shards are its own. A node that loses its
 * session (cut off for longer than `ttl`, suspended) loses its shards and joins again by itself, as a new incarnation.
 *
 * @example Share work in one process
 * ```ts
 * import { Coordinator, InMemoryBucket } from "@flowmade-one/aether/cluster";
 * import assert from "node:assert/strict";
 *
 * const cluster = new InMemoryBucket();
 * await using coordinator = await Coordinator.join(cluster, { name: "a", shardCount: 4 });
 * await coordinator.ready;
 * assert.equal([...coordinator.shards].length, 4);
 * assert.equal(coordinator.ownerOf("order.123")?.name, "a");
 * ```
 *
 * @category Cluster
 */
export class Coordinator implements AsyncDisposable {
  readonly #member: Member;
  readonly #close: () => Promise<void>;
  readonly #shardCount: number;
  /** By shard; made when it is first asked for after a change. */
  #owners: (ClusterNode | undefined)[] | undefined;

  private constructor(member: Member, close: () => Promise<void>) {
    this.#member = member;
    this.#close = close;
    this.#shardCount = member.options.shardCount;
    member.onChange = () => this.#owners = undefined;
  }

  /**
   * Joins a cluster. All nodes that were given the same NATS system (an open connection, or a URL or several) and
   * `cluster` name, or the same `InMemoryBucket`, are one cluster.
   *
   * @throws {InvalidArgumentError} If an option is out of range.
   * @throws {BackendError} If the connection cannot be made.
   * @throws {NodeNameTakenError} If a living process has the name.
   * @throws {ConfigurationMismatchError} If the cluster has another number of shards, or its configuration is damaged.
   * @throws {ConfigurationMismatchError} If the cluster's bucket has settings that cannot work.
   * @throws {BackendError} If there is no answer.
   * @throws {BackendError} If the server has no JetStream or is too old, if its `max_payload` is smaller than the shard
   * map, or if the NATS user may not use the bucket.
   *
   * @example Join over NATS, and write with the shard's token
   * ```ts
   * import { Coordinator, JetStreamEventStore } from "@flowmade-one/aether";
   *
   * // With the URL of a NATS server, such as nats://127.0.0.1:4222.
   * async function work(url: string, commands: AsyncIterable<{ actorId: string; amount: number }>) {
   *   await using store = await JetStreamEventStore.open(url);
   *   await using coordinator = await Coordinator.join(url, { shardCount: 64 });
   *   await coordinator.ready;
   *   for await (const { actorId, amount } of commands) {
   *     const shard = coordinator.shardFor(actorId);
   *     if (!shard?.isHeld) continue; // another node's: coordinator.ownerOf(actorId) names it
   *     await store.append(actorId, [{ eventType: "Deposited", data: { amount } }], {
   *       expectedVersion: "any",
   *       fencingToken: shard.fencingToken,
   *     });
   *   }
   * }
   * ```
   */
  static async join(
    cluster: string | readonly string[] | NatsConnection | Bucket,
    options?: JoinOptions,
  ): Promise<Coordinator> {
    const newId = (): string => crypto.randomUUID();
    const asked = readOptions(options, ({ ...fields }) => {
      checkKnown<JoinOptions>(fields, JOIN_OPTIONS);
      return fields;
    });
    const checked = readOptions(asked, (fields) => checkOptions(fields, newId));
    readOptions(asked, checkClusterBucket);
    asked.signal?.throwIfAborted();
    if (isBucket(cluster)) {
      return await joinBucket(
        new Member(cluster, checked, { newId }),
        () => Promise.resolve(),
        asked.signal,
      );
    }
    const { bucket, maxPayload, close } = await openClusterBucket(cluster, asked, asked.signal);
    const least = leastMapBytes(checked.shardCount);
    if (least > maxPayload) {
      await close();
      throw shardMapTooLarge(checked.shardCount);
    }
    return await joinBucket(new Member(bucket, checked, { newId }), close, asked.signal);

    async function joinBucket(
      member: Member,
      close: () => Promise<void>,
      signal: AbortSignal | undefined,
    ): Promise<Coordinator> {
      try {
        await member.join(signal);
      } catch (error) {
        await abortable(member.settled().then(close), signal);
        throw error;
      }
      return new Coordinator(member, close);
    }
  }

  /** Joins with a clock and ids from outside: for tests with a clock of their own. */
  static async joinWith(
    bucket: Bucket,
    options: CoordinatorOptions,
    environment: LeaseEnvironment,
  ): Promise<Coordinator> {
    const newId = environment.newId ?? ((): string => crypto.randomUUID());
    const member = new Member(bucket, checkOptions(options, newId), environment);
    await member.join(options.signal);
    return new Coordinator(member, () => Promise.resolve());
  }

  /** This node's name. */
  get name(): string {
    return this.#member.options.name;
  }

  /** Rises with every restart of any node; `undefined` while this node joins again. */
  get incarnation(): number | undefined {
    return this.#member.session?.fencingToken;
  }

  /**
   * Resolves once the owner of every shard is known here, so that `ownerOf` has an answer. It stays resolved: later a
   * shard may have no owner for a while. Nothing has to wait for it.
   *
   * @throws {ClosedError} If this node leaves before.
   * @throws {NodeNameTakenError | ConfigurationMismatchError} If this node cannot join again, and has left before.
   *
   * @example Route a command
   * ```ts
   * import { Coordinator, InMemoryBucket } from "@flowmade-one/aether/cluster";
   * import assert from "node:assert/strict";
   *
   * await using coordinator = await Coordinator.join(new InMemoryBucket(), { name: "a", shardCount: 4 });
   * await coordinator.ready;
   * assert.equal(coordinator.ownerOf("order-123")?.name, "a");
   * ```
   */
  get ready(): Promise<void> {
    return this.#member.ready;
  }

  /** Whether this node is a member of the cluster at this moment. */
  get status(): CoordinatorStatus {
    if (this.signal.aborted) return "left";
    const session = this.#member.session;
    if (session === undefined || !session.isHeld) return "joining";
    return session.status === "unreachable" ? "unreachable" : "joined";
  }

  /** Aborts when this node has left, or cannot join again because another process took its name. */
  get signal(): AbortSignal {
    return this.#member.signal;
  }

  /** Whether this node leads at this very instant, and has stamped the shard map: the clocks are asked. */
  get isLeader(): boolean {
    return this.#member.isLeader;
  }

  /** The fencing token of the leadership while this node leads: pass it to what only the leader may do. */
  get leaderToken(): number | undefined {
    return this.#member.leaderToken;
  }

  /** The leader that this node last heard of. */
  get leader(): Leader | undefined {
    return this.#member.leader;
  }

  /** How the leadership is when the loop begins, and then how it changes: a slow loop hears the latest. */
  leaderChanges(options?: ChangesOptions): AsyncIterable<LeaderChange> {
    return this.#member.leaderChanges.changes(
      () => [{ leader: this.leader, isLeader: this.isLeader }],
      options,
    );
  }

  /** Gives up the leadership, and lets others campaign first. */
  resign(): Promise<void> {
    return this.#member.resign();
  }

  /** The nodes that this node has heard of, itself included, in the order of their names. */
  nodes(): ClusterNode[] {
    return [...this.#member.membership.nodes.values()].sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /**
   * The nodes of the cluster when the loop begins, as `joined`, and then each change. A slow loop does not get changes
   * that were undone before it read them.
   */
  nodeChanges(options?: ChangesOptions): AsyncIterable<NodeChange> {
    return this.#member.nodeChanges.changes(
      () => this.nodes().map((node) => ({ type: "joined", node })),
      options,
    );
  }

  /** The number of shards of the cluster. */
  get shardCount(): number {
    return this.#shardCount;
  }

  /**
   * The node that has the actor's shard, by the latest map that arrived here: a hint where to send a message, not a proof.
   * `undefined` while no node has it.
   *
   * @throws {InvalidArgumentError} If the id is empty or not well formed.
   */
  ownerOf(actorId: string): ClusterNode | undefined {
    return (this.#owners ??= this.#findOwners())[hash(actorId) % this.#shardCount];
  }

  #findOwners(): (ClusterNode | undefined)[] {
    const nodes = new Map(
      this.nodes().map((node) => [sessionKey({ name: node.name, session: node.incarnation }), node]),
    );
    const { map } = this.#member;
    return Array.from({ length: this.#shardCount }, (_, shard) => {
      const assignment = map?.assignments[shard];
      return assignment && nodes.get(sessionKey(assignment.owner));
    });
  }

  /** The node that has each shard, as `ownerOf` has it for an actor; `undefined` for a shard that no node has. */
  shardOwners(): readonly (ClusterNode | undefined)[] {
    return [...this.#owners ??= this.#findOwners()];
  }

  /** The shards that no node has: all of them before the first leader, and those that no node can take. */
  unownedShards(): number[] {
    const assignments = this.#member.map?.assignments;
    return Array.from({ length: this.#shardCount }, (_, shard) => shard)
      .filter((shard) => assignments?.[shard] === undefined);
  }

  /** The shards that this node has and may work on. */
  get shards(): Iterable<OwnedShard> {
    return this.#member.shards;
  }

  /**
   * The shard of an actor, if this node has it at this moment: work on the actor under its signal and token. If another
   * node has it, `ownerOf` names that node.
   *
   * @example
   * ```ts
   * import { Coordinator, InMemoryBucket, InMemoryEventStore } from "@flowmade-one/aether";
   *
   * await using store = new InMemoryEventStore();
   * await using coordinator = await Coordinator.join(new InMemoryBucket(), { shardCount: 4 });
   * await coordinator.ready;
   *
   * const shard = coordinator.shardFor("order-123");
   * if (!shard?.isHeld) throw new Error(`ask ${coordinator.ownerOf("order-123")?.address}`);
   * await store.append("order-123", [{ eventType: "OrderPlaced", data: null }], {
   *   expectedVersion: 0,
   *   fencingToken: shard.fencingToken,
   * });
   * ```
   *
   * @throws {InvalidArgumentError} If the id is empty or not well formed.
   */
  shardFor(actorId: string): OwnedShard | undefined {
    const shard = this.#member.findShard(hash(actorId) % this.#shardCount);
    return shard?.isHeld ? shard : undefined;
  }

  /**
   * The shards that this node has when the loop begins, as `gained`, and then each change. A slow loop does not
   * get a shard that was lost before it read the change. Every loop ends when the coordinator leaves; with
   * `{ signal: coordinator.signal }` too it ends normally.
   *
   * @throws {NodeNameTakenError | ConfigurationMismatchError} If the coordinator has to leave, because it cannot join again.
   */
  shardChanges(options?: ChangesOptions): AsyncIterable<ShardChange> {
    return this.#member.shardChanges.changes(
      () => [...this.shards].map((shard) => ({ type: "gained", shard })),
      options,
    );
  }

  /**
   * Moves this node's shards to others and takes no new ones, while the node stays; `false` takes that back.
   *
   * @throws {InvalidArgumentError} If `draining` is neither true nor false.
   */
  drain(draining = true): void {
    if (typeof draining !== "boolean") {
      throw new InvalidArgumentError("draining", `must be true or false, and is ${describe(draining)}`);
    }
    this.#member.drain(draining);
  }

  /**
   * Stops: aborts the signals of this node's shards, waits for the work that was passed to `waitUntil`, and releases
   * all of them at once. When `signal` aborts it no longer waits: work that goes on finds its shard's `isHeld` false. Leaving twice is
   * allowed: the second call waits for the first, and its signal counts too.
   */
  async leave(options?: LeaveOptions): Promise<void> {
    const signal = readOptions(options, (given) => {
      checkKnown(given, LEAVE_OPTIONS);
      return checkSignal(given.signal);
    });
    await this.#member.leave(signal);
    await this.#close();
  }

  /** The same as {@linkcode leave}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }
}

function isBucket(target: unknown): target is Bucket {
  try {
    return typeof target === "object" && target !== null && "watch" in target;
  } catch {
    return false; // it cannot even be asked, and is no connection either
  }
}
