/** Messages that the store did not write, in its stream: they are damage, and nothing else is read from them. */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { DamagedHistoryError, JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { encodeHeaders } from "../../../src/nats/headers.ts";
import { CommitEncoder } from "../../../src/store/jetstream/format/commit_encoder.ts";
import { Layout } from "../../../src/store/jetstream/format/layout.ts";
import { CommitDecoder } from "../../../src/store/jetstream/format/commit_decoder.ts";
import { Trail } from "../../../src/store/jetstream/format/trail.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { bytes, type Client, client } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

const EVENT = '{"id":"x","eventType":"Forged","timestamp":"2026-01-01T00:00:00.000Z","data":1}';
const deep = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
const withData = (data: string): string => EVENT.replace('"data":1', `"data":${data}`);

/** What a forger writes: each part as it is in a sound commit, unless given. */
interface Forgery {
  readonly body?: string | Uint8Array;
  readonly previous?: string;
  readonly count?: string;
  readonly fence?: string;
  readonly versions?: string;
  readonly trail?: string;
  /** The guard; `undefined` leaves the header out. */
  readonly guard?: string | undefined;
  /** The guard that the server checks, if it is another one. */
  readonly format?: string;
  /** Takes the place of the header, checksum included. */
  readonly header?: string | undefined;
}

/** A message with a checksum that matches. */
function forge(
  logId: string,
  subject: string,
  forgery: Forgery,
): { data: Uint8Array; headers: [string, string][] } {
  const { previous = "0", count = "1", fence = "0", versions = "-", trail = "-", format = "1" } = forgery;
  const guard = "guard" in forgery ? forgery.guard : "0";
  const data = typeof forgery.body === "object" ? forgery.body : bytes(forgery.body ?? `[${EVENT}]`);
  const text = `${format} forged ${previous} ${count} ${fence} ${versions} ${trail}`;
  const covered = new Uint8Array([...data, ...bytes(`${subject} ${guard ?? ""} ${text}`)]);
  const checksum = crc32(covered, crc32(bytes(logId))).toString(16).padStart(8, "0");
  const header = "header" in forgery ? forgery.header : `${text} ${checksum}`;
  const headers: [string, string][] = [];
  if (guard !== undefined) headers.push(["Nats-Expected-Last-Subject-Sequence", guard]);
  if (header !== undefined) headers.push(["Aether", header]);
  return { data, headers };
}

/** Publishes past the store, and returns the stream's answer. */
async function put(
  { connection }: Client,
  subject: string,
  data: Uint8Array,
  headers: readonly (readonly [string, string])[],
): Promise<{ seq?: number; error?: unknown }> {
  const options = { timeout: 60_000, ...(headers.length > 0 ? { headers: encodeHeaders(headers) } : {}) };
  const answer = await connection.request(subject, data, options);
  return JSON.parse(new TextDecoder().decode(answer.data));
}

const FORGERIES: Readonly<Record<string, Forgery>> = {
  "a hundred million events": { count: "100000000" },
  "more events than a number can hold": { count: "9".repeat(400) },
  "a thousand and one events": { count: "1001", body: `[${Array(1_001).fill(EVENT).join(",")}]` },
  "more events than the body has": { count: "2" },
  "fewer events than the body has": { body: `[${EVENT},${EVENT}]` },
  "a version that is no integer": { versions: "1.5" },
  "a version that is no number": { versions: "one" },
  "a version that is empty": { count: "2", versions: "1,", body: `[${EVENT},${EVENT}]` },
  "a version in another notation": { versions: "0x10" },
  "a version in scientific notation": { versions: "1e3" },
  "a negative version": { versions: "-1" },
  "a version of 0": { versions: "0" },
  "a version above 2^53": { versions: "9007199254740993" },
  "versions that fall": { count: "2", versions: "5,4", body: `[${EVENT},${EVENT}]` },
  "a version twice": { count: "2", versions: "5,5", body: `[${EVENT},${EVENT}]` },
  "a version that is not above the one before": { previous: "9", versions: "3" },
  "a version before that is no integer": { previous: "1.5" },
  "a version before above 2^53": { previous: "9007199254740992" },
  "versions that pass 2^53": { previous: "9007199254740991" },
  "a negative version before": { previous: "-1" },
  "a token that is no integer": { fence: "1.5" },
  "a token above 2^53": { fence: "9007199254740993" },
  "a token with another mark": { fence: "1x" },
  "no fields": { header: "1" },
  "an empty header": { header: "" },
  "no header": { header: undefined },
  "no guard": { guard: undefined },
  "another format": { format: "2" },
  "a format that begins alike": { format: "10" },
  "a checksum of something else": { header: "1 forged 0 1 0 - - 00000000" },
  "a header of 50,000 bytes": { header: `1 forged 0 1 0 ${"1,".repeat(25_000)}1 - 00000000` },
  "a body that is no JSON": { body: "not JSON" },
  "an empty body": { body: "" },
  "a body that is no list": { body: EVENT },
  "null": { body: "null" },
  "a list of null": { body: "[null]" },
  "an event without an id": { body: `[${EVENT.replace('"id":"x",', "")}]` },
  "an event with an empty id": { body: `[${EVENT.replace('"id":"x"', '"id":""')}]` },
  "an event without data": { body: `[${EVENT.replace(',"data":1', "")}]` },
  "metadata that is a list": { body: `[${EVENT.replace('"data":1', '"data":1,"metadata":[1]')}]` },
  "metadata that is a text": { body: `[${EVENT.replace('"data":1', '"data":1,"metadata":"x"')}]` },
  "a schema version of 0": { body: `[${EVENT.replace('"data":1', '"data":1,"schemaVersion":0')}]` },
  "a schema version that is a text": {
    body: `[${EVENT.replace('"data":1', '"data":1,"schemaVersion":"1"')}]`,
  },
  "data that is nested 100,000 levels deep": { body: `[${withData(deep(100_000))}]` },
  "data that is nested 1,001 levels deep": { body: `[${withData(deep(1_001))}]` },
  "metadata that is nested 100,000 levels deep": {
    body: `[${EVENT.replace('"data":1', `"data":1,"metadata":{"a":${deep(100_000)}}`)}]`,
  },
  "a list that is nested 400,000 levels deep": { body: deep(400_000) },
  "bytes that are not UTF-8": {
    body: new Uint8Array([...bytes(`[${withData('"')}`), 0xff, ...bytes('"}]')]),
  },
  "bytes that are not UTF-8, behind some that are": {
    body: new Uint8Array([...bytes(`[${withData('"\u20ac')}`), 0xff, ...bytes('"}]')]),
  },
};

Deno.test("what a foreign client has published to actors' subjects is damage, which onDamage can skip", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  await store.append("before", [event(1), event(2)], { expectedVersion: 0 });
  await using nats = await client(server.url);
  const { config } = await nats.requests.streamInfo("aether_default");
  const logId = (config.metadata as Record<string, string>)["aether-log"]!;
  const layout = new Layout("aether", "default", logId);
  const forgeries = Object.entries(FORGERIES);
  for (const [name, forgery] of forgeries) {
    const subject = layout.subject(name);
    const { data, headers } = forge(logId, subject, forgery);
    const outcome = await put(nats, subject, data, headers);
    assert(outcome.seq! > 0, `${name}: ${JSON.stringify(outcome)}`);
  }
  await store.append("after", [event(3)], { expectedVersion: 0 });

  await using reader = await JetStreamEventStore.open(server.url);
  const damaged = new Set<string | undefined>();
  const onDamage = (fault: { actorId?: string | undefined }): unknown => damaged.add(fault.actorId);
  const events = await Array.fromAsync(reader.readAll({ onDamage }));
  assert.deepEqual(events.map(({ actorId }) => actorId), ["before", "before", "after"]);
  assert.deepEqual([...damaged].sort(), forgeries.map(([name]) => name).sort());
  await assert.rejects(Array.fromAsync(reader.readAll()), DamagedHistoryError);
  const report = await reader.verify();
  assert.equal(report.events, 3);
  assert.equal(report.faults.length, forgeries.length);
  assert.equal(report.faults.every((fault) => fault instanceof DamagedHistoryError), true);
  for (const [name] of forgeries) {
    const calls = {
      getEvents: () => reader.getEvents(name),
      getLatestVersion: () => reader.getLatestVersion(name),
      append: () => reader.append(name, [event(1)], { expectedVersion: "any" }),
      "append to a new actor": () => reader.append(name, [event(1)], { expectedVersion: 0 }),
      readEvents: () => Array.fromAsync(reader.readEvents(name)),
      "readEvents backward": () => Array.fromAsync(reader.readEvents(name, { direction: "backward" })),
    };
    for (const [call, run] of Object.entries(calls)) {
      await assert.rejects(run(), DamagedHistoryError, `${call} of ${name}`);
    }
    for (const direction of ["forward", "backward"] as const) {
      const faults: unknown[] = [];
      const read = reader.readEvents(name, { direction, onDamage: (fault) => faults.push(fault) });
      assert.deepEqual(await Array.fromAsync(read), [], name);
      assert(faults.length > 0, name);
    }
  }
});

