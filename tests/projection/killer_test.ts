/** An event that ends the process that handles it: after some processes, its projection's policy applies. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore, discardParked, type Event, listParked, type Projection } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { killerOf, type KillerOrder } from "./processes/killer.ts";

/** Starts a process until one ends by itself; returns how each has ended. */
async function startAll(order: KillerOrder): Promise<string[]> {
  const program = fileURLToPath(new URL("./processes/killer.ts", import.meta.url));
  const ends: string[] = [];
  while (ends.length < 8) {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", program, JSON.stringify(order)],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const timer = order.how === "loop" ? setTimeout(() => process.kill("SIGKILL"), 4_000) : undefined;
    const { success, stdout } = await process.output();
    clearTimeout(timer);
    ends.push(success ? new TextDecoder().decode(stdout).trim() : "killed");
    if (success) break;
  }
  return ends;
}

const CASES: readonly Omit<KillerOrder, "file" | "url">[] = [
  { backend: "Deno KV", call: "once", how: "exit", then: "park" },
  { backend: "Deno KV", call: "run", how: "reject", then: "park" },
  { backend: "Deno KV", call: "run", how: "loop", then: "stop" },
  { backend: "SQLite", call: "once", how: "reject", then: "stop" },
  { backend: "SQLite", call: "run", how: "exit", then: "park" },
  { backend: "JetStream", call: "run", how: "exit", then: "park" },
];

for (const settings of CASES) {
  const { backend, call, how, then } = settings;
  Deno.test(`${backend}: an event that ends its process (${how}, ${call}) comes to the policy "${then}"`, async () => {
    await using folder = await kvFolder();
    await using server = backend === "JetStream" ? await startNatsServer() : undefined;
    const order = { ...settings, file: folder.file, ...(server && { url: server.url }) };
    await using store = await DenoKvEventStore.open(order.file);
    for (const [actorId, eventType] of [["a", "Good"], ["b", "Bad"], ["c", "Good"]] as const) {
      await store.append(actorId, [{ eventType, data: null }], { expectedVersion: 0 });
    }
    const ends = await startAll(order);
    // The first one is not noted, and two retries follow the attempt that is.
    const last = then === "park" ? "done" : "ProjectionStoppedError/HandlerError";
    assert.match(ends.at(-1)!, new RegExp(`^${last} [01]$`));
    assert.deepEqual(ends.slice(0, -1), Array(4).fill("killed"));
    if (then === "stop") return;
    const projection = await killerOf(order) as Projection<Event, unknown>;
    await using _ = projection.checkpoints;
    const [entry, ...others] = await listParked(projection);
    assert.deepEqual([entry?.actorId, entry?.attempts, others.length], ["b", 3, 0]);
    assert.match(entry!.error, /HandlerError: The process ended/);
    await discardParked(store, projection, entry!.position);
    // What has ended cleanly is not noted: nothing is left of it.
    const stored = await projection.checkpoints.load({ name: "killer", version: 1 });
    assert.equal(JSON.parse(stored!.value).failing, undefined);
  });
}
