/** The mark of the log's end: a store that is opened notices that the stream has lost its end. */

import assert from "node:assert/strict";
import {
  DamagedHistoryError,
  JetStreamEventStore,
  type JetStreamEventStoreOptions,
  LostTailError,
  type Warning,
} from "@flowmade-one/aether/jetstream";
import { connectTo } from "../../../src/nats/connect.ts";
import { type NatsServer, startNatsServer } from "../../support/nats_server.ts";
import { client, until } from "./support.ts";

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

function open(
  server: NatsServer,
  options: JetStreamEventStoreOptions = {},
): Promise<JetStreamEventStore> {
  return JetStreamEventStore.open(server.url, { retention: "forever", ...options });
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
        assert(error instanceof LostTailError);
        const { reason, lastSequence, markedSequence } = error;
        assert.deepEqual([reason, lastSequence, markedSequence], ["shorter", 5, 8]);
        assert.match(error.message, /3 commit\(s\) are missing.*acceptLostTail/);
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
      assert(error instanceof LostTailError);
      assert.deepEqual([error.reason, error.lastSequence, error.markedSequence], ["diverged", 7, 6]);
      return true;
    });
    await (await open(server, { acceptLostTail: true })).close();
    await (await open(server)).close();
  } finally {
    await Deno.remove(backup, { recursive: true });
  }
});

Deno.test("the mark is written while the store is open, so that a killed program leaves one", async () => {
  await using server = await startNatsServer();
  await using store = await open(server);
  await append(store, 0, 5);
  await using nats = await client(server.url);
  const count = async (): Promise<number> => {
    try {
      return (await nats.requests.streamInfo("KV_aether_default")).state.messages;
    } catch {
      return 0;
    }
  };
  await until(async () => await count() === 1, "the mark");
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
