/**
 * The memory of actors that are active and idle. Run as a program, it measures itself.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { ActorHost } from "../../src/actor/mod.ts";
import { InMemoryEventStore } from "../../src/store/memory/mod.ts";
import { type Counted, counter } from "../actor/counter.ts";

const ACTORS = 20_000;

/** By how many bytes the heap of a new process grows for each actor that is active and idle. */
export async function memoryOfActor(): Promise<number> {
  const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
  const flags = ["--allow-all", "--no-check", "--quiet", "--v8-flags=--expose-gc", "--config", config];
  const args = ["run", ...flags, fileURLToPath(import.meta.url)];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return Number(new TextDecoder().decode(stdout));
}

async function measure(): Promise<number> {
  const { gc } = globalThis as unknown as { gc(): void };
  await using store = new InMemoryEventStore<Counted>();
  const ids = Array.from({ length: ACTORS }, (_, index) => `counter-${index}`);
  for (const id of ids) {
    await store.append(id, [{ eventType: "Counted", data: { by: 1 } }], { expectedVersion: 0 });
  }
  await using host = await ActorHost.start({ store, actors: [counter], idleTimeout: 3_600_000 });
  await host.client.get(counter, "counter-0").query("sum");
  const heap = (): number => {
    gc();
    gc();
    return Deno.memoryUsage().heapUsed;
  };
  const before = heap();
  for (const id of ids) await host.client.get(counter, id).query("sum");
  const growth = heap() - before;
  assert.equal(host.active, ACTORS);
  return growth / ACTORS;
}

if (import.meta.main) console.log(await measure());
