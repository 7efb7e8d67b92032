/**
 * The code under test: the production modules, or a copy of them that was broken on purpose.
 *
 * @module
 */
import type * as bucketState from "../../../src/cluster/bucket_state.ts";
import type * as clusterConfig from "../../../src/cluster/cluster_config.ts";
import type * as coordinatorOptions from "../../../src/cluster/coordinator_options.ts";
import type * as errors from "../../../src/cluster/errors.ts";
import type * as leaseStore from "../../../src/cluster/lease_store.ts";
import type * as leaseRecord from "../../../src/cluster/lease_record.ts";
import type * as member from "../../../src/cluster/member.ts";
import type * as names from "../../../src/cluster/names.ts";
import type * as shardMap from "../../../src/cluster/shard_map.ts";

export type Subject =
  & Pick<typeof bucketState, "BucketState">
  & Pick<typeof clusterConfig, "readShardCount">
  & Pick<typeof coordinatorOptions, "checkOptions">
  & Pick<typeof errors, "RevisionConflictError" | "unanswered">
  & Pick<typeof leaseRecord, "readLease">
  & Pick<typeof leaseStore, "BucketLeaseStore">
  & Pick<typeof member, "Member">
  & Pick<typeof names, "matchesKey">
  & Pick<typeof shardMap, "decodeShardMap" | "sessionKey">;

const FILES = [
  "bucket_state",
  "cluster_config",
  "coordinator_options",
  "errors",
  "lease_record",
  "lease_store",
  "member",
  "names",
  "shard_map",
] as const;

/** The folder of the production code. */
export const PRODUCTION: URL = new URL("../../../src/cluster/", import.meta.url);

/** Loads the code under test from a folder. */
export async function loadSubject(folder: URL = PRODUCTION): Promise<Subject> {
  const modules = await Promise.all(FILES.map((file) => import(new URL(`${file}.ts`, folder).href)));
  return Object.assign({}, ...modules) as Subject;
}
