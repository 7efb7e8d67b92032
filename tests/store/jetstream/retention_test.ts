/** Retention: what expires is said to be gone, and is never taken for something that never was. */

import assert from "node:assert/strict";
import {
  ConfigurationMismatchError,
  DamagedHistoryError,
  HistoryTruncatedError,
  JetStreamEventStore,
  replay,
  type StoredEvent,
  VersionConflictError,
  type Warning,
} from "@flowmade-one/aether/jetstream";
import { expire, LONG_RETENTION } from "../../support/expiry.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { withTime } from "../../support/pulse.ts";
import { startProxy } from "../../support/proxy.ts";
import { flip, streamFiles } from "./stream_files.ts";
import { client, sleep, until } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

Deno.test("a stream is created with one year of retention, and as append-only", async () => {
  await using server = await startNatsServer();
  await using _store = await JetStreamEventStore.open(server.url);
  await using nats = await client(server.url);
  const { config } = await nats.requests.streamInfo("aether_default");
  assert.equal(config.max_age, 365 * 24 * 60 * 60 * 1_000_000_000);
  const { deny_delete, deny_purge, allow_rollup_hdrs, discard, storage, compression } = config;
  assert.deepEqual(
    { deny_delete, deny_purge, allow_rollup_hdrs, discard, storage, compression },
    {
      deny_delete: true,
      deny_purge: true,
      allow_rollup_hdrs: false,
      discard: "new",
      storage: "file",
      compression: "none",
    },
  );
  await using _forever = await JetStreamEventStore.open(server.url, {
    namespace: "kept",
    retention: "forever",
  });
  assert.equal((await nats.requests.streamInfo("aether_kept")).config.max_age ?? 0, 0);
  await assert.rejects(
    JetStreamEventStore.open(server.url, { namespace: "kept", retention: 5_000 }),
    (error) => {
      assert(error instanceof ConfigurationMismatchError);
      assert.deepEqual(error.differences, [{ setting: "max_age", expected: 5_000_000_000, actual: 0 }]);
      return true;
    },
  );
});

Deno.test("a run remembers the actors of an expiring log in which commits cannot be read", () =>
  withTime(5_000, async (retention, pulse) => {
    await using server = await startNatsServer();
    {
      await using store = await JetStreamEventStore.open(server.url, { retention });
      for (
        const [actorId, data] of [["damaged", 1], ["sound", 1], ["damaged", "second-"], ["last", "last-"]]
      ) {
        await store.append(`${actorId}`, [event(data)], { expectedVersion: "any" });
      }
    }
    await server.shutdown();
    const { blocks: [block] } = await streamFiles(server, "aether_default");
    for (const marker of ["second-", "last-"]) await flip(block!, marker);
    await server.restart();
    const warnings: string[] = [];
    const onWarning = ({ code }: Warning): unknown => warnings.push(code);
    await using store = await JetStreamEventStore.open(server.url, { retention, onWarning });
    await pulse.watch(server.url);
    await sleep(retention + 500);
    assert.deepEqual(warnings.filter((code) => code === "preserve-failed"), []);
    // The server counts a message that it cannot read for longer than it keeps one: the actor stays damaged.
    await assert.rejects(store.append("damaged", [event(3)], { expectedVersion: 0 }));
    assert.equal(await store.getLatestVersion("sound"), 1);
    await until(() => store.getEvents("sound").then(() => false, () => true), "the events to expire");
    const [saved] = await store.append("sound", [event(2)], { expectedVersion: "any" });
    assert.equal(saved!.version, 2);
  }));

