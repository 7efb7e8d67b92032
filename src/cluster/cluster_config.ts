/**
 * What all nodes of a cluster have to agree on.
 *
 * @module
 */

import { ConfigurationMismatchError } from "../errors.ts";
import type { Bucket } from "./bucket.ts";
import { RevisionConflictError } from "./errors.ts";

const CONFIG_KEY = "config";

/**
 * The first node decides how many shards the cluster has.
 *
 * @throws {ConfigurationMismatchError} If it has decided otherwise.
 */
export async function agreeOnShardCount(bucket: Bucket, shardCount: number): Promise<void> {
  for (;;) {
    const entry = await bucket.get(CONFIG_KEY);
    if (entry?.value !== undefined) {
      const config = JSON.parse(entry.value) as { readonly shardCount: number };
      if (config.shardCount !== shardCount) {
        throw new ConfigurationMismatchError("cluster", undefined, [
          { setting: "shardCount", expected: shardCount, actual: config.shardCount },
        ]);
      }
      return;
    }
    try {
      await bucket.put(CONFIG_KEY, JSON.stringify({ shardCount }), { expected: entry?.revision ?? 0 });
    } catch (error) {
      if (!(error instanceof RevisionConflictError)) throw error;
    }
  }
}
