/**
 * Processes write to the hub's JetStream domain over a leaf node while the hub is killed, its link is lost and a stream of
 * the leaf node's own domain hears every commit: each answer is true, by the checker.
 */
import assert from "node:assert/strict";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { seededRandom } from "../../../support/event_log.ts";
import { startHubAndLeaf } from "../../../support/leaf_node.ts";
import { openSharedClock } from "../../../support/monotonic.ts";
import { client, sleep } from "../support.ts";
import { checkHistory } from "./checker.ts";
import { Journal, readJournals } from "./history.ts";
import { known, Worker } from "./work.ts";

/** How often the hub is killed and suspended. */
const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);
/** How long the writers may try: longer than an outage. */
const TIMEOUT_MS = 60_000;

Deno.test("writers over a leaf node, while the hub is killed and another stream hears the commits, get true answers", async () => {
  const folder = await Deno.makeTempDir({ prefix: "aether-leaf-" });
  try {
    await using servers = await startHubAndLeaf();
    await using centre = await JetStreamEventStore.open(servers.hub.url, { retention: "forever" });
    await using leaf = await client(servers.leaf.url);
    const subjects = await hubSubjects(servers.hub.url);
    // It takes each commit too, acknowledges it, and is no part of the log.
    await leaf.requests.createStream({ name: "AUDIT", subjects });
    await using edge = await JetStreamEventStore.open(servers.leaf.url, {
      domain: "hub",
      saveTimeout: TIMEOUT_MS,
      answerTimeout: 500,
      connect: { client: { reconnectTimeWait: 50 } },
      onWarning(): void {},
    });
    using clock = openSharedClock();
    const journal = new Journal(`${folder}/edge.0.journal`, clock);
    const worker = new Worker({
      store: edge,
      journal,
      name: "edge",
      timeout: TIMEOUT_MS,
      random: seededRandom(4_711),
    });
    const working = Promise.all(Array.from({ length: 6 }, () => worker.run(5)));
    for (let round = 0; round < ROUNDS; round++) {
      await sleep(1_000);
      await servers.hub.kill();
      await sleep(300);
      await servers.hub.restart();
      await servers.connected();
      await sleep(700);
      await servers.hub.suspend();
      await sleep(700);
      servers.hub.resume();
    }
    await sleep(1_500);
    worker.stop();
    await working;
    journal.close();
    const log = (await Array.fromAsync(centre.readAll())).map(known);
    const history = { ...readJournals(folder), log, outages: [], stale: [] };
    const violations = checkHistory(history);
    assert.equal(violations.length, 0, JSON.stringify(violations.slice(0, 5), null, 1));
    assert.equal((await centre.verify()).ok, true);
    const heard = (await leaf.requests.streamInfo("AUDIT")).state.messages;
    const stored = history.attempts.filter(({ answer }) => answer?.kind === "stored").length;
    assert(stored > 20 && heard > 20, JSON.stringify({ stored, heard }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** The subjects of the hub's stream. */
async function hubSubjects(url: string): Promise<string[]> {
  await using hub = await client(url);
  const { config } = await hub.requests.streamInfo("aether_default");
  return [...config["subjects"] as string[]];
}
