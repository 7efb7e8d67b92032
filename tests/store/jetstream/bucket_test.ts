/** The bucket next to a stream: it may be deleted under an open store, and what it remembers outlives the events. */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import {
  DamagedHistoryError,
  HistoryTruncatedError,
  JetStreamEventStore,
  replay,
  VersionConflictError,
} from "@flowmade-one/aether/jetstream";
import { encodeChecked } from "../../../src/store/jetstream/format/checked_json.ts";
import { Layout } from "../../../src/store/jetstream/format/layout.ts";
import { expire, LONG_RETENTION } from "../../support/expiry.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { withTime } from "../../support/pulse.ts";
import { flip, streamFiles } from "./stream_files.ts";
import { bytes, type Client, client, sleep } from "./support.ts";

const BUCKET = "KV_aether_default";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });
const snapshot = (kind: string, version: number): Parameters<JetStreamEventStore["saveSnapshot"]>[0] => ({
  actorId: "order",
  kind,
  schemaVersion: 1,
  version,
  state: version,
});

Deno.test("a bucket that is deleted under an open store is created again by the next snapshot", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  await using nats = await client(server.url);
  await store.append("order", [event(1), event(2)], { expectedVersion: 0 });
  await store.saveSnapshot(snapshot("state", 1));
  for (const version of [1, 2]) {
    await nats.requests.request(`STREAM.DELETE.${BUCKET}`);
    assert.equal(await store.getLatestSnapshot("order", "state"), undefined);
    await store.saveSnapshot(snapshot("state", version));
    assert.equal((await store.getLatestSnapshot("order", "state"))?.version, version);
  }
});

Deno.test("a run remembers actors in a bucket that was deleted under the open store", () =>
  withTime(2_000, async (retention, pulse) => {
    await using server = await startNatsServer();
    await using nats = await client(server.url);
    await using store = await JetStreamEventStore.open(server.url, { retention });
    await pulse.watch(server.url);
    await store.append("order", [event(1)], { expectedVersion: 0 });
    await store.saveSnapshot(snapshot("state", 1));
    await nats.requests.request(`STREAM.DELETE.${BUCKET}`);
    await sleep(retention + 500);
    await using other = await JetStreamEventStore.open(server.url, { retention });
    assert.equal(await other.getLatestVersion("order"), 1);
  }));

Deno.test("an actor whose events have expired keeps the version of its furthest snapshot, of any kind", async () => {
  const retention = LONG_RETENTION;
  await using server = await startNatsServer();
  {
    await using store = await JetStreamEventStore.open(server.url, { retention });
    await store.append("order", [event(1), event(2), event(3)], { expectedVersion: 0 });
    for (const [kind, version] of [["middle", 2], ["fast", 3], ["slow", 1]] as const) {
      await store.saveSnapshot(snapshot(kind, version));
    }
    // Nothing of a run is left: only the snapshots remember the actor.
  }
  await expire(server.url);
  await using store = await JetStreamEventStore.open(server.url, { retention });
  assert.equal(await store.getLatestVersion("order"), 3);
  await assert.rejects(store.append("order", [event("again")], { expectedVersion: 1 }), VersionConflictError);
  const [stored] = await store.append("order", [event("next")], { expectedVersion: "any" });
  assert.equal(stored!.version, 4);
});

Deno.test("an actor whose events have expired keeps its version when its snapshots are deleted", async () => {
  const retention = LONG_RETENTION;
  await using server = await startNatsServer();
  const actors = ["order", "order.2", "shorter", "deleted before"];
  {
    await using store = await JetStreamEventStore.open(server.url, { retention });
    for (const actorId of actors) {
      await store.append(actorId, [event(1), event(2), event(3)], { expectedVersion: 0 });
      await store.saveSnapshot({ ...snapshot("state", 3), actorId });
    }
    // A state of another shape takes the place of one that goes further, once before and once after a deletion.
    await store.saveSnapshot({ ...snapshot("state", 2), actorId: "shorter", schemaVersion: 2 });
    await store.saveSnapshot({ ...snapshot("other", 3), actorId: "deleted before" });
    assert.equal(await store.deleteSnapshots("other"), 1);
    await store.saveSnapshot({ ...snapshot("other", 1), actorId: "deleted before" });
    // No run has recorded the actors: only the snapshots remember them.
  }
  await expire(server.url);
  await using store = await JetStreamEventStore.open(server.url, { retention });
  const view = {
    initialState: () => 0,
    evolve: (count: number) => count + 1,
    snapshot: { kind: "state", schemaVersion: 1 },
  };
  assert.equal((await replay(store, "order", view)).version, 3);
  assert.equal(await store.deleteSnapshots("state"), actors.length);
  assert.equal(await store.deleteSnapshots("other"), 1);
  const warnings: string[] = [];
  await using other = await JetStreamEventStore.open(server.url, {
    retention,
    onWarning: ({ code }) => void warnings.push(code),
  });
  for (const actorId of actors) {
    for (const opened of [store, other]) {
      assert.equal(await opened.getLatestSnapshot(actorId, "state"), undefined, actorId);
      assert.equal(await opened.getLatestVersion(actorId), 3, actorId);
      await assert.rejects(opened.getEvents(actorId), HistoryTruncatedError);
    }
    await assert.rejects(replay(store, actorId, view), HistoryTruncatedError);
    await assert.rejects(
      other.append(actorId, [event("again")], { expectedVersion: 0 }),
      VersionConflictError,
    );
    const [stored] = await other.append(actorId, [event("next")], { expectedVersion: 3 });
    assert.equal(stored!.version, 4);
  }
  assert.deepEqual(warnings, []);
});