Deno.test("getLastPosition() and subscribe() from the end pass over stray messages to the last event", async () => {
  const strays: Readonly<Record<string, Forgery>> = {
    "a plain message": { header: undefined, guard: undefined, body: "hello" },
    "a commit without a guard": { guard: undefined },
    "a commit of another format": { format: "2" },
    "a commit that names more events than it may": { count: "100000000" },
    "a commit whose body is no JSON": { body: "not JSON" },
  };
  for (const [name, forgery] of Object.entries(strays)) {
    await using server = await startNatsServer();
    await using store = await JetStreamEventStore.open(server.url, { retention: "forever", heartbeat: 200 });
    await using nats = await client(server.url);
    const { config } = await nats.requests.streamInfo("aether_default");
    const logId = (config.metadata as Record<string, string>)["aether-log"]!;
    const subject = new Layout("aether", "default", logId).subject("stray");
    let last = 0;
    const publishStray = async (): Promise<void> => {
      const { data, headers } = forge(logId, subject, { guard: `${last}`, ...forgery });
      const outcome = await put(nats, subject, data, headers);
      assert(outcome.seq! > 0, `${name}: ${JSON.stringify(outcome)}`);
      last = outcome.seq!;
    };
    await publishStray();
    assert.equal(await store.getLastPosition(), undefined, name);
    const [event1] = await store.append("order", [event(1)], { expectedVersion: 0 });
    for (let count = 0; count < 3; count++) await publishStray();

    await using reader = await JetStreamEventStore.open(server.url, { heartbeat: 200 });
    assert.equal(await reader.getLastPosition(), event1!.position, name);
    await using subscription = reader.subscribe({ after: "end" });
    await subscription.ready;
    assert.equal(subscription.position, event1!.position, name);
    const [event2] = await store.append("order", [event(2)], { expectedVersion: 1 });
    for await (const { position } of subscription) {
      assert.equal(position, event2!.position);
      break;
    }
    const { ok, faults } = await reader.verify({ expectedPosition: event2!.position });
    assert.equal(ok, false);
    assert.equal(faults.length, 4);
    const damage: unknown[] = [];
    const events = await Array.fromAsync(reader.readAll({ onDamage: (fault) => damage.push(fault) }));
    assert.deepEqual([events.length, damage.length], [2, 4]);
  }
});