Deno.test("an actor whose beginning has expired reads as truncated, and from the first kept version on", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: LONG_RETENTION });
  for (let version = 0; version < 45; version++) {
    await store.append("order", [event(version + 1)], { expectedVersion: version });
  }
  const log = await Array.fromAsync(store.readAll());
  const kept = (await store.getEvents("order", 41)).map(({ data }) => data);
  assert.deepEqual(kept, [41, 42, 43, 44, 45]);
  const isTruncated = (error: unknown): boolean =>
    error instanceof HistoryTruncatedError && error.actorId === "order" && error.firstVersion === 41;
  await expire(server.url, { kept: 5 });
  await assert.rejects(store.getEvents("order"), isTruncated);

  assert.equal(await store.getLatestVersion("order"), 45);
  assert.deepEqual((await store.getEvents("order", 41)).map(({ data }) => data), kept);
  await assert.rejects(store.getEvents("order", 40), HistoryTruncatedError);
  await assert.rejects(
    Array.fromAsync(store.readEvents("order", { direction: "backward" })),
    (error) => error instanceof HistoryTruncatedError && error.firstVersion === 41,
  );
  const faults: unknown[] = [];
  const rest = await Array.fromAsync(store.readEvents("order", { onDamage: (fault) => faults.push(fault) }));
  assert.deepEqual(rest.map(({ data }) => data), kept);
  assert.equal(faults.length, 1);

  // The log: from its start it is refused; from an expired position too; from the first kept one it goes.
  const [first] = await Array.fromAsync(store.readAll({ after: "first-kept", limit: 1 }));
  assert.equal(first?.version, 41);
  for (const after of ["start", log[10]!.position]) {
    const refused = (error: unknown): boolean =>
      error instanceof HistoryTruncatedError && error.firstPosition === first.position;
    await assert.rejects(Array.fromAsync(store.readAll({ after })), refused);
    const subscription = store.subscribe({ after });
    await assert.rejects(subscription.ready, refused);
    await assert.rejects(Array.fromAsync(subscription), refused);
    await assert.rejects(Array.fromAsync(store.readAll({ after, actorId: "order" })), refused);
    await assert.rejects(Array.fromAsync(store.readAll({ after, direction: "backward" })), refused);
  }
  const backward = { direction: "backward", after: "first-kept" } as const;
  const newest = (await Array.fromAsync(store.readAll({ after: "first-kept" }))).toReversed();
  assert.deepEqual(await Array.fromAsync(store.readAll(backward)), newest);
  assert.deepEqual(
    await Array.fromAsync(store.readAll({ direction: "backward", limit: 1 })),
    newest.slice(0, 1),
  );
  assert.equal((await store.verify()).ok, true);

  // A snapshot that covers what is missing keeps the actor readable.
  await store.saveSnapshot({
    actorId: "order",
    kind: "last",
    schemaVersion: 1,
    version: 42,
    state: 42,
    timestamp: "2026-01-01T00:00:00Z",
  });
  const view = {
    initialState: () => 0,
    evolve: (_: number, { data }: { data: unknown }) => data as number,
    snapshot: { kind: "last", schemaVersion: 1 },
  };
  assert.equal((await replay(store, "order", view)).state, 45);
});

Deno.test("an actor that lost all its events keeps its version and its token, after restarts too", () =>
  withTime(2_000, async (retention, pulse) => {
    await using server = await startNatsServer();
    {
      await using store = await JetStreamEventStore.open(server.url, { retention });
      await pulse.watch(server.url);
      await store.saveEvent({ actorId: "gone", version: 7, ...event("only") }, { fencingToken: 3 });
      await store.takeOver("owned", 9);
      await sleep(retention * 1.3); // the store does it by itself
      await store.append("alive", [event(1)], { expectedVersion: 0 });
    }
    await server.restart();
    await using store = await JetStreamEventStore.open(server.url);
    assert.equal(await store.getLatestVersion("gone"), 7);
    assert.equal(await store.getLatestVersion("never"), 0);
    await assert.rejects(store.getEvents("gone"), HistoryTruncatedError);
    assert.deepEqual(await store.getEvents("gone", 8), []);
    await assert.rejects(
      store.append("gone", [event(1)], { expectedVersion: 0, fencingToken: 3 }),
      (error) => error instanceof VersionConflictError && error.currentVersion === 7,
    );
    await assert.rejects(store.append("gone", [event(1)], { expectedVersion: 7 }), { name: "FencedError" });
    await assert.rejects(store.append("owned", [event(1)], { expectedVersion: 0 }), { name: "FencedError" });
    await store.append("gone", [event("again")], { expectedVersion: 7, fencingToken: 3 });
    assert.deepEqual((await store.getEvents("gone", 8)).map(({ version }) => version), [8]);
    await assert.rejects(
      store.getEvents("gone"),
      (error) => error instanceof HistoryTruncatedError && error.firstVersion === 8,
    );
    await store.append("never", [event(1)], { expectedVersion: 0 });
  }));

Deno.test("where no store was open in time nothing is known of an actor, but a store that was open knows it", async () => {
  await using server = await startNatsServer();
  await using witness = await JetStreamEventStore.open(server.url, { retention: 60_000 });
  await witness.append("order", [event(1), event(2)], { expectedVersion: 0 });
  await witness.append("pictured", [event(1), event(2)], { expectedVersion: 0 });
  const timestamp = "2026-01-01T00:00:00Z";
  await witness.saveSnapshot({
    actorId: "pictured",
    kind: "k",
    schemaVersion: 1,
    version: 2,
    state: 0,
    timestamp,
  });
  await using nats = await client(server.url);
  // An operator shortens the retention: everything expires at once, without a run before.
  const { config } = await nats.requests.streamInfo("aether_default");
  await nats.requests.updateStream({ ...config, max_age: 100_000_000 });
  await until(async () => (await nats.requests.streamInfo("aether_default")).state.messages === 0);
  assert.equal(await witness.getLatestVersion("order"), 2);
  await assert.rejects(witness.append("order", [event(1)], { expectedVersion: 0 }), VersionConflictError);
  await using other = await JetStreamEventStore.open(server.url);
  assert.equal(await other.getLatestVersion("order"), 0); // as the documentation says
  assert.equal(await other.getLatestVersion("pictured"), 2); // its snapshot says so
});

