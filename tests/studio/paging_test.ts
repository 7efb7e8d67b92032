/** Lists that are read a page at a time: projections, leases, and what a verification has found. */

import assert from "node:assert/strict";
import {
  Coordinator,
  DenoKvEventStore,
  InMemoryBucket,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryLeases,
  projectOnce,
  runProjection,
} from "../../mod.ts";
import type { ClusterPicture, FaultPage, LeaseRow, ProjectionList } from "../../src/studio/api/mod.ts";
import { WatchedCluster } from "../../src/studio/cluster_source.ts";
import { studio } from "../../src/studio/mod.ts";
import { kvFolder } from "../support/kv_file.ts";
import { Client } from "./support.ts";

const TICKED = { eventType: "Ticked", data: null };

Deno.test("projections are listed by name, a page at a time, the versions of a name and its segments together", async () => {
  await using store = new InMemoryEventStore();
  await using checkpoints = new InMemoryCheckpoints();
  await using others = new InMemoryCheckpoints();
  await store.append("order-1", [TICKED], { expectedVersion: 0 });
  const handle = (): void => {};
  for (const name of ["e", "a", "c"]) await projectOnce(store, { name, checkpoints, handle });
  await projectOnce(store, { name: "b", version: 2, checkpoints: others, handle });
  {
    await using segmented = runProjection(store, { name: "b", checkpoints, handle, segments: 3 });
    await segmented.waitFor((await store.getLastPosition())!);
  }
  const known = { name: "d", checkpoints: others, handle };
  await projectOnce(store, known);
  const client = new Client(studio(store, { checkpoints, projections: [known] }));
  const named = ({ projections }: ProjectionList): string[] =>
    projections.map(({ name, version, segments }) => `${name} ${version} ${segments.length}`);

  const first = await client.get<ProjectionList>("projections?limit=2");
  assert.deepEqual([named(first), first.next], [["a 1 0", "b 1 3", "b 2 0"], "b"]);
  const second = await client.get<ProjectionList>(`projections?limit=2&after=${first.next}`);
  assert.deepEqual([named(second), second.next], [["c 1 0", "d 1 0"], "d"]);
  const last = await client.get<ProjectionList>(`projections?limit=2&after=${second.next}`);
  assert.deepEqual([named(last), last.next], [["e 1 0"], null]);
  await using stream = await client.stream("projections/live?limit=2&after=b");
  assert.deepEqual(named((await stream.until("projections")).data), ["c 1 0", "d 1 0"]);
});

/** The leases of all pages of one, each with the number of its page. */
async function leasesOf(
  read: (after: string) => Promise<Pick<ClusterPicture, "leases" | "nextLease">>,
): Promise<LeaseRow[]> {
  const all: LeaseRow[] = [];
  for (let after: string | null = ""; after !== null;) {
    const { leases, nextLease }: Pick<ClusterPicture, "leases" | "nextLease"> = await read(after);
    assert.equal(leases.length, 1);
    all.push(...leases);
    after = nextLease;
  }
  return all;
}

Deno.test("the leases of a coordinator's cluster are listed a page at a time, also as they are followed", async () => {
  await using store = new InMemoryEventStore();
  await using node = await Coordinator.join(new InMemoryBucket(), { name: "a", shardCount: 4 });
  await node.ready;
  const client = new Client(studio(store, { coordinator: node }));
  const read = (after: string): Promise<ClusterPicture> =>
    client.get<ClusterPicture>(`cluster?limit=1&after=${encodeURIComponent(after)}`);
  const rows = await leasesOf(read);
  assert.deepEqual(rows.map(({ kind, name }) => `${kind} ${name}`), ["leader leader", "node a"]);
  const { nodes } = await read(rows[0]!.key);
  assert.equal(nodes.length, 1, "the nodes are on each page of leases");
  await using stream = await client.stream(`cluster/live?limit=1&after=${rows[0]!.key}`);
  for (const name of ["cluster", "leases"]) {
    const { data } = await stream.until(name);
    assert.deepEqual([data.leases.map(({ name }: LeaseRow) => name), data.nextLease], [["a"], null], name);
  }
});

Deno.test("the leases of several buckets are listed a page at a time, each once", async () => {
  const buckets = [new InMemoryBucket(), new InMemoryBucket()];
  await using one = new InMemoryLeases(buckets[0]!);
  await using two = new InMemoryLeases(buckets[1]!);
  for (const name of ["report", "a b", "\u{1F4C8}"]) await one.acquire(name, { holder: "one" });
  await two.acquire("report", { holder: "two" });
  using cluster = new WatchedCluster({ cluster: undefined, leases: buckets });
  const rows = await leasesOf((after) => cluster.leases(after, 1));
  assert.deepEqual(rows.map(({ name, holder }) => `${name} ${holder}`).sort(), [
    "a b one",
    "report one",
    "report two",
    "\u{1F4C8} one",
  ]);
  assert.deepEqual(rows.map(({ key }) => key), rows.map(({ key }) => key).sort());
  assert.equal((await cluster.leases("", 500)).leases.length, 4);
});

Deno.test("what a verification has found is listed a page at a time", async () => {
  await using folder = await kvFolder();
  {
    await using store = await DenoKvEventStore.open(folder.file);
    for (let actor = 0; actor < 5; actor++) {
      await store.append(`order-${actor}`, [TICKED], { expectedVersion: 0 });
    }
  }
  {
    using kv = await Deno.openKv(folder.file);
    const events = await Array.fromAsync(kv.list({ prefix: ["aether", "default", "event"] }));
    for (const { key } of events.slice(0, 3)) await kv.delete(key);
  }
  await using store = await DenoKvEventStore.open(folder.file);
  const client = new Client(studio(store));
  assert.deepEqual(await client.get<FaultPage>("faults"), { faults: [], next: null });
  await using stream = await client.stream("verify");
  const { data: report } = await stream.until("report");
  assert.equal(report.ok, false);
  const messages: string[] = [];
  for (let after: string | null = "0"; after !== null;) {
    const { faults, next }: FaultPage = await client.get(`faults?limit=1&after=${after}`);
    assert.equal(faults.length, 1);
    messages.push(faults[0]!.message);
    after = next;
  }
  assert.deepEqual([messages.length, new Set(messages).size], [report.faultCount, report.faultCount]);
  assert(messages.length >= 3, messages.join("\n"));
});
