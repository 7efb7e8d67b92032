import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore } from "../../../mod.ts";

const MOD = new URL("../../../mod.ts", import.meta.url).href;
const CONFIG = fileURLToPath(new URL("../../../deno.json", import.meta.url));

async function codes(path: string): Promise<string[]> {
  await using store = await DenoKvEventStore.open(path);
  return (await store.diagnose()).map(({ code }) => code);
}

Deno.test("diagnose() reports where the events of a Deno KV store are kept", async () => {
  const folder = await Deno.makeTempDir({ prefix: "aether diagnose " });
  try {
    assert.deepEqual(await codes(":memory:"), ["in-memory"]);
    assert.deepEqual(await codes(`${folder}/events.kv`), ["one-file"]);
    // Another process, whose default database is not one of this machine's.
    const program = `const { DenoKvEventStore } = await import(${JSON.stringify(MOD)});
      await using store = await DenoKvEventStore.open();
      console.log((await store.diagnose()).map(({ code }) => code).join());`;
    await Deno.writeTextFile(`${folder}/main.ts`, program);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--quiet", "--config", CONFIG, `${folder}/main.ts`],
      env: { DENO_KV_DB_MODE: "memory" },
    }).output();
    assert.equal(
      new TextDecoder().decode(stdout).trim(),
      "default-database",
      new TextDecoder().decode(stderr),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