Deno.test("preserveExpiringActors() remembers each actor in the oldest tenth of the retention once", () =>
  withTime(2_000, async (retention, pulse) => {
    await using server = await startNatsServer();
    await using nats = await client(server.url);
    await using store = await JetStreamEventStore.open(server.url, { retention });
    await pulse.watch(server.url);
    const isEmpty = async (): Promise<boolean> =>
      (await nats.requests.streamInfo("aether_default")).state.messages === 0;
    assert.deepEqual(await store.preserveExpiringActors(), { commits: 0, remembered: 0 });
    for (let index = 0; index < 20; index++) {
      await store.append(`a-${index}`, [event(1)], { expectedVersion: 0 });
    }
    let remembered = 0;
    await until(
      async () => (remembered += (await store.preserveExpiringActors()).remembered) > 0 || await isEmpty(),
      "the oldest tenth to be reached",
    );
    assert(remembered > 0);
    await sleep(retention / 5);
    await store.preserveExpiringActors();
    await until(isEmpty, "all events to expire");
    await using other = await JetStreamEventStore.open(server.url);
    for (let index = 0; index < 20; index++) assert.equal(await other.getLatestVersion(`a-${index}`), 1);
  }));

Deno.test("a read of what is kept begins later if its first commits expire before they are delivered", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  const read = { after: "first-kept" } as const;
  const first = async <T>(events: AsyncIterable<T>): Promise<T[]> => {
    for await (const event of events) return [event];
    return [];
  };
  const calls: Record<string, (store: JetStreamEventStore) => Promise<StoredEvent[]>> = {
    readAll: (store) => Array.fromAsync(store.readAll(read)),
    "readAll of an actor": (store) => Array.fromAsync(store.readAll({ ...read, actorPrefix: "order" })),
    "a page": (store) => Array.fromAsync(store.readAll({ ...read, limit: 10 })),
    subscribe: (store) => first(store.subscribe(read)),
    "subscribe to an actor": (store) => first(store.subscribe({ ...read, actorPrefix: "order" })),
  };
  const stores: [string, JetStreamEventStore][] = [];
  await using opened = new AsyncDisposableStack();
  for (const [index, name] of Object.keys(calls).entries()) {
    const options = { namespace: `n${index}`, retention: LONG_RETENTION, answerTimeout: 1_000 };
    stores.push([name, opened.use(await JetStreamEventStore.open(proxy.url, options))]);
  }
  for (const [, store] of stores) await store.append("order", [event(1), event(2)], { expectedVersion: 0 });
  for (const [, store] of stores) await store.append("order", [event(3)], { expectedVersion: 2 });
  // What asks for the first commit is lost on the way, until it has expired.
  const held = new Set<string>();
  let isHeld = true;
  proxy.filter({
    toServer: ({ subject, payload }) => {
      const [, call, stream] = /(CONSUMER\.CREATE|DIRECT\.GET)\.(aether_n\d)/.exec(subject ?? "") ?? [];
      if (!isHeld || !stream) return false;
      if (call === "DIRECT.GET" && new TextDecoder().decode(payload) !== '{"seq":1}') return false;
      held.add(stream);
      return true;
    },
  });
  const reads = stores.map(([name, store]) => calls[name]!(store).then((events) => [name, events] as const));
  await until(() => held.size === stores.length, "the reads to be held");
  for (const index of stores.keys()) await expire(server.url, { stream: `aether_n${index}`, kept: 1 });
  isHeld = false;
  for (const [name, events] of await Promise.all(reads)) {
    assert.deepEqual(events.map(({ data }) => data), [3], name);
  }
});

Deno.test("a filtered subscription that was closed for longer than the retention ends as truncated", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using writer = await JetStreamEventStore.open(server.url, { retention: LONG_RETENTION });
  await using store = await JetStreamEventStore.open(proxy.url);
  const subscription = store.subscribe({ actorPrefix: "order." });
  await subscription.ready;
  const end = Array.fromAsync(subscription).catch((error) => error);
  await writer.append("order.1", [event(1)], { expectedVersion: 0 });
  await until(() => subscription.position !== undefined, "the first event");
  await proxy.cut();
  await writer.append("order.2", [event(2)], { expectedVersion: 0 });
  await expire(server.url);
  await writer.append("order.3", [event(3)], { expectedVersion: 0 });
  proxy.resume();
  assert(await end instanceof HistoryTruncatedError);
});

