/** The mark of the log's end: a store that is opened notices that the stream has lost its end. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { crc32 } from "node:zlib";
import {
  DamagedHistoryError,
  JetStreamEventStore,
  type JetStreamEventStoreOptions,
  LogReplacedError,
  type Warning,
} from "@flowmade-one/aether/jetstream";
import { decodeChecked, encodeChecked } from "../../../src/store/jetstream/format/checked_json.ts";
import { Layout } from "../../../src/store/jetstream/format/layout.ts";
import { connectTo } from "../../../src/nats/connect.ts";
import { type NatsServer, startNatsServer } from "../../support/nats_server.ts";
import { flip, streamFiles } from "./stream_files.ts";
import { bytes, type Client, client, until } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

async function append(store: JetStreamEventStore, from: number, count: number): Promise<void> {
  for (let version = from; version < from + count; version++) {
    await store.append("order", [event(version + 1)], { expectedVersion: version });
  }
}

/** Saves in a store that is closed afterwards. */
async function appendOnce(server: NatsServer, from: number, count: number): Promise<void> {
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  await append(store, from, count);
}

/** Replaces a folder while the server is down. */
async function copy(server: NatsServer, from: string, to: string): Promise<void> {
  await server.shutdown();
  await Deno.remove(to, { recursive: true }).catch(() => {});
  assert((await new Deno.Command("cp", { args: ["-a", from, to] }).output()).success);
  await server.restart();
}

/** The key of the mark of a namespace. */
async function markKey(nats: Client, namespace = "default"): Promise<string> {
  const { config } = await nats.requests.streamInfo(`aether_${namespace}`);
  const { "aether-log": logId = "" } = config.metadata as Record<string, string>;
  return new Layout("aether", namespace, logId).endRecord;
}

/** What the mark says. */
async function markOf(nats: Client): Promise<{ readonly sequence?: number }> {
  const query = { last_by_subj: await markKey(nats) };
  const stored = await nats.requests.getMessage("KV_aether_default", query);
  return (stored && decodeChecked(stored.data, crc32) as { sequence: number }) ?? {};
}

/** Puts something in the place of the mark. */
async function store(nats: Client, data: Uint8Array, namespace?: string): Promise<void> {
  await nats.connection.request(await markKey(nats, namespace), data, { timeout: 60_000 });
}

function open(
  server: NatsServer,
  options: JetStreamEventStoreOptions = {},
): Promise<JetStreamEventStore> {
  return JetStreamEventStore.open(server.url, { retention: "forever", replicas: 1, ...options });
}

Deno.test("a stream that comes back without its end is refused, until an operator accepts it", async () => {
  await using server = await startNatsServer();
  const stream = `${server.storageFolder}/$G/streams/aether_default`;
  const backup = await Deno.makeTempDir();
  try {
    await appendOnce(server, 0, 5);
    await copy(server, stream, `${backup}/stream`);
    await appendOnce(server, 5, 3);
    await copy(server, `${backup}/stream`, stream);
    for (let again = 0; again < 2; again++) {
      await assert.rejects(open(server), (error) => {
        assert(error instanceof LogReplacedError);
        assert.equal(error.reason, "end-lost");
        assert.match(error.message, /at sequence 5.*sequence 8.*3 commit\(s\) are missing.*acceptLostTail/);
        return true;
      });
    }
    {
      await using store = await open(server, { acceptLostTail: true });
      assert.equal(await store.getLatestVersion("order"), 5);
      assert.equal((await store.verify()).ok, true);
    }
    await using store = await open(server); // the mark was written again
    await append(store, 5, 1);
  } finally {
    await Deno.remove(backup, { recursive: true });
  }
});

Deno.test("a stream that was restored and has grown past the mark is refused, and verify() reports it", async () => {
  await using server = await startNatsServer();
  const stream = `${server.storageFolder}/$G/streams/aether_default`;
  const backup = await Deno.makeTempDir();
  try {
    await appendOnce(server, 0, 5);
    await copy(server, stream, `${backup}/stream`);
    await using store = await open(server, { connect: { client: { reconnectTimeWait: 20 } } });
    await appendOnce(server, 5, 1);
    await copy(server, `${backup}/stream`, stream);
    // This store has not seen what is lost, and its own marks do not hide it.
    await until(() =>
      store.append("another", [event(1)], { expectedVersion: 0 }).then(() => true, () => false)
    );
    await store.append("another", [event(2)], { expectedVersion: 1 });
    const { ok, faults } = await store.verify();
    assert.deepEqual([ok, faults.map((fault) => fault instanceof DamagedHistoryError)], [false, [true]]);
    await store.close();
    await assert.rejects(open(server), (error) => {
      assert(error instanceof LogReplacedError);
      assert.equal(error.reason, "diverged");
      assert.match(error.message, /another commit at sequence 6/);
      return true;
    });
    await (await open(server, { acceptLostTail: true })).close();
    await (await open(server)).close();
  } finally {
    await Deno.remove(backup, { recursive: true });
  }
});

