/**
 * The stores that are fuzzed: each with real backends, a fresh namespace a history.
 *
 * @module
 */

import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
import { compileFailingFlush } from "../support/failing_flush.ts";
import { streamName } from "../../src/store/jetstream/format/layout.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { client } from "../store/jetstream/support.ts";
import { appendWithoutFlush, deleteKeys, plantValue } from "./deno_kv_faults.ts";
import type { FlushReport, FlushStep, FuzzedBackend, FuzzHarness } from "./fault_steps.ts";
import { plantMessage, StreamCopy } from "./jetstream_faults.ts";

/** A kind of store to fuzz, and what removes what it was fuzzed on. */
export interface FuzzedStore extends AsyncDisposable {
  /** Opens stores. */
  readonly harness: FuzzHarness;
}

/** The namespace of the stream that stays. */
const KEPT = "kept";

/** By name: what makes ready to fuzz a store. */
export const FUZZED = {
  memory: (): Promise<FuzzedStore> =>
    Promise.resolve({
      harness: {
        setUp(): FuzzedBackend {
          let storage = new InMemoryStorage();
          return {
            open: (options) => new InMemoryEventStore({ ...options, storage }),
            deleteLog: () => void (storage = new InMemoryStorage()),
            keepsReplacedLogs: true,
          };
        },
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),

  async "deno-kv"(): Promise<FuzzedStore> {
    const tools = await kvFolder();
    let preload: Promise<string | undefined> | undefined;
    return {
      harness: {
        async setUp(): Promise<FuzzedBackend> {
          const folder = await kvFolder();
          return {
            open: (options) => DenoKvEventStore.open(folder.file, { ...options, pollInterval: 20 }),
            backUp: () => folder.backUp(),
            restore: () => folder.restore(),
            deleteLog: () => deleteKeys(folder.file),
            plant: (plant) => plantValue(folder.file, plant),
            dispose: async () => await folder[Symbol.asyncDispose](),
          };
        },
        async flush(steps: readonly FlushStep[]): Promise<FlushReport | undefined> {
          const library = await (preload ??= compileFailingFlush(tools.path));
          return library === undefined ? undefined : await appendWithoutFlush(library, steps);
        },
      },
      [Symbol.asyncDispose]: () => tools[Symbol.asyncDispose](),
    };
  },

  async jetstream(): Promise<FuzzedStore> {
    const server = await startNatsServer();
    const nats = await client(server.url);
    const { connection, requests } = nats;
    // A server from which the last stream is removed may be removing its folder while the next one is created.
    await (await JetStreamEventStore.open(connection, { namespace: KEPT })).close();
    let histories = 0;
    return {
      harness: {
        setUp(): FuzzedBackend {
          const namespace = `history-${++histories}`;
          const stream = streamName("aether", namespace);
          const copy = new StreamCopy(nats, stream);
          return {
            open: (options) =>
              JetStreamEventStore.open(connection, {
                namespace,
                retention: "forever",
                acceptLostTail: true,
                ...options,
                heartbeat: 100,
              }),
            backUp: () => copy.take(),
            restore: () => copy.putBack(),
            deleteLog: async () => void await requests.request(`STREAM.DELETE.${stream}`),
            plant: (plant) => plantMessage(nats, namespace, plant),
            async dispose(): Promise<void> {
              const { streams } = await requests.request<{ streams: readonly string[] | null }>(
                "STREAM.NAMES",
              );
              const own = streams?.filter((name) => name.endsWith(stream)) ?? [];
              for (const name of own) await requests.request(`STREAM.DELETE.${name}`);
            },
          };
        },
      },
      async [Symbol.asyncDispose](): Promise<void> {
        await nats[Symbol.asyncDispose]();
        await server.stop();
      },
    };
  },
} satisfies Record<string, () => Promise<FuzzedStore>>;

/** The name of a kind of store. */
export type FuzzedName = keyof typeof FUZZED;
