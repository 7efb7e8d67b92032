/**
 * Where the studio looks a cluster up: in a coordinator of the user's program, or in the cluster's records themselves.
 *
 * @module
 */

import {
  type Bucket,
  BucketView,
  type BucketWatch,
  type Entry,
  type WatchUpdate,
} from "../cluster/bucket.ts";
import type { Coordinator } from "../cluster/coordinator.ts";
import { readLease } from "../cluster/lease_record.ts";
import { LEADER_KEY } from "../cluster/leadership.ts";
import type { ClusterNode } from "../cluster/membership.ts";
import { decodeNode } from "../cluster/node_record.ts";
import { decodeShardMap, MAP_KEY, sessionKey } from "../cluster/shard_map.ts";
import type { LeasePage, LeaseRow, NodePicture, NodeRow } from "./api/mod.ts";
import type { ClusterSource } from "./parts.ts";
import { answerWithin } from "./pulse.ts";

/** What is shown of a coordinator's cluster. */
export type CoordinatorView = Pick<Coordinator, "name" | "nodes" | "leader" | "shardOwners">;

/** The cluster of a coordinator. */
export class CoordinatorCluster implements ClusterSource {
  readonly #coordinator: CoordinatorView;
  readonly #host: { readonly active: number } | undefined;
  readonly #ages = new LeaseAges();

  constructor(coordinator: CoordinatorView, host: { readonly active: number } | undefined) {
    this.#coordinator = coordinator;
    this.#host = host;
  }