Deno.test("listActors() and verify() end if the last commit expires before it is delivered", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  for (const call of ["listActors", "verify"] as const) {
    const options = { namespace: call, retention: LONG_RETENTION, answerTimeout: 700 };
    await using store = await JetStreamEventStore.open(proxy.url, options);
    await store.append("order", [event(1)], { expectedVersion: 0 });
    const asked = Promise.withResolvers<void>();
    proxy.filter({
      toServer: ({ subject }) => {
        if (!subject?.includes("CONSUMER.CREATE")) return false;
        asked.resolve();
        return true;
      },
    });
    const result = call === "verify" ? store.verify() : Array.fromAsync(store.listActors());
    await asked.promise;
    await expire(server.url, { stream: `aether_${call}` });
    proxy.resume();
    if (call === "verify") assert.equal((await result as Awaited<ReturnType<typeof store.verify>>).ok, true);
    else assert.deepEqual(await result, []);
  }
});

Deno.test("a store notices that an operator gives its stream a retention, and removes it again", () =>
  withTime(3_000, async (retention, pulse) => {
    await using server = await startNatsServer();
    await pulse.watch(server.url);
    await using nats = await client(server.url);
    await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
    for (let version = 0; version < 3; version++) {
      await store.append("order", [event(version)], { expectedVersion: version });
    }
    const { config } = await nats.requests.streamInfo("aether_default");
    await nats.requests.updateStream({ ...config, max_age: retention * 1_000_000 });
    await store.diagnose(); // any question to the stream
    await until(async () => (await nats.requests.streamInfo("aether_default")).state.first_seq > 3);

    const isTruncated = async (opened: JetStreamEventStore): Promise<void> => {
      assert.equal(await opened.getLatestVersion("order"), 3);
      await assert.rejects(opened.getEvents("order"), HistoryTruncatedError);
      await assert.rejects(Array.fromAsync(opened.readAll()), HistoryTruncatedError);
      await assert.rejects(Array.fromAsync(opened.readAll({ direction: "backward" })), HistoryTruncatedError);
      await assert.rejects(opened.append("order", [event(0)], { expectedVersion: 0 }), VersionConflictError);
      assert.deepEqual((await opened.verify()).faults, []);
    };
    await isTruncated(store);
    await nats.requests.updateStream(config);
    await store.append("other", [event(1)], { expectedVersion: 0 });
    await isTruncated(store);
    // What had expired when the retention was removed is not lost, and no version is used again.
    await using reopened = await JetStreamEventStore.open(server.url, { retention: "forever" });
    await isTruncated(reopened);
    await reopened.append("order", [event(4)], { expectedVersion: 3 });
    const kept = await Array.fromAsync(reopened.readAll({ after: "first-kept" }));
    assert.deepEqual(kept.map(({ actorId, version }) => `${actorId} ${version}`), ["other 1", "order 4"]);
  }));

Deno.test("what expired while no store was open is not damage when the retention is removed", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  const open = (namespace: string): Promise<JetStreamEventStore> =>
    JetStreamEventStore.open(server.url, { namespace });
  // One stream is created with the retention, the other one is given it for some time.
  for (const namespace of ["created", "given"]) {
    const retention = namespace === "created" ? 300 : "forever";
    await using store = await JetStreamEventStore.open(server.url, { namespace, retention });
    await store.append("order", [event(1)], { expectedVersion: 0 });
  }
  const infoOf = (namespace: string): ReturnType<typeof nats.requests.streamInfo> =>
    nats.requests.streamInfo(`aether_${namespace}`);
  const { config } = await infoOf("given");
  await nats.requests.updateStream({ ...config, max_age: 300 * 1_000_000 });
  for (const namespace of ["created", "given"]) {
    await until(async () => (await infoOf(namespace)).state.first_seq > 1, "the first event to expire");
    const { config } = await infoOf(namespace);
    await nats.requests.updateStream({ ...config, max_age: 0 });
    await using store = await open(namespace);
    await store.append("other", [event(2)], { expectedVersion: 0 });
  }
  const faultOf = async (store: JetStreamEventStore): Promise<unknown> => {
    const { faults } = await store.verify();
    await assert.rejects(Array.fromAsync(store.readAll()));
    return faults[0] ?? await Array.fromAsync(store.readAll()).catch((error) => error);
  };
  {
    await using store = await open("created");
    assert(await faultOf(store) instanceof HistoryTruncatedError);
  }
  // Nothing tells this one from a log that has lost its beginning, until an operator sets a retention again.
  {
    await using store = await open("given");
    assert(await faultOf(store) instanceof DamagedHistoryError);
  }
  await nats.requests.updateStream({ ...config, max_age: 60_000 * 1_000_000 });
  await using store = await open("given");
  assert(await faultOf(store) instanceof HistoryTruncatedError);
  assert.deepEqual((await Array.fromAsync(store.readAll({ after: "first-kept" }))).length, 1);
});
