/** How large the page is, and what a studio costs in memory. */

import assert from "node:assert/strict";
import { DenoKvEventStore, InMemoryEventStore } from "../../mod.ts";
import { CLIENT_FILES, PAGE } from "../../src/studio/client/files.ts";
import type { ActorState, HistoryPage, LogPage } from "../../src/studio/api/mod.ts";
import { studio } from "../../src/studio/mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { freePort } from "../support/ports.ts";
import { Studio } from "./process.ts";
import { Client } from "./support.ts";

/** The most bytes that a browser loads for the first page. */
const MAX_PAGE = 60 * 1024;
const EVENTS = 20_000;

Deno.test("the first page and all that it loads has at most 60 KiB compressed, and is sent once", async () => {
  await using store = new InMemoryEventStore();
  const answer = studio(store, { path: "/studio" });
  const load = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    answer(
      new Request(`http://127.0.0.1/studio/${path}`, { headers: { "accept-encoding": "gzip", ...headers } }),
    );
  const paths = ["", ...Array.from(CLIENT_FILES.keys(), (name) => `client/${name}`)];
  let total = 0;
  for (const path of paths) {
    const response = await load(path);
    assert.deepEqual([response.status, response.headers.get("content-encoding")], [200, "gzip"], path);
    const bytes = await response.bytes();
    assert.equal(response.headers.get("content-length"), String(bytes.length));
    total += bytes.length;
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const plain = await (await load(path, { "accept-encoding": "identity" })).text();
    assert.equal(await new Response(unpacked).text(), plain);
    const again = await load(path, { "if-none-match": response.headers.get("etag")! });
    assert.deepEqual([again.status, await again.text()], [304, ""], path);
  }
  assert(total <= MAX_PAGE, `${total} bytes`);
  // The page loads no file of another place.
  assert.doesNotMatch(PAGE.text, /(src|href)="(\/|https?:)/);
  const redirected = await answer(new Request("http://127.0.0.1/studio"));
  assert.deepEqual([redirected.status, redirected.headers.get("location")], [308, "/studio/"]);
});

/** The resident memory of a process, in MiB. */
async function residentMemory(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) / 1024;
}

Deno.test("a studio pages through a long log and a long history in bounded memory", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open(folder.file);
    for (let written = 0; written < EVENTS; written += 1_000) {
      const events = Array.from(
        { length: 1_000 },
        (_, index) => ({ eventType: "Ticked", data: { number: written + index } }),
      );
      await store.append("clock", events, { expectedVersion: written });
    }
  }
  const allow = [`--allow-read=${folder.file}`, `--allow-write=${folder.file}`, "--allow-net=127.0.0.1"];
  await using served = await Studio.start([folder.file, "--port", String(freePort())], allow);
  const { client, pid } = served;
  let highest = 0;
  let seen = 0;
  for (let before: string | null = ""; before !== null;) {
    const page: LogPage = await client.get(`log?limit=500${before === "" ? "" : `&before=${before}`}`);
    seen += page.events.length;
    before = page.earlier;
    if (seen % 10_000 === 0) highest = Math.max(highest, await residentMemory(pid));
  }
  assert.equal(seen, EVENTS);
  const middle = await client.get<HistoryPage>(`actor?actor=clock&to=${EVENTS / 2}&limit=3`);
  assert.deepEqual(middle.events.map(({ version }) => EVENTS / 2 - version), [0, 1, 2]);
  const state = await client.get<ActorState>(`actor/state?actor=clock&version=${EVENTS - 1}`);
  assert.deepEqual(state.event?.data, { number: EVENTS - 2 });
  assert(highest <= 150, `${Math.round(highest)} MiB`);
  assert.equal((await served.end())[0], 0);
});

Deno.test("a state of a long history is folded once, and then from near by", async () => {
  await using store = new InMemoryEventStore();
  for (let written = 0; written < 20_000; written += 1_000) {
    const events = Array.from({ length: 1_000 }, () => ({ eventType: "Ticked", data: null }));
    await store.append("clock", events, { expectedVersion: written });
  }
  let folded = 0;
  const count = { initialState: () => 0, evolve: (ticks: number) => (folded++, ticks + 1) };
  const client = new Client(studio(store, { deciders: { count } }));
  const stateAt = async (version: number): Promise<number> => {
    folded = 0;
    const { state } = await client.get<ActorState>(
      `actor/state?actor=clock&version=${version}&decider=count`,
    );
    assert.equal(state, version);
    return folded;
  };
  assert.equal(await stateAt(20_000), 20_000);
  for (const version of [20_000, 19_999, 15_000, 14_999, 15_001, 7, 0]) {
    assert(await stateAt(version) <= 1_500, `version ${version}: ${folded} events`);
  }
});