Deno.test("a program that is killed leaves a mark of what it has saved", async () => {
  await using server = await startNatsServer();
  const stream = `${server.storageFolder}/$G/streams/aether_default`;
  const backup = await Deno.makeTempDir();
  try {
    await appendOnce(server, 0, 2);
    await copy(server, stream, `${backup}/stream`);
    const program = fileURLToPath(new URL("../../support/programs/saving_store.ts", import.meta.url));
    const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
    const args = [
      "run",
      "--allow-all",
      "--no-check",
      "--quiet",
      "--config",
      config,
      program,
      server.url,
      "3",
    ];
    const command = new Deno.Command(Deno.execPath(), { args, stdin: "piped" });
    const process = command.spawn();
    try {
      await using nats = await client(server.url);
      await until(async () => (await markOf(nats)).sequence === 5, "the mark");
    } finally {
      process.kill("SIGKILL");
      assert.equal((await process.status).signal, "SIGKILL");
      await process.stdin.abort().catch(() => {});
    }
    await copy(server, `${backup}/stream`, stream);
    await assert.rejects(open(server), (error) => {
      assert(error instanceof LogReplacedError);
      assert.equal(error.reason, "end-lost");
      assert.match(error.message, /at sequence 2.*sequence 5/);
      return true;
    });
  } finally {
    await Deno.remove(backup, { recursive: true });
  }
});

/** Marks that no log can have. */
const IMPOSSIBLE: Readonly<Record<string, unknown>> = {
  "of a message that is not stored yet": { sequence: 4 },
  "of the greatest number": { sequence: Number.MAX_SAFE_INTEGER, checksum: 1 },
  "of another commit at the end": { sequence: 3, checksum: 1 },
  "of another commit before the end": { sequence: 1, checksum: 0 },
};

/** Records that no store writes, as text. */
const UNREADABLE: Readonly<Record<string, string>> = {
  "no JSON": "{",
  "nothing": "null",
  "a list": "[3]",
  "a deep list": `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
  "no sequence": "{}",
  "a sequence as text": '{"sequence":"3"}',
  "a negative sequence": '{"sequence":-1}',
  "half a sequence": '{"sequence":1.5}',
  "a sequence that is too great": '{"sequence":1e300}',
  "a sequence that is a list": '{"sequence":[3]}',
  "a checksum as text": '{"sequence":3,"checksum":"1"}',
  "a negative checksum": '{"sequence":3,"checksum":-1}',
  "half a checksum": '{"sequence":3,"checksum":1.5}',
  "a checksum that is too great": '{"sequence":3,"checksum":4294967296}',
};

Deno.test("a forged mark is a lost end until an operator accepts it, or is reported and written again", async () => {
  await using server = await startNatsServer();
  await appendOnce(server, 0, 3);
  await using nats = await client(server.url);
  const sound = await markOf(nats);
  for (const [name, mark] of Object.entries(IMPOSSIBLE)) {
    await store(nats, encodeChecked(JSON.stringify(mark), crc32));
    await assert.rejects(open(server), LogReplacedError, name);
    await (await open(server, { acceptLostTail: true })).close();
    assert.deepEqual(await markOf(nats), sound, name);
    await (await open(server)).close();
  }
  const records = Object.entries(UNREADABLE).map(([name, json]) =>
    [name, encodeChecked(json, crc32)] as const
  );
  for (const [name, data] of [...records, ["another checksum", bytes('00000000{"sequence":3}')] as const]) {
    await store(nats, data);
    const warnings: Warning[] = [];
    await using opened = await open(server, { onWarning: (warning) => warnings.push(warning) });
    assert.deepEqual(warnings.map(({ code }) => code), ["end-mark-failed"], name);
    await until(async () => isDeepStrictEqual(await markOf(nats), sound), name);
    assert.equal((await opened.verify()).ok, true);
  }
});

Deno.test("a mark that is damaged on the disk is reported and written again, also of a log without events", async () => {
  await using server = await startNatsServer();
  const warnings: Warning[] = [];
  const options: JetStreamEventStoreOptions = { onWarning: (warning) => warnings.push(warning) };
  await appendOnce(server, 0, 3);
  await server.shutdown();
  await flip((await streamFiles(server, "KV_aether_default")).blocks[0]!, '"sequence":3');
  await server.restart();
  await using nats = await client(server.url);
  {
    await using damaged = await open(server, options);
    assert.equal(await damaged.getLatestVersion("order"), 3);
    assert.deepEqual(warnings.map(({ code }) => code), ["end-mark-failed"]);
    await until(async () => (await markOf(nats)).sequence === 3, "the mark");
  }
  await (await open(server, { namespace: "empty" })).close();
  const bucket = { name: "KV_aether_empty", subjects: ["$KV.aether_empty.>"], max_msgs_per_subject: 1 };
  await nats.requests.createStream(bucket);
  await store(nats, encodeChecked('{"sequence":9}', crc32), "empty");
  await assert.rejects(open(server, { namespace: "empty" }), LogReplacedError);
  await (await open(server, { namespace: "empty", acceptLostTail: true })).close();
  await (await open(server, { namespace: "empty", ...options })).close();
  assert.equal(warnings.length, 1);
});

Deno.test("a store that may not write the bucket works, and warns that it cannot mark the end", async () => {
  const users = (permissions: string): string =>
    `authorization { users: [
    { user: "operator", password: "o" }
    { user: "app", password: "a", permissions: { publish: { deny: [${permissions}] } } }
  ] }`;
  await using server = await startNatsServer({
    configText: users(
      '"$KV.>", "$JS.API.STREAM.CREATE.KV_aether_default", "$JS.API.STREAM.MSG.GET.KV_aether_default"',
    ),
  });
  const connection = await connectTo(server.url, { user: "app", pass: "a" });
  const warnings: Warning[] = [];
  {
    await using store = await JetStreamEventStore.open(connection, {
      retention: "forever",
      onWarning: (warning) => warnings.push(warning),
    });
    await append(store, 0, 3);
    assert.equal((await store.verify()).ok, true);
  }
  assert(warnings.length > 0);
  for (const { code, message } of warnings) {
    assert.equal(code, "end-mark-failed");
    assert.match(message, /KV_aether_default/);
  }
  await connection.close();
});
