/**
 * What a node says of itself. It writes this record when it joins and whenever something in it changes; that it is alive
 * is another, smaller record that it renews, so that a heartbeat costs the other nodes nothing.
 *
 * @module
 */

/** The record under `node.<name>`. */
export interface NodeRecord {
  /** The node's name. */
  readonly name: string;
  /** The fencing token of the lease that this incarnation lives under. */
  readonly session: number;
  /** Where it can be reached, if that was given. */
  readonly address: string;
  /** The user's own strings. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Its share of the shards beside the others' weights. */
  readonly weight: number;
  /** Whether it wants to give its shards away. */
  readonly draining: boolean;
  /**
   * A promise to the leader: it has seen the map of this revision or a later one, and holds no shard that it was not
   * granted there, except for those in `releasing`.
   */
  readonly seen: number;
  /** Shards that were revoked and in which work has not stopped yet. */
  readonly releasing: readonly number[];
}

/** Reads a node's record; `undefined` for a tombstone and for what is none. */
export function decodeNode(value: string | undefined): NodeRecord | undefined {
  if (value === undefined) return undefined;
  try {
    const record = JSON.parse(value) as NodeRecord;
    const sound = typeof record.name === "string" && typeof record.session === "number" &&
      typeof record.weight === "number" && Array.isArray(record.releasing);
    return sound ? record : undefined;
  } catch {
    return undefined;
  }
}