Deno.test("many snapshots of a kind are deleted, damaged ones too, while others are saved", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  await using store = await JetStreamEventStore.open(server.url);
  const actors = Array.from({ length: 150 }, (_, index) => `actor-${index}`);
  await Promise.all(actors.map(async (actorId) => {
    await store.append(actorId, [event(1), event(2)], { expectedVersion: 0 });
    await store.saveSnapshot({ ...snapshot("state", 1), actorId });
  }));
  const layout = await layoutOf(nats);
  await forge(nats, layout.snapshot("actor-7", "state"), "garbage");
  await forge(nats, layout.snapshot("actor-8", "state"), bytes(""));
  const saving = Promise.all(
    actors.slice(0, 20).map((actorId) => store.saveSnapshot({ ...snapshot("state", 2), actorId })),
  );
  const deleted = await store.deleteSnapshots("state");
  await saving;
  const kept = await Promise.all(actors.map((actorId) => store.getLatestSnapshot(actorId, "state")));
  const left = kept.filter((stored) => stored !== undefined);
  assert.ok(left.every(({ version }) => version === 2), "what is left was saved meanwhile");
  assert.ok(deleted >= actors.length - 20 && left.length <= 20, `${deleted} deleted, ${left.length} left`);
  const signal = AbortSignal.timeout(1);
  await store.saveSnapshot({ ...snapshot("state", 2), actorId: "actor-9" });
  await sleep(5);
  await assert.rejects(store.deleteSnapshots("state", { signal }), { name: "TimeoutError" });
  assert.equal((await store.getLatestSnapshot("actor-9", "state"))?.version, 2);
});

async function layoutOf({ requests }: Client): Promise<Layout> {
  const { config } = await requests.streamInfo("aether_default");
  return new Layout("aether", "default", (config.metadata as Record<string, string>)["aether-log"]!);
}

/** Stores a record past the store. */
async function forge({ connection }: Client, key: string, data: string | Uint8Array): Promise<void> {
  const record = typeof data === "string" ? encodeChecked(data, crc32) : data;
  const answer = await connection.request(key, record, { timeout: 60_000 });
  assert.match(new TextDecoder().decode(answer.data), /"seq"/);
}