  /** The nodes and shards, as the coordinator has heard of them. */
  picture(): Promise<NodePicture> {
    const { leader } = this.#coordinator;
    const owners = this.#coordinator.shardOwners();
    return Promise.resolve(pictureOf(this.#coordinator.nodes(), owners, leader?.name));
  }

  /** The leases of the leader and of the nodes. */
  leases(after: string, limit: number): Promise<LeasePage> {
    const { leader } = this.#coordinator;
    const leases = [
      ...leader
        ? [{
          key: "leader",
          name: "leader",
          kind: "leader" as const,
          holder: leader.name,
          token: leader.fencingToken,
        }]
        : [],
      ...this.#coordinator.nodes().map(({ name, incarnation }) => (
        { key: `node ${name}`, name, kind: "node" as const, holder: name, token: incarnation }
      )),
    ];
    const rows = leases.map((lease) => ({ ...lease, ...this.#ages.of(lease.key, lease.token, undefined) }));
    return Promise.resolve(leasePage(rows.map((row) => [row.key, () => row]), after, limit));
  }

  /** The actors of this process. */
  activeActors(): Promise<Readonly<Record<string, number>>> {
    return Promise.resolve(this.#host ? { [this.#coordinator.name]: this.#host.active } : {});
  }
}

function pictureOf(
  nodes: readonly ClusterNode[],
  owners: readonly (ClusterNode | undefined)[],
  leader: string | undefined,
): NodePicture {
  const indexes = new Map(nodes.map((node, index) => [keyOf(node), index]));
  const ownerIndexes = owners.map((owner) => owner ? indexes.get(keyOf(owner)) ?? -1 : -1);
  const counts = new Array<number>(nodes.length).fill(0);
  for (const index of ownerIndexes) if (index >= 0) counts[index]!++;
  const rows = nodes.map((node, index): NodeRow => {
    const { name, incarnation, address, metadata, weight, draining } = node;
    return {
      ...{ name, incarnation, address, metadata, weight, draining, isLeader: name === leader },
      ...{ shards: counts[index]!, activeActors: null },
    };
  });
  return { nodes: rows, shardCount: owners.length, owners: ownerIndexes };
}

/** The page behind a key. Of each lease there are its key, and what reads it. */
function leasePage(
  all: readonly (readonly [key: string, read: () => LeaseRow | undefined])[],
  after: string,
  limit: number,
): LeasePage {
  const behind = all.filter(([key]) => key > after).sort(([a], [b]) => a < b ? -1 : 1);
  const leases: LeaseRow[] = [];
  for (const [, read] of behind) {
    const row = read();
    if (!row) continue;
    if (leases.length === limit) return { leases, nextLease: leases.at(-1)!.key };
    leases.push(row);
  }
  return { leases, nextLease: null };
}

function keyOf({ name, incarnation }: ClusterNode): string {
  return sessionKey({ name, session: incarnation });
}

/** Since when leases are held, and when they were renewed, as far as it was seen here. */
class LeaseAges {
  readonly #seen = new Map<
    string,
    {
      readonly token: number;
      readonly since: number;
      revision: number | undefined;
      renewedAt: number | undefined;
    }
  >();

  /** The ages of a lease; a change of the revision is a renewal. */
  of(key: string, token: number, revision: number | undefined): Pick<LeaseRow, "renewed" | "held"> {
    const now = performance.now();
    let seen = this.#seen.get(key);
    if (seen?.token !== token) {
      this.#seen.set(key, seen = { token, since: now, revision, renewedAt: undefined });
    } else if (revision !== seen.revision) [seen.revision, seen.renewedAt] = [revision, now];
    const renewed = seen.renewedAt === undefined ? null : Math.round(now - seen.renewedAt);
    return { renewed, held: Math.round(now - seen.since) };
  }

  delete(key: string): void {
    this.#seen.delete(key);
  }
}

/** How long the first picture may take, in milliseconds. */
const PATIENCE = 5_000;
const LEASE_KEYS = ["lease.>"];
/** The keys whose records are leases. */
const LEASED = ["alive.>", LEADER_KEY, ...LEASE_KEYS];
const CLUSTER_KEYS = ["node.>", MAP_KEY, ...LEASED];

/** What a cluster is looked up in. */
export interface WatchedSetup {
  /** The bucket of the cluster; `undefined` if only leases are shown. */
  readonly cluster: Pick<Bucket, "watch"> | undefined;
  /** Other buckets with leases. */
  readonly leases: readonly Pick<Bucket, "watch">[];
  /** The actors in memory by name of node. */
  readonly activeActors?: () => Promise<Readonly<Record<string, number>>>;
}

/** A cluster by its records, which are watched and not written, until it is closed. */
export class WatchedCluster implements ClusterSource, Disposable {
  readonly #watches: BucketWatch[] = [];
  readonly #views: BucketView[] = [];
  readonly #ages = new LeaseAges();
  readonly #synced = Promise.withResolvers<void>();
  readonly activeActors: () => Promise<Readonly<Record<string, number>>>;
  readonly #hasCluster: boolean;

  constructor({ cluster, leases, activeActors }: WatchedSetup) {
    this.activeActors = activeActors ?? ((): Promise<Record<string, number>> => Promise.resolve({}));
    this.#hasCluster = cluster !== undefined;
    if (cluster) this.#watch(cluster, CLUSTER_KEYS);
    for (const bucket of leases) this.#watch(bucket, LEASE_KEYS);
    if (this.#watches.length === 0) this.#synced.resolve();
  }

  #watch(bucket: Pick<Bucket, "watch">, patterns: readonly string[]): void {
    const view = new BucketView();
    const index = this.#views.push(view) - 1;
    this.#watches.push(bucket.watch(patterns, (update: WatchUpdate) => {
      for (const key of view.apply(update)) this.#leaseOf(view.get(key), `${index} ${key}`);
      if (this.#views.every(({ synced }) => synced)) this.#synced.resolve();
    }));
  }

  /** The lease of an entry, if it is one. A renewal is noted when it arrives. */
  #leaseOf(entry: Entry | undefined, id: string): LeaseRow | undefined {
    const lease = readLease(entry);
    if (!entry || !lease) {
      this.#ages.delete(id);
      return undefined;
    }
    const { holder, token } = lease;
    const [level = "", ...rest] = entry.key.split(".");
    const kind = level === "lease" ? "lease" : level === "alive" ? "node" : "leader";
    const name = kind === "leader" ? "leader" : nameOf(rest.join("."));
    return { key: id, name, kind, holder, token, ...this.#ages.of(id, token, entry.revision) };
  }

  /** The leases, as far as they were heard of: of the cluster's bucket first, and then of others. */
  async leases(after: string, limit: number): Promise<LeasePage> {
    await answerWithin(PATIENCE, () => this.#synced.promise);
    const all = this.#views.flatMap((view, index) =>
      LEASED.flatMap((pattern) => [...view.matching(pattern)]).map((entry) => {
        const id = `${index} ${entry.key}`;
        return [id, (): LeaseRow | undefined => this.#leaseOf(entry, id)] as const;
      })
    );
    return leasePage(all, after, limit);
  }

  /** The nodes and shards, as far as they were heard of. */
  async picture(): Promise<NodePicture> {
    await answerWithin(PATIENCE, () => this.#synced.promise);
    const [view] = this.#views;
    if (!view || !this.#hasCluster) return pictureOf([], [], undefined);
    const nodes = Array.from(view.matching("node.>"), decodeNode).filter((node) => node !== undefined)
      .map(({ session: incarnation, ...node }): ClusterNode => ({ ...node, incarnation }))
      .sort((a, b) => a.name < b.name ? -1 : 1);
    const byKey = new Map(nodes.map((node) => [keyOf(node), node]));
    const map = decodeShardMap(view.get(MAP_KEY));
    const owners = (map?.assignments ?? []).map((assignment) =>
      assignment && byKey.get(sessionKey(assignment.owner))
    );
    return pictureOf(nodes, owners, map?.leader);
  }

  /** Ends the watching. */
  [Symbol.dispose](): void {
    for (const watch of this.#watches) watch.close();
  }
}

/** The name that a level of a key stands for, as far as it can be read. */
function nameOf(level: string): string {
  try {
    return decodeURIComponent(level.replaceAll("=", "%"));
  } catch {
    return level;
  }
}
