/**
 * What a node knows of its cluster: the latest records that arrived.
 *
 * @module
 */
import { BucketView } from "./bucket.ts";
import { CONFIG_KEY, readShardCount } from "./cluster_config.ts";
import type { CheckedOptions } from "./coordinator_options.ts";
import { type Leader, LEADER_KEY } from "./leadership.ts";
import { isUnreadableLease, readLease } from "./lease_record.ts";
import type { MemberWarnings } from "./member_warnings.ts";
import { Membership, type NodeChange } from "./membership.ts";
import { nodeKey } from "./node_record.ts";
import { decodeShardMap, MAP_KEY, type ShardMap } from "./shard_map.ts";

/** The map, the leader and the nodes. A record that cannot be read is reported, and counts as none. */
export class KnownCluster {
  /** The records. */
  readonly view = new BucketView();
  /** The nodes. */
  readonly membership = new Membership();
  readonly #shardCount: number;
  readonly #warnings: MemberWarnings;
  #map: ShardMap | undefined;
  #leader: Leader | undefined;

  constructor({ shardCount }: Pick<CheckedOptions, "shardCount">, warnings: MemberWarnings) {
    this.#shardCount = shardCount;
    this.#warnings = warnings;
  }

  /** The latest version of the map. */
  get map(): ShardMap | undefined {
    return this.#map;
  }

  /** The revision of the latest map; 0 if there is none. */
  get mapRevision(): number {
    return this.view.get(MAP_KEY)?.revision ?? 0;
  }

  /** The leader that was last heard of. */
  get leader(): Leader | undefined {
    return this.#leader;
  }

  /** Whether every shard has an owner, which is a known node. */
  get isWhole(): boolean {
    if (this.#map === undefined) return false;
    for (const owner of new Set(this.#map.assignments.map((assignment) => assignment?.owner))) {
      if (owner === undefined) return false;
      if (this.membership.nodes.get(nodeKey(owner.name))?.incarnation !== owner.session) return false;
    }
    return true;
  }

  /** Reads the map that arrived. */
  readMap(): void {
    const entry = this.view.get(MAP_KEY);
    const map = decodeShardMap(entry);
    if (entry?.value !== undefined && map === undefined) this.#warnings.unreadable(MAP_KEY);
    this.#map = map?.assignments.length === this.#shardCount ? map : undefined;
  }

  /** Reads the leader's lease that arrived, and returns whether another lease than before is in its place. */
  readLeader(): boolean {
    const entry = this.view.get(LEADER_KEY);
    const leader = readLease(entry);
    if (isUnreadableLease(entry)) this.#warnings.unreadable(LEADER_KEY);
    if (leader?.token === this.#leader?.fencingToken) return false;
    this.#leader = leader && { name: leader.holder, fencingToken: leader.token };
    return true;
  }

  /** Reads the number of shards that arrived. */
  readShardCount(): number | undefined {
    const entry = this.view.get(CONFIG_KEY);
    const found = readShardCount(entry);
    if (entry?.value !== undefined && found === undefined) this.#warnings.unreadable(CONFIG_KEY);
    return found;
  }

  /** Reads the record of a node that arrived, and returns what changed for the nodes. */
  readNode(key: string): NodeChange[] {
    const changes = this.membership.update(key, this.view);
    const isUnreadable = this.view.get(key)?.value !== undefined && !this.membership.nodes.has(key);
    if (isUnreadable) this.#warnings.unreadable(key);
    return changes;
  }
}
