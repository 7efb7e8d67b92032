/**
 * A program that calls many actors of a Deno KV file once each, through a host of few active ones, and prints how its heap
 * grew meanwhile. Its arguments: the file, how many actors, and how many may be active.
 */

import assert from "node:assert/strict";
import { ActorHost } from "@flowmade-one/aether/actor";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { type Counted, counter } from "./counter.ts";

/** How many are called at once. */
const TOGETHER = 500;
/** How many actors the store remembers. */
const CACHED = 1_000;

const [file, actors, maxActive] = [Deno.args[0]!, Number(Deno.args[1]), Number(Deno.args[2])];
const { gc } = globalThis as unknown as { gc(): void };
const heapUsed = (): number => {
  gc();
  gc();
  return Deno.memoryUsage().heapUsed;
};

await using store = await DenoKvEventStore.open<Counted>(file, { cachedActors: CACHED });
await using host = await ActorHost.start({ store, actors: [counter], maxActive });
let mostActive = 0;
const call = async (first: number, end: number): Promise<void> => {
  for (let next = first; next < end; next += TOGETHER) {
    const ids = Array.from(
      { length: Math.min(TOGETHER, end - next) },
      (_, index) => `counter-${next + index}`,
    );
    const answers = await Promise.all(
      ids.map((id) => host.client.get(counter, id).call(1, { timeout: 120_000 })),
    );
    mostActive = Math.max(mostActive, host.active);
    assert.ok(answers.every(({ version, state }) => version === 1 && state === 1));
  }
};
// The heap is as large as it gets once as many actors as may be active, or known to the store, have been forgotten.
const warm = 2 * Math.max(maxActive, 2 * CACHED);
await call(0, warm);
const before = heapUsed();
await call(warm, actors);
const after = heapUsed();
// Those that were released first are loaded again from their events.
for (const key of [0, maxActive, actors - 1]) {
  assert.equal((await host.client.get(counter, `counter-${key}`).call(2)).state, 3);
}
const resident = Deno.memoryUsage().rss;
console.log(JSON.stringify({ before, after, resident, mostActive, active: host.active }));
