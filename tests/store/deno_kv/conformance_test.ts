/** The store in Deno KV keeps the whole contract: on a file, and its quick half on a handle that it is handed. */

import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { type BackendUnderTest, testEventStore } from "@flowmade-one/aether/testing";
import { kvFolder } from "../../support/kv_file.ts";

testEventStore("DenoKvEventStore on a file", {
  async setUp(): Promise<BackendUnderTest> {
    const folder = await kvFolder();
    return {
      open: (options) => DenoKvEventStore.open(folder.file, { ...options, pollInterval: 20 }),
      backUp: () => folder.backUp(),
      restore: () => folder.restore(),
      deleteLog: async () => {
        using kv = await Deno.openKv(folder.file);
        await deleteKeys(kv);
      },
      dispose: async () => await folder[Symbol.asyncDispose](),
    };
  },
}, { numRuns: 10, load: 0.5 });

testEventStore("DenoKvEventStore on a handle", {
  async setUp(): Promise<BackendUnderTest> {
    const kv = await Deno.openKv(":memory:");
    return {
      open: (options) => DenoKvEventStore.open(kv, { ...options, pollInterval: 20 }),
      deleteLog: () => deleteKeys(kv),
      dispose: () => kv.close(),
    };
  },
  lacks: ["restoring"],
}, { quick: true });

/** Deletes all that the default namespace holds, at one instant: a half of a log is damaged, and not another log. */
async function deleteKeys(kv: Deno.Kv): Promise<void> {
  const deletion = kv.atomic();
  for await (const { key } of kv.list({ prefix: ["aether", "default"] })) deletion.delete(key);
  await deletion.commit();
}
