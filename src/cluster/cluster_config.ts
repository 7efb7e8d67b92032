/**
 * The configuration that all nodes of a cluster share.
 *
 * @module
 */
import { ConfigurationMismatchError } from "../errors.ts";
import type { Bucket, Entry } from "./bucket.ts";
import { RevisionConflictError } from "./errors.ts";
import { decodeRecord, encodeRecord } from "./record.ts";
import { decodeShardMap, MAP_KEY } from "./shard_map.ts";
import { MAX_SHARD_COUNT } from "./shard_of.ts";

/** The key of the configuration. */
export const CONFIG_KEY = "config";
const KIND = "config";

/**
 * Makes sure that the cluster has this number of shards: the first node decides it.
 *
 * @throws {ConfigurationMismatchError} If it has another number, or its configuration cannot be read.
 */
export async function agreeOnShardCount(bucket: Bucket, shardCount: number): Promise<void> {
  for (;;) {
    const entry = await bucket.get(CONFIG_KEY);
    if (entry?.value !== undefined) return check(readShardCount(entry), shardCount);
    // The configuration may have been deleted while the cluster works.
    const map = decodeShardMap(await bucket.get(MAP_KEY));
    if (map !== undefined) check(map.assignments.length, shardCount);
    try {
      await bucket.put(CONFIG_KEY, encodeConfig(shardCount), { expected: entry?.revision ?? 0 });
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error;
    }
  }
}

/** Writes the configuration as text. */
export function encodeConfig(shardCount: number): string {
  return encodeRecord(KIND, { shardCount });
}

/** Reads the number of shards; `undefined` for a tombstone and for a record that cannot be read. */
export function readShardCount(entry: Entry | undefined): number | undefined {
  const shardCount = decodeRecord(KIND, entry?.value)?.["shardCount"];
  const isSound = Number.isSafeInteger(shardCount) && (shardCount as number) >= 1 &&
    (shardCount as number) <= MAX_SHARD_COUNT;
  return isSound ? shardCount as number : undefined;
}

/** Whether joining failed because the configuration cannot be read: it may be written again. */
export function isUnreadableConfig(error: unknown): boolean {
  return error instanceof ConfigurationMismatchError && error.differences[0]?.setting === CONFIG_KEY;
}

function check(found: number | undefined, shardCount: number): void {
  if (found === shardCount) return;
  const difference = found === undefined
    ? {
      setting: CONFIG_KEY,
      expected: "a record that this version can read",
      actual: "damaged, or of a newer version",
    }
    : { setting: "shardCount", expected: shardCount, actual: found };
  throw new ConfigurationMismatchError("cluster", undefined, [difference]);
}
