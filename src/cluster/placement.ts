/**
 * Where shards should be: as even as the weights allow, and moved as little as possible.
 *
 * @module
 */

/** The greatest weight. */
export const MAX_WEIGHT = 1_000;

/** A node that can own shards. */
export interface Candidate {
  /** Unique; breaks ties, so that every leader decides alike. */
  readonly name: string;
  /** Its share, relative to the weights of the others; above 0. */
  readonly weight: number;
}

/**
 * Places shards on nodes. Every node gets its share by weight, rounded down or up, so that no load is more than one shard
 * from even; a node keeps what it has up to its share, and only what is above that or has no owner moves. The nodes
 * that may round up are those that would otherwise have to give a shard away: movement is the least possible.
 *
 * @example A third node takes a third
 * ```ts
 * import { place } from "@flowmade-one/aether/cluster";
 * import assert from "node:assert/strict";
 *
 * const nodes = ["a", "b", "c"].map((name) => ({ name, weight: 1 }));
 * assert.deepEqual(place([0, 0, 0, 1, 1, 1], nodes), [2, 0, 0, 2, 1, 1]);
 * ```
 *
 * @param owners For each shard the index of the node that has it now, or -1.
 * @param nodes The nodes that can own shards.
 * @returns For each shard the index of the node that should have it, or -1 if there is no node.
 */
export function place(owners: ArrayLike<number>, nodes: readonly Candidate[]): number[] {
  const target: number[] = Array.from(owners);
  if (nodes.length === 0) return target.fill(-1);
  const load = new Array<number>(nodes.length).fill(0);
  for (const owner of target) if (owner >= 0) load[owner] = (load[owner] ?? 0) + 1;
  const quota = quotas(load, nodes, target.length);

  for (let shard = 0; shard < target.length; shard++) {
    const owner = target[shard] ?? -1;
    if (owner < 0 || (load[owner] ?? 0) <= (quota[owner] ?? 0)) continue;
    load[owner] = (load[owner] ?? 0) - 1;
    target[shard] = -1;
  }

  let node = 0;
  for (let shard = 0; shard < target.length; shard++) {
    if (target[shard] !== -1) continue;
    while ((load[node] ?? 0) >= (quota[node] ?? 0)) node++;
    load[node] = (load[node] ?? 0) + 1;
    target[shard] = node;
  }
  return target;
}

/** What the arithmetic of fractions may be off. */
const ROUNDING = 1e-9;

/** How many shards each node should have; the sum is the number of shards. */
function quotas(load: readonly number[], nodes: readonly Candidate[], shards: number): number[] {
  const weights = nodes.reduce((sum, node) => sum + node.weight, 0);
  const ideal = nodes.map((node) => shards * node.weight / weights);
  const quota = ideal.map((share) => Math.floor(share + ROUNDING));
  const fraction = (node: number): number => (ideal[node] ?? 0) - (quota[node] ?? 0);
  const excess = (node: number): number =>
    fraction(node) > ROUNDING ? Number((load[node] ?? 0) > (quota[node] ?? 0)) : -1;
  const byClaim = nodes.map((_, node) => node).sort((a, b) =>
    excess(b) - excess(a) || fraction(b) - fraction(a) ||
    ((nodes[a]?.name ?? "") < (nodes[b]?.name ?? "") ? -1 : 1)
  );
  const rest = shards - quota.reduce((sum, count) => sum + count, 0);
  for (const node of byClaim.slice(0, rest)) quota[node] = (quota[node] ?? 0) + 1;
  return quota;
}
