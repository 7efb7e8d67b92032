/** The store in Deno KV keeps the whole contract: on a file, and its quick half on a handle that it is handed. */

import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";
import { kvFolder } from "../../support/kv_file.ts";

testEventStore("DenoKvEventStore on a file", {
  async setUp(): Promise<BackendUnderTest> {
    const folder = await kvFolder();
    return {
      open: (options) => DenoKvEventStore.open(folder.file, { ...options, pollInterval: 20 }),
      dispose: async () => await folder[Symbol.asyncDispose](),
    };
  },
}, { numRuns: 10, load: 0.5 });

testEventStore("DenoKvEventStore on a handle", {
  async setUp(): Promise<BackendUnderTest> {
    const kv = await Deno.openKv(":memory:");
    return {
      open: (options) => DenoKvEventStore.open(kv, { ...options, pollInterval: 20 }),
      dispose: () => kv.close(),
    };
  },
}, { quick: true });
