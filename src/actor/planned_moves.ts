/**
 * Planned moves: before a host gives a shard away, the next owner reads the states of the actors that are active in it. The
 * host answers their calls meanwhile, and the next owner reads what has come since when it has the shard. So the calls wait
 * for a few events of each actor, and not for its whole history.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { Coordinator } from "../cluster/coordinator.ts";
import type { ClusterNode } from "../cluster/membership.ts";
import type { OwnedShard } from "../cluster/owned_shards.ts";
import { place } from "../cluster/placement.ts";
import type { NatsConnection, NatsMessage, NatsSubscription } from "../nats/connection.ts";
import { settledWithin } from "../sleep.ts";
import type { ActiveActors } from "./active_actors.ts";
import { type AnyActor, definitionOf } from "./definition.ts";
import type { RemoteCaller } from "./remote.ts";
import { nodeSubject } from "./subjects.ts";
import { decodePreload, encode } from "./wire.ts";

/** What moves work with. */
export interface MovesSetup {
  /** Whose shards they are. */
  readonly coordinator: Coordinator;
  /** Where requests arrive. */
  readonly connection: NatsConnection;
  /** The name of the cluster. */
  readonly cluster: string;
  /** The kinds of actors, by name. */
  readonly definitions: ReadonlyMap<string, AnyActor>;
  /** The actors in memory. */
  readonly actors: ActiveActors;
  /** Sends requests to the other hosts. */
  readonly remote: RemoteCaller;
}

/** How long a shard stays for it, in milliseconds. Its calls are answered meanwhile. */
const MAX_PRELOAD_TIME = 1_000;
/** How many actors of a shard are read early, those that were called last: a message has to hold their ids. */
const MAX_PRELOADED = 500;
/** How many of them are read at once, so that the calls of other actors go on. */
const PRELOADED_AT_ONCE = 8;

/** Announces the moves of this host's shards to their next owners, and takes such announcements. */
export class PlannedMoves {
  readonly #setup: MovesSetup;
  readonly #subscription: NatsSubscription;
  readonly #ending = new AbortController();

  /** Takes announcements from now on. */
  constructor(setup: MovesSetup) {
    const { connection, cluster, coordinator } = setup;
    this.#setup = setup;
    this.#subscription = connection.subscribe(nodeSubject(cluster, coordinator.name), {
      callback: (error, message) => {
        if (error) return; // without permission to listen, moves take longer
        this.#preload(message).catch(() => {}); // the connection is being closed
      },
    });
  }

  /** Ends all of it. */
  close(): void {
    this.#ending.abort();
    if (!this.#setup.connection.isClosed()) this.#subscription.unsubscribe();
  }

  /** Lets the next owner of a shard read the states of its active actors. Resolves when it has, or the time is over. */
  async announce(shard: OwnedShard): Promise<void> {
    const { coordinator, actors, remote } = this.#setup;
    const { signal } = this.#ending;
    const ids = actors.idsOf(shard, MAX_PRELOADED);
    const next = ids.length > 0 && !signal.aborted ? nextOwner(coordinator, shard.id) : undefined;
    if (!next) return;
    await abortable(remote.preload(next.name, ids, MAX_PRELOAD_TIME), signal).catch(() => {});
  }

  /** This host is the next owner: reads the states. */
  async #preload({ data, reply }: NatsMessage): Promise<void> {
    const ids = decodePreload(data)?.slice(0, MAX_PRELOADED);
    if (!ids || !reply) return;
    const { connection, actors, definitions } = this.#setup;
    const end = performance.now() + MAX_PRELOAD_TIME;
    const waiting = ids.values();
    const work = Array.from({ length: PRELOADED_AT_ONCE }, async () => {
      for (const id of waiting) {
        if (performance.now() >= end || this.#ending.signal.aborted) return;
        const definition = definitionOf(id, definitions.values());
        if (definition) await actors.preload(definition, id);
      }
    });
    await settledWithin(Promise.all(work), MAX_PRELOAD_TIME);
    connection.publish(reply, encode({ ok: null }));
  }
}

/**
 * The node that is to own a shard of this node, which is to move: as the leader will decide, unless the nodes change until
 * then. `undefined` if there is no other node.
 */
export function nextOwner(coordinator: Coordinator, shard: number): ClusterNode | undefined {
  const candidates = coordinator.nodes().filter(({ weight, draining }) => weight > 0 && !draining);
  const owners = coordinator.shardOwners();
  const isOwn = ({ name }: ClusterNode): boolean => name === coordinator.name;
  const placed = (nodes: readonly ClusterNode[]): ClusterNode | undefined => {
    const indexes = new Map(nodes.map(({ name }, index) => [name, index]));
    return nodes[place(owners.map((owner) => indexes.get(owner?.name ?? "") ?? -1), nodes)[shard]!];
  };
  const next = placed(candidates);
  // The record of a node that leaves shows it only once the node has no shards.
  return next && isOwn(next) ? placed(candidates.filter((node) => !isOwn(node))) : next;
}
