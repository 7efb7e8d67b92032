/**
 * The three stores, each with checkpoints.
 *
 * @module
 */

import {
  type CheckpointStore,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
} from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";

/** A kind of store. */
export interface Backend {
  readonly name: string;
  open(): Promise<AsyncDisposable & { store: EventStore; checkpoints: CheckpointStore<unknown> }>;
}

/** All kinds. */
export const BACKENDS: readonly Backend[] = [
  {
    name: "memory",
    open: () => {
      const store = new InMemoryEventStore();
      const parts = { store, checkpoints: new InMemoryCheckpoints() as CheckpointStore<unknown> };
      return Promise.resolve({ ...parts, [Symbol.asyncDispose]: () => store.close() });
    },
  },
  {
    name: "Deno KV",
    open: async () => {
      const folder = await kvFolder();
      const store = await DenoKvEventStore.open(folder.file);
      const checkpoints = await DenoKvCheckpoints.open(folder.file);
      return {
        ...{ store, checkpoints: checkpoints as CheckpointStore<unknown> },
        async [Symbol.asyncDispose](): Promise<void> {
          await checkpoints[Symbol.asyncDispose]();
          await store.close();
          await folder[Symbol.asyncDispose]();
        },
      };
    },
  },
  {
    name: "NATS JetStream",
    open: async () => {
      const server = await startNatsServer();
      const store = await JetStreamEventStore.open(server.url);
      const checkpoints = await JetStreamCheckpoints.open(server.url);
      return {
        ...{ store, checkpoints: checkpoints as CheckpointStore<unknown> },
        async [Symbol.asyncDispose](): Promise<void> {
          await checkpoints[Symbol.asyncDispose]();
          await store.close();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  },
];
