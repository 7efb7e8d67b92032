/**
 * Stores of each kind, with projections and a cluster, and a studio that serves them.
 *
 * @module
 */

import {
  type CheckpointStore,
  Coordinator,
  type CoordinatorOptions,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type EventStore,
  InMemoryBucket,
  InMemoryCheckpoints,
  InMemoryEventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
} from "../../../mod.ts";
import { studio, type StudioOptions } from "../../../src/studio/mod.ts";
import { kvFolder } from "../../support/kv_file.ts";
import type { NatsServer } from "../../support/nats_server.ts";
import type { OrderEvent } from "./orders.ts";

/** A store, and what belongs to it. */
export interface Place extends AsyncDisposable {
  readonly store: EventStore<OrderEvent>;
  readonly checkpoints: CheckpointStore<undefined>;
  /** Joins its cluster; missing if this kind of store has none. */
  join?(name: string): Promise<Coordinator>;
}

const NODE: CoordinatorOptions = { shardCount: 64, ttl: 2_000, maxClockSkew: 100 };

/** In memory. */
export function memoryPlace(): Promise<Place> {
  const store = new InMemoryEventStore<OrderEvent>();
  const checkpoints = new InMemoryCheckpoints();
  const bucket = new InMemoryBucket();
  return Promise.resolve({
    store,
    checkpoints: checkpoints as CheckpointStore<undefined>,
    join: (name) => Coordinator.join(bucket, { ...NODE, name }),
    async [Symbol.asyncDispose](): Promise<void> {
      await checkpoints.close();
      await store.close();
    },
  });
}

/** In a file of Deno KV. */
export async function kvPlace(): Promise<Place> {
  const folder = await kvFolder();
  const store = await DenoKvEventStore.open<OrderEvent>(folder.file, { pollInterval: 5 });
  const checkpoints = await DenoKvCheckpoints.open(folder.file);
  return {
    store,
    checkpoints: checkpoints as CheckpointStore<unknown> as CheckpointStore<undefined>,
    async [Symbol.asyncDispose](): Promise<void> {
      await checkpoints.close();
      await store.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** On a NATS server. */
export async function natsPlace({ url }: NatsServer): Promise<Place> {
  const store = await JetStreamEventStore.open<OrderEvent>(url);
  const checkpoints = await JetStreamCheckpoints.open(url);
  return {
    store,
    checkpoints: checkpoints as CheckpointStore<undefined>,
    join: (name) => Coordinator.join(url, { ...NODE, name }),
    async [Symbol.asyncDispose](): Promise<void> {
      await checkpoints.close();
      await store.close();
    },
  };
}

/** A studio that is served. */
export interface Served extends AsyncDisposable {
  /** The address of its page. */
  readonly url: string;
  /** Its port. */
  readonly port: number;
}

/** Serves a studio as a user's own server does. */
export function serve(
  store: EventStore<OrderEvent>,
  options: StudioOptions<OrderEvent> = {},
  port = 0,
): Served {
  const ending = new AbortController();
  const answer = studio(store, { ...options, signal: ending.signal });
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, answer);
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    port: server.addr.port,
    async [Symbol.asyncDispose](): Promise<void> {
      ending.abort();
      await server.shutdown();
    },
  };
}
