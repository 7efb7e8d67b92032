/**
 * The stores that are fuzzed: each with real backends, a fresh namespace a history.
 *
 * @module
 */

import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
import type { BackendUnderTest, EventStoreHarness } from "@flowmade-one/aether/testing";
import { connectTo } from "../../src/nats/connect.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";

/** A kind of store to fuzz, and what removes what it was fuzzed on. */
export interface FuzzedStore extends AsyncDisposable {
  /** Opens stores. */
  readonly harness: EventStoreHarness;
}

/** The namespace of the stream that stays. */
const KEPT = "kept";

/** By name: what makes ready to fuzz a store. */
export const FUZZED = {
  memory: (): Promise<FuzzedStore> =>
    Promise.resolve({
      harness: {
        setUp(): BackendUnderTest {
          const storage = new InMemoryStorage();
          return { open: (options) => new InMemoryEventStore({ ...options, storage }) };
        },
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),

  "deno-kv": (): Promise<FuzzedStore> =>
    Promise.resolve({
      harness: {
        async setUp(): Promise<BackendUnderTest> {
          const folder = await kvFolder();
          return {
            open: (options) => DenoKvEventStore.open(folder.file, { ...options, pollInterval: 20 }),
            dispose: async () => await folder[Symbol.asyncDispose](),
          };
        },
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),

  async jetstream(): Promise<FuzzedStore> {
    const server = await startNatsServer();
    const connection = await connectTo(server.url);
    // A server from which the last stream is removed may be removing its folder while the next one is created.
    await (await JetStreamEventStore.open(connection, { namespace: KEPT })).close();
    let histories = 0;
    const request = async (subject: string): Promise<{ streams?: readonly string[] }> =>
      JSON.parse(new TextDecoder().decode((await connection.request(`$JS.API.STREAM.${subject}`)).data));
    return {
      harness: {
        setUp(): BackendUnderTest {
          const namespace = `history-${++histories}`;
          return {
            open: (options) =>
              JetStreamEventStore.open(connection, { namespace, ...options, heartbeat: 100 }),
            async dispose(): Promise<void> {
              for (const stream of (await request("NAMES")).streams ?? []) {
                if (!stream.endsWith(KEPT)) await request(`DELETE.${stream}`);
              }
            },
          };
        },
      },
      async [Symbol.asyncDispose](): Promise<void> {
        await connection.close();
        await server.stop();
      },
    };
  },
} satisfies Record<string, () => Promise<FuzzedStore>>;

/** The name of a kind of store. */
export type FuzzedName = keyof typeof FUZZED;