Deno.test("getLastPosition() passes over no commit whose bytes have changed", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  await store.append("order", [event(1)], { expectedVersion: 0 });
  await using nats = await client(server.url);
  const { config } = await nats.requests.streamInfo("aether_default");
  const logId = (config.metadata as Record<string, string>)["aether-log"]!;
  const subject = new Layout("aether", "default", logId).subject("other");
  const { data, headers } = forge(logId, subject, {});
  data[data.length - 4] = data[data.length - 4]! ^ 1;
  assert((await put(nats, subject, data, headers)).seq! > 0);
  await assert.rejects(store.getLastPosition(), DamagedHistoryError);
});

Deno.test("a trail that leads elsewhere is searched around, however many commits it names", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  for (let version = 0; version < 5; version++) {
    await store.append("order", [event(version + 1)], { expectedVersion: version });
    await store.append("other", [event("other")], { expectedVersion: version });
  }
  await using nats = await client(server.url);
  const { config, state } = await nats.requests.streamInfo("aether_default");
  const logId = (config.metadata as Record<string, string>)["aether-log"]!;
  const subject = new Layout("aether", "default", logId).subject("order");
  const self = (state.last_seq + 1).toString(36);
  const levels = (level: string): string => Array(14).fill(level).join(";");
  const trails = [
    "-",
    "9",
    "1,1,1,1,1,1",
    "zzzzzzzzzz",
    self,
    "2,2,2,2",
    `${levels("1,2,2,2,2")}`,
    "9;9",
    "9;;9",
    "",
  ];
  let guard = 9;
  let version = 5;
  for (const trail of [...trails, levels(self)]) {
    const forgery = { previous: `${version}`, guard: `${guard}`, trail };
    const { data, headers } = forge(logId, subject, forgery);
    const outcome = await put(nats, subject, data, headers);
    assert(outcome.seq! > 0, JSON.stringify(outcome));
    guard = outcome.seq!;
    version++;
    await using reader = await JetStreamEventStore.open(server.url);
    for (const read of [{}, { direction: "backward" }, { fromVersion: 3 }, { limit: 2 }] as const) {
      const versions = (await Array.fromAsync(reader.readEvents("order", read))).map((event) =>
        event.version
      );
      const all = Array.from({ length: version }, (_, index) => index + 1);
      const expected = "direction" in read
        ? all.reverse()
        : "fromVersion" in read
        ? all.slice(2)
        : "limit" in read
        ? all.slice(0, 2)
        : all;
      assert.deepEqual(versions, expected, `${trail} ${JSON.stringify(read)}`);
    }
  }
});

