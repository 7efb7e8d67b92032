/**
 * `cluster`: the nodes of a cluster, and which shards they have. It only watches: no record is written.
 *
 * @module
 */

import { BucketView } from "../cluster/bucket.ts";
import { openClusterBucket } from "../cluster/jetstream/open.ts";
import { decodeNode, type NodeRecord } from "../cluster/node_record.ts";
import { decodeShardMap, MAP_KEY } from "../cluster/shard_map.ts";
import { bucketStream } from "../nats/jetstream/kv_bucket.ts";
import type { RequestOf } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import type { NatsTarget } from "./nats_target.ts";
import { type Colour, coloured, jsonLine, plural, printable, printTable } from "./output.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `cluster`. */
export async function cluster(
  target: NatsTarget,
  { cluster: name, domain, json }: RequestOf<"cluster">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const options = { cluster: name, ...(domain !== undefined && { domain }) };
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(name) || !await target.exists(bucketStream(`aether_cluster_${name}`))) {
    throw new CommandFailure(`There is no cluster "${printable(name)}".`, ExitCode.found);
  }
  const { bucket, close } = await openClusterBucket(target.connection, options);
  try {
    const view = await viewOf(bucket, signal);
    const nodes = [...view.matching("node.>")].map(decodeNode).filter((node) => node !== undefined);
    const map = decodeShardMap(view.get(MAP_KEY));
    await print({ nodes, map }, json, terminal);
  } finally {
    await close();
  }
  return ExitCode.done;
}

type WatchedBucket = Awaited<ReturnType<typeof openClusterBucket>>["bucket"];

/** Everything that the bucket has. */
async function viewOf(bucket: WatchedBucket, signal: AbortSignal): Promise<BucketView> {
  const view = new BucketView();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  const watch = bucket.watch(["node.>", "alive.>", MAP_KEY], (update) => {
    if (update.type === "unavailable") return reject(update.error);
    view.apply(update);
    if (view.synced) resolve();
  });
  try {
    await promise;
  } finally {
    watch.close();
    signal.removeEventListener("abort", abort);
  }
  return view;
}

interface ClusterPicture {
  readonly nodes: readonly NodeRecord[];
  readonly map: ReturnType<typeof decodeShardMap>;
}

async function print({ nodes, map }: ClusterPicture, json: boolean, terminal: Terminal): Promise<void> {
  const shards = nodes.map((node) => shardsOf(node, map));
  if (json) {
    nodes.forEach((node, index) => {
      const { name, address, metadata, weight, draining, session } = node;
      const isLeader = map?.leader === name;
      terminal.print(
        jsonLine({ name, address, metadata, weight, draining, session, isLeader, shards: shards[index] }),
      );
    });
    return;
  }
  const columns = ["NODE", "ADDRESS", "STATE", "SESSION", "SHARDS", "WHICH"];
  const rows = nodes.map((node, index) => [
    node.name,
    node.address,
    [map?.leader === node.name ? "leader" : "", node.draining ? "draining" : ""].filter(Boolean).join(", "),
    String(node.session),
    String(shards[index]!.length),
    ranges(shards[index]!),
  ]);
  if (rows.length === 0) terminal.note("The cluster has no nodes at the moment.");
  else await printTable(terminal, { columns, rows, colourOf });
  const without = map?.assignments.filter((assignment) => assignment === undefined).length ?? 0;
  if (without > 0) terminal.print(coloured(`${plural(without, "shard")} without an owner.`, "red", terminal));
}

function colourOf(cell: string, column: string): Colour | undefined {
  if (column !== "STATE") return undefined;
  return cell.includes("draining") ? "yellow" : "green";
}

function shardsOf({ name, session }: NodeRecord, map: ClusterPicture["map"]): number[] {
  return (map?.assignments ?? []).flatMap((assignment, shard) =>
    assignment?.owner.name === name && assignment.owner.session === session ? [shard] : []
  );
}

/** Numbers as ranges: `0-3, 7`. */
function ranges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let index = 0; index < numbers.length;) {
    const first = numbers[index]!;
    let last = first;
    while (numbers[++index] === last + 1) last++;
    parts.push(first === last ? String(first) : `${first}-${last}`);
  }
  return parts.join(", ");
}
