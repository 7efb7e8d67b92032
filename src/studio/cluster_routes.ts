/**
 * Routes about the cluster.
 *
 * @module
 */

import type { ClusterPicture, LeasePage, NodePicture, NodeRow, ShardMove } from "./api/mod.ts";
import { type Call, recently, streamOf } from "./call.ts";
import { pause, type StreamOutput } from "./event_stream.ts";
import { ApiFailure, failureOf } from "./failure.ts";
import { jsonOf, jsonResponse } from "./json.ts";
import type { ClusterSource } from "./parts.ts";

/** How often a page gets what has moved, and how often the leases, in milliseconds. */
const INTERVAL = 250;
const LEASE_INTERVAL = 2_000;
/** How old the number of active actors may be, in milliseconds. */
const MAX_AGE = 1_500;

/** GET `api/cluster`. */
export async function showCluster(call: Call): Promise<Response> {
  const source = sourceOf(call);
  const [picture, leases, active] = await Promise.all([source.picture(), leasesOf(call), activeActors(call)]);
  return jsonResponse({ ...withActors(picture, active), ...leases } satisfies ClusterPicture);
}

function sourceOf({ parts: { cluster } }: Call): ClusterSource {
  if (cluster) return cluster;
  throw new ApiFailure("not-found", "No cluster is known to this studio.");
}

async function leasesOf(call: Call): Promise<LeasePage> {
  const { query } = call;
  return await sourceOf(call).leases(query.text("after") ?? "", query.limit);
}

/** Hosts that do not answer are left out. */
async function activeActors(call: Call): Promise<Readonly<Record<string, number>>> {
  const source = sourceOf(call);
  return await recently(call.state, "actors", MAX_AGE, () => source.activeActors().catch(() => ({})));
}

function withActors(picture: NodePicture, active: Readonly<Record<string, number>>): NodePicture {
  const nodes = picture.nodes.map((node): NodeRow => (
    { ...node, activeActors: Object.hasOwn(active, node.name) ? active[node.name]! : null }
  ));
  return { ...picture, nodes };
}

/** Stream `api/cluster/live`. */
export function followCluster(call: Call): Response {
  sourceOf(call);
  void call.query.limit; // a wrong one is refused before the stream opens
  return streamOf(call, (output) => new LiveCluster(call, output).run());
}

/** Sends to one page how the cluster changes. */
class LiveCluster {
  readonly #call: Call;
  readonly #output: StreamOutput;
  #nodes = "";
  #owners: readonly (string | null)[] | undefined;
  #leasesAt = performance.now();

  constructor(call: Call, output: StreamOutput) {
    this.#call = call;
    this.#output = output;
  }

  async run(): Promise<void> {
    const { signal } = this.#output;
    for (; !signal.aborted; await pause(INTERVAL, signal)) {
      await this.#output.hasRoom();
      try {
        await this.#look();
      } catch (error) {
        // The stream also sends whether the store answers.
        if (failureOf(error).code !== "unavailable") throw error;
      }
    }
  }

  async #look(): Promise<void> {
    const picture = await sourceOf(this.#call).picture();
    const names = picture.nodes.map(({ name }) => name);
    const owners = picture.owners.map((owner) => names[owner] ?? null);
    const known = this.#owners ?? owners;
    const moves = owners.flatMap((to, shard): ShardMove[] => {
      const from = known[shard] ?? null;
      return to === from ? [] : [{ shard, from, to }];
    });
    // What changes with each move is not a change of the node.
    const nodes = jsonOf([picture.shardCount, ...picture.nodes.map((node) => ({ ...node, shards: 0 }))]);
    if (nodes !== this.#nodes) {
      const shown = withActors(picture, await activeActors(this.#call));
      this.#output.send("cluster", { ...shown, ...await leasesOf(this.#call) } satisfies ClusterPicture);
    }
    if (moves.length > 0) this.#output.send("moves", moves);
    [this.#nodes, this.#owners] = [nodes, owners];
    if (performance.now() - this.#leasesAt < LEASE_INTERVAL) return;
    this.#leasesAt = performance.now();
    const active = await activeActors(this.#call);
    this.#output.send("leases", { ...await leasesOf(this.#call), activeActors: active });
  }
}