/** What is no record of any kind, though its checksum may match. */
const FORGERIES: Readonly<Record<string, string | Uint8Array>> = {
  "nothing": bytes(""),
  "a checksum alone": "",
  "no checksum": bytes('{"version":1}'),
  "no JSON": "not JSON",
  "null": "null",
  "a number": "7",
  "a list": "[1]",
  "no fields": "{}",
  "a prototype": '{"__proto__":{"version":1,"fence":0,"sequence":1}}',
  "deep JSON": `{"version":1,"state":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
  "bytes that are not UTF-8": new Uint8Array([0xff, 0xfe, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  "a version that is no integer": '{"version":1.5,"fence":0,"sequence":1}',
  "a version that is a text": '{"version":"1","fence":0,"sequence":1}',
  "a version below 0": '{"version":-1,"fence":0,"sequence":1}',
  "a version above 2^53": '{"version":9007199254740993,"fence":0,"sequence":1}',
  "a version without an end": '{"version":1e999,"fence":0,"sequence":1}',
};

Deno.test("a forged snapshot is ignored with a warning, and the next one takes its place", async () => {
  await using server = await startNatsServer();
  const warnings: string[] = [];
  await using store = await JetStreamEventStore.open(server.url, {
    retention: "forever",
    onWarning: ({ code }) => warnings.push(code),
  });
  await store.append("order", [event(1), event(2)], { expectedVersion: 0 });
  await store.saveSnapshot(snapshot("state", 1));
  await using nats = await client(server.url);
  const key = (await layoutOf(nats)).snapshot("order", "state");
  const sound = { ...snapshot("state", 1), timestamp: "2026-01-01T00:00:00.000Z" };
  const fields = Object.entries({
    actorId: ["other", 1, null],
    kind: ["other", null],
    schemaVersion: [0, 1.5, "1", null],
    version: [0, 1.5, "1", 2 ** 53],
    timestamp: [1, null],
    position: [1, {}],
  });
  const forgeries = {
    ...FORGERIES,
    ...Object.fromEntries(
      fields.flatMap(([field, values]) =>
        values.map((value) => [`${field} ${value}`, JSON.stringify({ ...sound, [field]: value })])
      ),
    ),
    "no state": JSON.stringify({ ...sound, state: undefined }),
    "a deep state": JSON.stringify({ ...sound, state: 0 })
      .replace('"state":0', `"state":${"[".repeat(100_000)}${"]".repeat(100_000)}`),
  };
  for (const [name, data] of Object.entries(forgeries)) {
    await forge(nats, key, data);
    assert.equal(await store.getLatestSnapshot("order", "state"), undefined, name);
    assert.deepEqual(warnings.splice(0), ["snapshot-ignored"], name);
    await store.saveSnapshot(snapshot("state", 1));
    assert.equal((await store.getLatestSnapshot("order", "state"))?.version, 1, name);
  }
});

Deno.test("a forged record of an actor whose events have expired is damage, and no version is used again", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: LONG_RETENTION });
  await store.append("first", [event(1)], { expectedVersion: 0 });
  await store.saveSnapshot({ ...snapshot("state", 1), actorId: "first" });
  await expire(server.url);
  await using nats = await client(server.url);
  const layout = await layoutOf(nats);
  for (const [name, data] of Object.entries(FORGERIES)) {
    await forge(nats, layout.actorRecord(name), data);
    await assert.rejects(store.getLatestVersion(name), DamagedHistoryError, name);
    const save = store.append(name, [event(1)], { expectedVersion: "any" });
    await assert.rejects(save, DamagedHistoryError, name);
  }
});

Deno.test("a record or a snapshot of expired events that is damaged on the disk is damage, and no version is used again", async () => {
  const retention = LONG_RETENTION; // a store that is open when its events expire would replace the forged record
  await using server = await startNatsServer();
  {
    await using store = await JetStreamEventStore.open(server.url, { retention });
    for (const actorId of ["recorded", "pictured"]) {
      await store.append(actorId, [event(1), event(2)], { expectedVersion: 0 });
    }
    await store.saveSnapshot({ ...snapshot("state", 2), actorId: "pictured", state: "damaged-picture" });
    await store.saveSnapshot({ ...snapshot("other", 1), actorId: "pictured" });
    await using nats = await client(server.url);
    const record = { version: 2, fence: 0, sequence: 1, note: "damaged-record" };
    await forge(nats, (await layoutOf(nats)).actorRecord("recorded"), JSON.stringify(record));
  }
  await server.shutdown();
  const { blocks: [block] } = await streamFiles(server, BUCKET);
  for (const marker of ["damaged-picture", "damaged-record"]) await flip(block!, marker);
  await server.restart();
  await expire(server.url);
  await using store = await JetStreamEventStore.open(server.url, { retention });
  for (const actorId of ["recorded", "pictured"]) {
    await assert.rejects(store.getLatestVersion(actorId), DamagedHistoryError, actorId);
    for (const expectedVersion of [0, "any"] as const) {
      await assert.rejects(
        store.append(actorId, [event("again")], { expectedVersion }),
        DamagedHistoryError,
      );
    }
  }
  assert.equal(await store.getLatestVersion("new"), 0);
  assert.equal((await store.append("new", [event(1)], { expectedVersion: 0 })).length, 1);
});

Deno.test("a run replaces records that claim more than the log has", () =>
  withTime(2_000, async (retention, pulse) => {
    await using server = await startNatsServer();
    await using nats = await client(server.url);
    {
      await using store = await JetStreamEventStore.open(server.url, { retention });
      await pulse.watch(server.url);
      await store.append("order", [event(1), event(2), event(3)], { expectedVersion: 0 });
      await store.saveSnapshot(snapshot("state", 1));
      const layout = await layoutOf(nats);
      const sequence = Number.MAX_SAFE_INTEGER;
      await forge(nats, layout.progressRecord, JSON.stringify({ sequence }));
      await forge(nats, layout.actorRecord("order"), JSON.stringify({ version: 1, fence: 0, sequence }));
      await sleep(retention + 500);
    }
    await using store = await JetStreamEventStore.open(server.url, { retention });
    assert.equal(await store.getLatestVersion("order"), 3);
    const [stored] = await store.append("order", [event(4)], { expectedVersion: "any" });
    assert.equal(stored!.version, 4);
  }));
