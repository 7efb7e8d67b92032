/**
 * The record of a node. The node writes it when it joins and whenever a field changes. A smaller record, which the node
 * renews, shows that it is alive, so that a heartbeat costs the other nodes nothing.
 *
 * @module
 */
import type { Entry } from "./bucket.ts";
import { isName } from "./names.ts";
import { escapeLevel } from "../text.ts";
import { MAX_WEIGHT } from "./placement.ts";
import { decodeRecord, encodeRecord, isFields, isRevisionBefore } from "./record.ts";
import { MAX_SHARD_COUNT } from "./shard_of.ts";

const KIND = "node";

/** The record under `node.<name>`. */
export interface NodeRecord {
  /** The node's name. */
  readonly name: string;
  /** The fencing token of the lease that this incarnation lives under. */
  readonly session: number;
  /** The address at which other nodes reach it; may be empty. */
  readonly address: string;
  /** The user's own strings. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Its share of the shards relative to the weights of the others. */
  readonly weight: number;
  /** Whether it wants to give its shards away. */
  readonly draining: boolean;
  /**
   * A promise to the leader: the node has seen the map of this revision or a later one, and holds no shard that it was not
   * granted there, except for those in `releasing`.
   */
  readonly seen: number;
  /** Shards that were revoked and in which work has not stopped yet. */
  readonly releasing: readonly number[];
}

/** The key of a node's record. */
export function nodeKey(name: string): string {
  return `node.${escapeLevel(name)}`;
}

/** Writes a node's record as text. */
export function encodeNode(record: NodeRecord): string {
  return encodeRecord(KIND, record);
}

/** Reads a node's record; `undefined` for a tombstone and for a record that cannot be read. */
export function decodeNode(entry: Entry | undefined): NodeRecord | undefined {
  const fields = decodeRecord(KIND, entry?.value);
  return entry !== undefined && fields !== undefined && isNode(fields, entry) ? fields : undefined;
}

function isNode(
  fields: Record<string, unknown>,
  entry: Entry,
): fields is Record<string, unknown> & NodeRecord {
  const { name, session, address, metadata, weight, draining, seen, releasing } = fields;
  return isName(name) && entry.key === nodeKey(name) &&
    isRevisionBefore(session, entry.revision) && typeof address === "string" &&
    isFields(metadata) && Object.values(metadata).every((value) => typeof value === "string") &&
    typeof weight === "number" && weight >= 0 && weight <= MAX_WEIGHT && typeof draining === "boolean" &&
    (seen === 0 || isRevisionBefore(seen, entry.revision)) && Array.isArray(releasing) &&
    releasing.every((shard) => Number.isSafeInteger(shard) && shard >= 0 && shard < MAX_SHARD_COUNT);
}
