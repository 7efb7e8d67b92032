/**
 * The nodes of a cluster, their shards, and leases.
 *
 * @module
 */

/** The nodes of a cluster, which shards they have, and some of the leases. */
export interface ClusterPicture extends NodePicture, LeasePage {}

/** The nodes of a cluster, and which shards they have. */
export interface NodePicture {
  /** Its nodes, by name. */
  readonly nodes: readonly NodeRow[];
  /** The number of shards; 0 before the first leader. */
  readonly shardCount: number;
  /** By shard: the index of its owner in `nodes`, or -1 if no node has it. */
  readonly owners: readonly number[];
}

/** Some of the leases that are known, in the order of their keys. */
export interface LeasePage {
  /** The leases. */
  readonly leases: readonly LeaseRow[];
  /** Pass it as `after` for the next page; `null` if there is none. */
  readonly nextLease: string | null;
}

/** A node of a cluster. */
export interface NodeRow {
  /** Its name. */
  readonly name: string;
  /** Rises with every restart of any node. */
  readonly incarnation: number;
  /** The address at which other nodes reach it; may be empty. */
  readonly address: string;
  /** The user's own strings. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Its share of the shards, relative to the weights of the others. */
  readonly weight: number;
  /** Whether it gives its shards away. */
  readonly draining: boolean;
  /** Whether it leads. */
  readonly isLeader: boolean;
  /** How many shards it has. */
  readonly shards: number;
  /** How many actors it has in memory; `null` if it is not known. */
  readonly activeActors: number | null;
}

/** A lease. */
export interface LeaseRow {
  /** Unique: several buckets may have leases of one name. */
  readonly key: string;
  /** Its name: `leader`, or that of a node or a user's lease. */
  readonly name: string;
  /** `leader`, `node` (shows that a node is alive), or `lease` (one that a program has acquired). */
  readonly kind: "leader" | "node" | "lease";
  /** Who holds it; may be empty. */
  readonly holder: string;
  /** Its fencing token. */
  readonly token: number;
  /** How long ago its holder renewed it, in milliseconds; `null` until a renewal was seen. */
  readonly renewed: number | null;
  /** Since when it was seen with this holder, in milliseconds. */
  readonly held: number;
}

/** A cluster as it changes. */
export interface ClusterLive {
  /** Everything: at first, and when a node joins, leaves or changes. */
  readonly cluster: ClusterPicture;
  /** Shards that have moved since the last message. */
  readonly moves: readonly ShardMove[];
  /** The leases, and the actors in memory by name of node: every two seconds. */
  readonly leases: LeasePage & {
    /** Actors in memory by name of node. */
    readonly activeActors: Readonly<Record<string, number>>;
  };
}

/** A shard that has moved. */
export interface ShardMove {
  /** The shard. */
  readonly shard: number;
  /** The name of the node that had it; `null` if none had. */
  readonly from: string | null;
  /** The name of the node that has it; `null` if none has. */
  readonly to: string | null;
}
