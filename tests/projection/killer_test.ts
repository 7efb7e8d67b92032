/** An event that ends the process that handles it: after some processes, its projection's policy applies. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { DenoKvEventStore, discardParked, type Event, listParked, type Projection } from "../../mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { sideBySide } from "../support/side_by_side.ts";
import { IN_HAND, killerOf, type KillerOrder } from "./processes/killer.ts";

/** Starts a process after the other until one ends by itself; returns how each has ended. */
async function startAll(order: KillerOrder): Promise<string[]> {
  const program = fileURLToPath(new URL("./processes/killer.ts", import.meta.url));
  const ends: string[] = [];
  while (ends.length < order.retries + 6) {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", program, JSON.stringify(order)],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let said = "";
    for await (const text of process.stdout.pipeThrough(new TextDecoderStream())) {
      said += text;
      // Not before: a process that has not begun the event does not count.
      if (order.how === "loop" && said.includes(IN_HAND)) process.kill("SIGKILL");
    }
    const { success } = await process.status;
    ends.push(success ? said.trim() : said.trim() === IN_HAND ? "killed by it" : `failed: ${said}`);
    if (success) break;
  }
  return ends;
}

async function comesToPolicy(settings: Scenario): Promise<void> {
  const { backend, then, retries } = settings;
  await using folder = await kvFolder();
  await using server = backend === "JetStream" ? await startNatsServer() : undefined;
  const order = { ...settings, file: folder.file, ...(server && { url: server.url }) };
  await using store = await DenoKvEventStore.open(order.file);
  for (const [actorId, eventType] of [["a", "Good"], ["b", "Bad"], ["c", "Good"]] as const) {
    await store.append(actorId, [{ eventType, data: null }], { expectedVersion: 0 });
  }
  const ends = await startAll(order);
  // The first one is not noted, and the retries follow the attempt that is.
  const last = then === "park" ? "done" : "ProjectionStoppedError/HandlerError";
  assert.match(
    ends.at(-1)!,
    new RegExp(`^${last}( [ac,]+)?$`),
    "it ends in order, and is not called for the event",
  );
  assert.deepEqual(ends.slice(0, -1), Array(retries + 2).fill("killed by it"));
  if (then === "stop") return;
  const projection = await killerOf(order) as Projection<Event, unknown>;
  await using _ = projection.checkpoints;
  const [entry, ...others] = await listParked(projection);
  assert.deepEqual([entry?.actorId, entry?.attempts, others.length], ["b", retries + 1, 0]);
  assert.match(entry!.error, /HandlerError: The process ended/);
  await discardParked(store, projection, entry!.position);
  // What has ended cleanly is not noted: nothing is left of it.
  const stored = await projection.checkpoints.load({ name: "killer", version: 1 });
  assert.equal(JSON.parse(stored!.value).failing, undefined);
}

type Scenario = Omit<KillerOrder, "file" | "url">;

const SCENARIOS: readonly Scenario[] = [
  { backend: "Deno KV", call: "once", how: "exit", then: "park", retries: 2 },
  { backend: "Deno KV", call: "run", how: "reject", then: "park", retries: 0 },
  { backend: "Deno KV", call: "run", how: "loop", then: "stop", retries: 1 },
  { backend: "SQLite", call: "once", how: "reject", then: "stop", retries: 0 },
  { backend: "SQLite", call: "run", how: "exit", then: "park", retries: 1 },
  { backend: "JetStream", call: "run", how: "exit", then: "park", retries: 0 },
];

Deno.test("an event that ends its process comes to its projection's policy", async () => {
  const named = SCENARIOS.map((scenario) => {
    const { backend, call, how, then } = scenario;
    return [`${backend}, ${call}, ${how}: ${then}`, () => comesToPolicy(scenario)] as const;
  });
  await sideBySide(Object.fromEntries(named));
});
