/** The three stores of this library, side by side on one server. */

import {
  DenoKvEventStore,
  type EventStoreOptions,
  InMemoryEventStore,
  JetStreamEventStore,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";

/** A store of any kind. */
export type AnyStore = InMemoryEventStore | DenoKvEventStore | JetStreamEventStore;
/** The kinds of stores. */
export const KINDS = ["memory", "Deno KV", "JetStream"] as const;
/** A kind of store. */
export type Kind = (typeof KINDS)[number];

/** Opens empty stores, each in a namespace of its own. */
export interface Stores extends AsyncDisposable {
  /** The address of the NATS server. */
  readonly url: string;
  /** The database. */
  readonly kv: Deno.Kv;
  /** Opens a store. */
  open(kind: Kind, options?: EventStoreOptions): Promise<AnyStore>;
}

/** Starts a server and opens a database. */
export async function stores(): Promise<Stores> {
  const server = await startNatsServer();
  const kv = await Deno.openKv(":memory:");
  let opened = 0;
  const disposables: AsyncDisposable[] = [];
  return {
    url: server.url,
    kv,
    async open(kind, options): Promise<AnyStore> {
      const own = { namespace: `n${++opened}`, ...options };
      const store = kind === "memory"
        ? new InMemoryEventStore(own)
        : kind === "Deno KV"
        ? await DenoKvEventStore.open(kv, own)
        : await JetStreamEventStore.open(server.url, own);
      disposables.push(store);
      return store;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      for (const store of disposables) await store[Symbol.asyncDispose]();
      kv.close();
      await server[Symbol.asyncDispose]();
    },
  };
}
