/**
 * The nodes of a cluster.
 *
 * @module
 */
import type { ChangeRules } from "./broadcast.ts";
import type { BucketView } from "./bucket.ts";
import { decodeNode, type NodeRecord } from "./node_record.ts";

/**
 * A node of the cluster, as it was last heard of.
 *
 * @category Cluster
 */
export interface ClusterNode {
  /** Its name. */
  readonly name: string;
  /** Rises with every restart of any node: a node that restarts under its old name is a new incarnation. */
  readonly incarnation: number;
  /** The address at which it can be reached, if it has one. */
  readonly address: string;
  /** The user's own strings. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Its share of the shards, relative to the weights of the others. */
  readonly weight: number;
  /** Whether it is giving its shards away. */
  readonly draining: boolean;
}

/**
 * A node joined, left, or changed its record.
 *
 * @category Cluster
 */
export interface NodeChange {
  /** `left` follows a clean leave and an expiry alike; a new incarnation is a `left` and a `joined`. */
  readonly type: "joined" | "left" | "updated";
  /** The node; for `left` as it was. */
  readonly node: ClusterNode;
}

/** What a loop that is behind still has to hear of a node: at most that it left, and how it is now. */
export const nodeChangeRules: ChangeRules<NodeChange> = {
  keyOf: ({ node }) => node.name,
  merge(pending): readonly NodeChange[] {
    const earlier = pending.slice(0, -2);
    const [before, latest] = pending.slice(-2);
    if (before === undefined || latest === undefined || before.type === "left") return pending;
    if (latest.type === "updated") return [...earlier, { type: before.type, node: latest.node }];
    return before.type === "joined" ? earlier : [...earlier, latest];
  },
};

/** The nodes of a cluster, kept up to date from the records that nodes write. */
export class Membership {
  readonly #nodes = new Map<string, ClusterNode>();

  /** The nodes by the key of their record. */
  get nodes(): ReadonlyMap<string, ClusterNode> {
    return this.#nodes;
  }

  /** Takes in the change of a key, and returns what changed for the nodes. */
  update(key: string, view: BucketView): NodeChange[] {
    const before = this.#nodes.get(key);
    const record = decodeNode(view.get(key));
    if (record === undefined) {
      this.#nodes.delete(key);
      return before === undefined ? [] : [{ type: "left", node: before }];
    }
    const node = toNode(record);
    this.#nodes.set(key, node);
    if (before === undefined) return [{ type: "joined", node }];
    if (before.incarnation !== node.incarnation) {
      return [{ type: "left", node: before }, { type: "joined", node }];
    }
    const same = before.weight === node.weight && before.draining === node.draining;
    return same ? [] : [{ type: "updated", node }];
  }
}

function toNode({ name, session, address, metadata, weight, draining }: NodeRecord): ClusterNode {
  return Object.freeze({
    name,
    incarnation: session,
    address,
    metadata: Object.freeze(metadata),
    weight,
    draining,
  });
}
