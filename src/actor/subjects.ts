/**
 * The NATS subjects of a cluster's actors.
 *
 * @module
 */

import { escapeLevel } from "../text.ts";

/** The subject of a shard. */
export function shardSubject(cluster: string, shard: number): string {
  return `aether.actors.${cluster}.${shard}`;
}

/** The subject at which every host of a cluster answers with its number of shards. */
export function infoSubject(cluster: string): string {
  return `aether.actors.${cluster}.info`;
}

/** The subject at which the moves of actors to a host are announced. */
export function nodeSubject(cluster: string, node: string): string {
  return `aether.actors.${cluster}.node.${escapeLevel(node)}`;
}
