/**
 * A cluster on a NATS server as the studio shows it. It only watches: no record is written.
 *
 * @module
 */

import { openClusterBucket, openNamedBucket } from "../cluster/jetstream/open.ts";
import { createInbox } from "../nats/connection.ts";
import { bucketStream } from "../nats/jetstream/kv_bucket.ts";
import { DEFAULT_BUCKET } from "../projection/jetstream_checkpoints.ts";
import type { LeasePage, NodePicture } from "../studio/api/mod.ts";
import { WatchedCluster } from "../studio/cluster_source.ts";
import { ApiFailure } from "../studio/failure.ts";
import type { ClusterSource } from "../studio/parts.ts";
import { NatsTarget } from "./nats_target.ts";
import { remembered } from "./remembered.ts";
import type { Target } from "./target.ts";

/** Which cluster. */
export interface ClusterName {
  /** Its name. */
  readonly cluster: string;
  /** The JetStream domain. */
  readonly domain?: string | undefined;
}

/** Opens the cluster of a target; `undefined` if it is no NATS server. */
export function openNatsCluster(target: Target, name: ClusterName): NatsCluster | undefined {
  return target instanceof NatsTarget ? new NatsCluster(target, name) : undefined;
}

/** Buckets that programs keep their leases in. */
const LEASE_BUCKETS = ["aether_leases", DEFAULT_BUCKET];
/** How long hosts of actors have to answer, in milliseconds. */
const STATS_TIME = 300;

/** A cluster on a NATS server, until it is disposed of. It is looked for when it is asked for, so that one that comes later is found. */
export class NatsCluster implements ClusterSource, AsyncDisposable {
  readonly #target: NatsTarget;
  readonly #name: string;
  readonly #domain: { readonly domain?: string };
  readonly #closing: (() => Promise<void>)[] = [];
  readonly #watched = remembered(() => this.#open());

  constructor(target: NatsTarget, { cluster, domain }: ClusterName) {
    this.#target = target;
    this.#name = cluster;
    this.#domain = domain === undefined ? {} : { domain };
  }

  async picture(): Promise<NodePicture> {
    return await (await this.#found()).picture();
  }

  async leases(after: string, limit: number): Promise<LeasePage> {
    return await (await this.#found()).leases(after, limit);
  }

  async #found(): Promise<WatchedCluster> {
    const watched = await this.#watched();
    if (watched) return watched;
    throw new ApiFailure("not-found", `There is no cluster "${this.#name}". Choose one with --cluster.`);
  }

  async #open(): Promise<WatchedCluster | undefined> {
    const { connection } = this.#target;
    const isName = /^[A-Za-z0-9_-]{1,128}$/.test(this.#name);
    if (!isName || !await this.#target.exists(bucketStream(`aether_cluster_${this.#name}`))) return undefined;
    const cluster = await openClusterBucket(connection, { ...this.#domain, cluster: this.#name });
    this.#closing.push(() => cluster.close());
    const leases = [];
    for (const name of LEASE_BUCKETS) {
      if (!await this.#target.exists(bucketStream(name))) continue;
      const open = await openNamedBucket(connection, this.#domain, name, false);
      this.#closing.push(() => open.close());
      leases.push(open.bucket);
    }
    const watched = new WatchedCluster({
      ...{ cluster: cluster.bucket, leases },
      activeActors: () => this.activeActors(),
    });
    this.#closing.push(() => Promise.resolve(watched[Symbol.dispose]()));
    return watched;
  }

  /** Asks the hosts of the cluster, as the tools of NATS do. */
  async activeActors(): Promise<Readonly<Record<string, number>>> {
    const { connection } = this.#target;
    const active: Record<string, number> = Object.create(null);
    const decoder = new TextDecoder();
    const inbox = createInbox(connection);
    const subscription = connection.subscribe(inbox, {
      callback: (error, { data }) => {
        if (error) return;
        const { node, actors } = readStats(decoder.decode(data));
        if (node !== undefined) active[node] = actors;
      },
    });
    try {
      connection.publish(`$SRV.STATS.aether-actors-${this.#name}`, new Uint8Array(), { reply: inbox });
      await new Promise((resolve) => setTimeout(resolve, STATS_TIME));
    } finally {
      subscription.unsubscribe();
    }
    return active;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.reverse()) await close();
  }
}

/** The node and the number of its actors, of an answer that another program may have sent. */
function readStats(text: string): { readonly node?: string; readonly actors: number } {
  try {
    const { metadata, endpoints } = JSON.parse(text);
    const { node } = metadata;
    const { active } = endpoints[0].data;
    return typeof node === "string" && Number.isSafeInteger(active)
      ? { node, actors: active }
      : { actors: 0 };
  } catch {
    return { actors: 0 };
  }
}