const LOG = "0123456789ab";

Deno.test("a stored message with any change reads as what was written or as damage", () => {
  const layout = new Layout("aether", "default", LOG);
  const encoder = new CommitEncoder(LOG, crc32);
  const decoder = new CommitDecoder(LOG, layout, crc32);
  const subject = layout.subject("order");
  const body = `[${EVENT},${EVENT.replace("Forged", "\u20ac")}]`;
  const { data, headers } = encoder.encode(subject, body, {
    commitId: "c1",
    previousVersion: 3,
    versions: [5, 7],
    fence: 2,
    unfenced: true,
    previousSequence: 8,
    trail: Trail.EMPTY.after(4).after(8),
  });
  const block = headers!.encode();
  const whole = new Uint8Array([...block, ...data]);
  const read = (bytes: Uint8Array, headerLength: number): unknown =>
    decoder.read({ subject, sequence: 9, bytes, headerLength });
  const written = JSON.stringify(read(whole, block.length));
  assert.match(written, /Forged/);
  const edit = fc.record({
    at: fc.nat(whole.length - 1),
    removed: fc.nat(20),
    added: fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.string({ maxLength: 8 }).map((text) => bytes(text))),
  });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      let changed = whole;
      let headerLength = block.length;
      for (const { at, removed, added } of edits) {
        const rest = changed.subarray(Math.min(changed.length, at + removed));
        if (at < headerLength) headerLength = Math.max(0, headerLength + added.length - removed);
        changed = new Uint8Array([...changed.subarray(0, at), ...added, ...rest]);
      }
      const commit = read(changed, Math.min(headerLength, changed.length));
      if (!(commit instanceof DamagedHistoryError)) assert.equal(JSON.stringify(commit), written);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("versions of a forged header are integers that rise, or it is damage", () => {
  const layout = new Layout("aether", "default", LOG);
  const decoder = new CommitDecoder(LOG, layout, crc32);
  const subject = layout.subject("order");
  const field = fc.oneof(
    fc.integer({ min: -2, max: 12 }).map(String),
    fc.constantFrom(
      "",
      "-",
      "u",
      "1u",
      "1.5",
      "1e3",
      "9007199254740991",
      "9007199254740992",
      "99999999999999999999",
    ),
    fc.array(fc.integer({ min: -1, max: 9 }), { maxLength: 4 }).map((list) => list.join(",")),
    fc.string({ maxLength: 5 }),
  );
  const forgery = fc.record({
    previous: field,
    count: field,
    fence: field,
    versions: field,
    trail: field,
    guard: field,
  });
  fc.assert(
    fc.property(forgery, fc.nat(4), (forgery, events) => {
      const list = Array(events).fill(EVENT).join(",");
      const { data, headers } = forge(LOG, subject, { ...forgery, body: `[${list}]` });
      const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      const block = bytes(`NATS/1.0\r\n${lines}\r\n`);
      const message = {
        subject,
        sequence: 9,
        bytes: new Uint8Array([...block, ...data]),
        headerLength: block.length,
      };
      const commit = decoder.read(message);
      if (commit instanceof DamagedHistoryError) return;
      const { previousVersion, versions, fence, previousSequence, trail } = commit;
      let before = previousVersion;
      assert(Number.isSafeInteger(before) && before >= 0 && Number.isSafeInteger(fence));
      for (const version of versions) {
        assert(Number.isSafeInteger(version) && version > before, `${version}`);
        before = version;
      }
      assert(
        previousSequence < 9 &&
          (trail === undefined || trail.entries().every(({ sequence }) => sequence < 9)),
      );
      assert.equal(commit.events.length, versions.length);
    }),
    { numRuns: 3_000 },
  );
});
