/** The store on Deno KV keeps the whole contract, on a file. */

import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";

testEventStore("DenoKvEventStore", {
  async setUp(): Promise<BackendUnderTest> {
    const folder = await Deno.makeTempDir();
    return {
      open: (options) => DenoKvEventStore.open(`${folder}/events.sqlite3`, { ...options, pollInterval: 20 }),
      dispose: () => Deno.remove(folder, { recursive: true }),
    };
  },
}, { numRuns: 10, load: 0.5 });
