/** Damage to what a server has stored: it is found, and never a silently shorter history. */

import assert from "node:assert/strict";
import {
  BackendError,
  DamagedHistoryError,
  type HistoryFault,
  HistoryTruncatedError,
  JetStreamEventStore,
  LogReplacedError,
  OutcomeUnknownError,
} from "@flowmade-one/aether/jetstream";
import { startNatsCluster, startNatsServer } from "../../support/nats_server.ts";
import { startProxy } from "../../support/proxy.ts";
import { isAcknowledgement, isCommit } from "./chaos/faults.ts";
import { replica } from "./chaos/replicas.ts";
import { flip, type StreamFiles, streamFiles } from "./stream_files.ts";
import type { StreamInfo } from "../../../src/nats/jetstream/api_types.ts";
import { EventLog } from "../../../src/store/jetstream/read/event_log.ts";
import { countUnreadable } from "../../../src/store/jetstream/read/left_out.ts";
import { Layout } from "../../../src/store/jetstream/format/layout.ts";
import { client, until } from "./support.ts";

const EVENTS = 60;

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

/** Stores events with a marker each, does something to the files while the server is down, and opens a store anew. */
async function damaged(
  damage: (files: StreamFiles) => Promise<void>,
  check: (store: JetStreamEventStore, witness: string, warned: unknown[]) => Promise<void>,
): Promise<void> {
  await using server = await startNatsServer();
  let last = "";
  {
    await using store = await JetStreamEventStore.open(server.url);
    for (let version = 0; version < EVENTS; version++) {
      const [saved] = await store.append("order", [event(`marker-${version + 1}-`)], {
        expectedVersion: version,
      });
      last = saved!.position;
    }
  }
  await server.shutdown();
  await damage(await streamFiles(server, "aether_default"));
  await server.restart();
  const warned: unknown[] = [];
  await using store = await JetStreamEventStore.open(server.url, {
    acceptLostTail: true,
    onWarning: (warning) => warned.push(warning),
  });
  await check(store, last, warned);
}

/** Reads what can be read; every event that is handed out is one that was saved, and what is missing is said so. */
async function readAround(
  store: JetStreamEventStore,
): Promise<{ versions: number[]; faults: HistoryFault[] }> {
  const faults: HistoryFault[] = [];
  const events = await Array.fromAsync(
    store.readEvents("order", { onDamage: (fault) => faults.push(fault) }),
  );
  for (const { version, data } of events) assert.equal(data, `marker-${version}-`);
  if (faults.length > 0) {
    const own = new Error("my own");
    const stopped = store.readEvents("order", {
      onDamage: () => {
        throw own;
      },
    });
    await assert.rejects(Array.fromAsync(stopped), (error) => error === own);
  }
  return { versions: events.map(({ version }) => version), faults };
}

async function assertLoud(store: JetStreamEventStore, witness: string): Promise<void> {
  const isLoud = (error: unknown): boolean =>
    error instanceof DamagedHistoryError || error instanceof BackendError;
  const report = await store.verify({ expectedPosition: witness });
  assert.equal(report.ok, false, "verify finds nothing");
  const outcomes = await Promise.allSettled([
    store.getEvents("order"),
    Array.fromAsync(store.readAll()),
    Array.fromAsync(store.readEvents("order", { direction: "backward" })),
  ]);
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") assert(isLoud(outcome.reason), String(outcome.reason));
    else assert.equal(outcome.value.length, EVENTS, "a shorter history is handed out in silence");
  }
}

Deno.test("a byte that is flipped in the middle of a block is damage, with the index and without it", async () => {
  for (const withIndex of [true, false]) {
    await damaged(async ({ blocks, index }) => {
      await flip(blocks[0]!, "marker-30-");
      if (!withIndex) await Deno.remove(index);
    }, async (store, witness) => {
      const { versions } = await readAround(store).catch((error) => {
        assert(error instanceof DamagedHistoryError || error instanceof BackendError, String(error));
        return { versions: [] as number[] };
      });
      assert(!versions.includes(30));
      const latest = await store.getLatestVersion("order");
      if (latest === EVENTS) await assertLoud(store, witness);
      else {
        // The server has cut its log off at the damage: nothing in the log remembers the tail, but the position does.
        const report = await store.verify({ expectedPosition: witness });
        assert.equal(report.ok, false);
        await assert.rejects(Array.fromAsync(store.readAll({ after: witness })), { reason: "ahead" });
      }
    });
  }
});

Deno.test("open() refuses a log that a server has cut off at a flipped byte, until an operator accepts it", async () => {
  await using server = await startNatsServer();
  {
    await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
    for (let version = 0; version < EVENTS; version++) {
      await store.append("order", [event(`marker-${version + 1}-`)], { expectedVersion: version });
    }
  }
  await server.shutdown();
  const { blocks, index } = await streamFiles(server, "aether_default");
  await flip(blocks[0]!, "marker-30-");
  await Deno.remove(index);
  await server.restart();
  for (const options of [{}, { acceptLostTail: false }]) {
    await assert.rejects(JetStreamEventStore.open(server.url, options), (error) => {
      assert(error instanceof LogReplacedError, String(error));
      assert.equal(error.reason, "end-lost");
      const [, end, marked] = /ends at sequence (\d+), and was stored up to sequence (\d+)/.exec(
        error.message,
      )!;
      assert(Number(end) < 30 && Number(marked) === EVENTS, error.message);
      return true;
    });
  }
  {
    await using store = await JetStreamEventStore.open(server.url, { acceptLostTail: true });
    const kept = await store.getLatestVersion("order");
    assert(kept < 30);
    await store.append("order", [event("on")], { expectedVersion: kept });
  }
  await using store = await JetStreamEventStore.open(server.url);
  assert.equal((await store.verify()).ok, true);
});

Deno.test("a block that is cut off has lost its tail, which a remembered position finds", async () => {
  await damaged(async ({ blocks, index }) => {
    const { size } = await Deno.stat(blocks[0]!);
    await Deno.truncate(blocks[0]!, Math.floor(size / 2));
    await Deno.remove(index).catch(() => {});
  }, async (store, witness) => {
    assert(await store.getLatestVersion("order").catch(() => 0) < EVENTS);
    assert.equal((await store.verify({ expectedPosition: witness })).ok, false);
    await assert.rejects(Array.fromAsync(store.readAll({ after: witness })), { reason: "ahead" });
    const subscription = store.subscribe({ after: witness });
    await assert.rejects(subscription.ready, { reason: "ahead" });
    await subscription.close();
  });
});

Deno.test("an index that is deleted is made again by the server, and nothing is lost", async () => {
  await damaged(async ({ index }) => await Deno.remove(index), async (store, witness) => {
    assert.equal((await store.verify({ expectedPosition: witness })).ok, true);
    assert.equal((await readAround(store)).versions.length, EVENTS);
    await store.append("order", [event("on")], { expectedVersion: EVENTS });
  });
});

Deno.test("a replica that was damaged while its server was down is healed by the others, and reads the same when it leads", async () => {
  await using cluster = await startNatsCluster();
  {
    await using store = await JetStreamEventStore.open(cluster.urls, { replicas: 3 });
    for (let version = 0; version < EVENTS; version++) {
      await store.append("order", [event(`marker-${version + 1}-`)], { expectedVersion: version });
    }
  }
  const leader = await cluster.streamLeader("aether_default");
  const follower = cluster.servers.find((server) => server !== leader)!;
  await follower.shutdown();
  const { blocks, index } = await streamFiles(follower, "aether_default");
  await flip(blocks[0]!, "marker-30-");
  await Deno.remove(index);
  await follower.restart();
  const healthy = await replica(cluster, leader!, "aether_default");
  assert.equal(healthy.length, EVENTS);
  await until(async () => {
    const healed = await replica(cluster, follower, "aether_default");
    return JSON.stringify(healed) === JSON.stringify(healthy);
  }, "the replica to be as the others");
  await using store = await JetStreamEventStore.open(follower.url);
  assert.equal((await readAround(store)).versions.length, EVENTS);
  assert.equal((await store.verify()).ok, true);
});

Deno.test("an actor whose latest commit cannot be read is damaged, and takes no second beginning", async () => {
  await using server = await startNatsServer();
  {
    await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
    for (let version = 0; version < 5; version++) {
      await store.append("order", [event(`marker-${version + 1}-`)], { expectedVersion: version });
    }
    await store.append("single", [event("marker-single-")], { expectedVersion: 0 });
    await store.append("other", [event(1)], { expectedVersion: 0 });
  }
  await server.shutdown();
  const { blocks: [block] } = await streamFiles(server, "aether_default");
  await flip(block!, "marker-5-");
  await flip(block!, "marker-single-");
  await server.restart();
  await using store = await JetStreamEventStore.open(server.url);
  for (const actorId of ["order", "single"]) {
    const isDamaged = (error: unknown): boolean =>
      error instanceof DamagedHistoryError && error.actorId === actorId;
    for (const expectedVersion of [0, 4, 5, "any"] as const) {
      await assert.rejects(store.append(actorId, [event("on")], { expectedVersion }), isDamaged);
    }
    await assert.rejects(store.saveEvent({ actorId, version: 1, ...event("on") }), isDamaged);
    await assert.rejects(store.saveEvent({ actorId, version: 9, ...event("on") }), isDamaged);
    await assert.rejects(store.takeOver(actorId, 5), isDamaged);
    await assert.rejects(store.getLatestVersion(actorId), isDamaged);
    await assert.rejects(store.getEvents(actorId), isDamaged);
    await assert.rejects(Array.fromAsync(store.readEvents(actorId, { direction: "backward" })), isDamaged);
    // Of a batch, none is stored.
    const batch = ["new-1", actorId, "new-2"].map((actorId) => ({ actorId, version: 1, ...event(1) }));
    await assert.rejects(store.saveEvents(batch), isDamaged);
  }
  // New actors that are saved at the same time are no worse for it.
  const saves = await Promise.allSettled(["new-1", "order", "new-2"].map((actorId) => {
    return store.append(actorId, [event(1)], { expectedVersion: 0 });
  }));
  assert.deepEqual(saves.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
  const { versions, faults } = await readAround(store);
  assert.deepEqual(versions, [1, 2, 3, 4]);
  assert.equal(faults.length, 1);
});

Deno.test("a first commit without an acknowledgement is not stored again by a server that cannot read it any more", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using store = await JetStreamEventStore.open(proxy.url, {
    retention: "forever",
    connect: { client: { reconnectTimeWait: 20 } },
  });
  await using nats = await client(server.url);
  const stored = async (): Promise<number> =>
    (await nats.requests.streamInfo("aether_default")).state.messages;
  proxy.filter({ toClient: isAcknowledgement });
  const saved = store.append("order", [{ id: "first", ...event("marker-") }], { expectedVersion: 0 });
  const outcome = assert.rejects(saved, OutcomeUnknownError);
  await until(async () => await stored() === 1);
  proxy.filter({ toServer: isCommit }); // it is sent again only when the server is back
  await server.shutdown();
  await flip((await streamFiles(server, "aether_default")).blocks[0]!, "marker-");
  await server.restart();
  proxy.filter({});
  await outcome;
  await assert.rejects(
    store.append("order", [{ id: "first", ...event("marker-") }], { expectedVersion: 0 }),
    DamagedHistoryError,
  );
  await until(() => nats.state.isConnected);
  assert.equal(await stored(), 1);
});

Deno.test("a commit whose condition is an actor without events is not stored by a server that cannot read its first commit", async () => {
  await using server = await startNatsServer();
  await using other = await JetStreamEventStore.open(server.url, { retention: "forever" });
  await using proxy = startProxy(server.url);
  await using store = await JetStreamEventStore.open(proxy.url, {
    retention: "forever",
    connect: { client: { reconnectTimeWait: 20 } },
  });
  await store.append("order", [event("first")], { expectedVersion: 0 });
  let lost = 0;
  proxy.filter({ toServer: (frame) => isCommit(frame) && ++lost > 0 });
  const saved = store.append("order", [event("second")], {
    expectedVersion: 1,
    conditions: [{ actorId: "name", version: 0 }],
  });
  const outcome = assert.rejects(saved, OutcomeUnknownError);
  await until(() => lost > 0);
  await other.append("name", [event("marker-")], { expectedVersion: 0 });
  await server.shutdown();
  await flip((await streamFiles(server, "aether_default")).blocks[0]!, "marker-");
  await server.restart();
  proxy.filter({});
  await outcome;
  await until(async () => await other.getLatestVersion("order").catch(() => 0) === 1);
});

Deno.test("filtered reads, subscriptions and listings leave no damaged commit out in silence", async () => {
  for (const damaged of ["marker-3-", "marker-5-", "marker-other-"]) {
    await using server = await startNatsServer();
    {
      await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
      for (let index = 1; index <= 5; index++) {
        await store.append(`order.${index}`, [event(`marker-${index}-`)], { expectedVersion: 0 });
      }
      await store.append("other", [event("marker-other-")], { expectedVersion: 0 });
    }
    await server.shutdown();
    await flip((await streamFiles(server, "aether_default")).blocks[0]!, damaged);
    await server.restart();
    await using store = await JetStreamEventStore.open(server.url, { heartbeat: 200 });
    const filter = { actorPrefix: damaged === "marker-other-" ? "oth" : "order." };
    await assert.rejects(Array.fromAsync(store.readAll(filter)), DamagedHistoryError);
    await assert.rejects(Array.fromAsync(store.readAll()), DamagedHistoryError);
    await assert.rejects(Array.fromAsync(store.subscribe(filter)), DamagedHistoryError);
    await assert.rejects(Array.fromAsync(store.listActors(filter)), DamagedHistoryError);
    await assert.rejects(Array.fromAsync(store.listActors()), DamagedHistoryError);
    if (damaged === "marker-other-") await assert.rejects(store.getLastPosition(), DamagedHistoryError);
    assert.equal((await store.verify()).ok, false);
    const faults: HistoryFault[] = [];
    const events = await Array.fromAsync(
      store.readAll({ ...filter, onDamage: (fault) => faults.push(fault) }),
    );
    assert.equal(events.length, damaged === "marker-other-" ? 0 : 4);
    assert.equal(faults.length, 1);
    // What the filter does not choose is no matter of a read.
    const rest = damaged === "marker-other-" ? { actorPrefix: "order." } : { actorId: "other" };
    assert((await Array.fromAsync(store.readAll(rest))).length > 0);
    assert.deepEqual(await Array.fromAsync(store.readAll({ actorPrefix: "none." })), []);
  }
});

Deno.test("a log that comes back without its end is damaged to stores and subscriptions that have seen it", async () => {
  await using server = await startNatsServer();
  const options = {
    retention: "forever",
    heartbeat: 200,
    connect: { client: { reconnectTimeWait: 20 } },
  } as const;
  await using store = await JetStreamEventStore.open(server.url, options);
  const append = (store: JetStreamEventStore, count: number): Promise<unknown> => {
    const saves = Array.from({ length: count }, () => crypto.randomUUID()).map((actorId) => {
      return store.append(actorId, [event(1)], { expectedVersion: 0 });
    });
    return Promise.all(saves);
  };
  await append(store, 20);
  await server.shutdown();
  const backup = await Deno.makeTempDir();
  try {
    const copy = async (from: string, to: string): Promise<void> => {
      const { success } = await new Deno.Command("cp", { args: ["-a", `${from}/.`, to] }).output();
      assert(success);
    };
    await copy(server.storageFolder, backup);
    await server.restart();
    const subscriptions = [
      store.subscribe(),
      store.subscribe({ actorPrefix: "" }),
      store.subscribe({ after: "end" }),
    ];
    await until(() => append(store, 1).then(() => true, () => false), "the connection");
    await append(store, 9);
    const ends = subscriptions.map((subscription) => Array.fromAsync(subscription).catch((error) => error));
    await until(() => subscriptions.every(({ position }) => position !== undefined), "the subscriptions");
    await server.shutdown();
    await Deno.remove(server.storageFolder, { recursive: true });
    await Deno.mkdir(server.storageFolder, { recursive: true });
    await copy(backup, server.storageFolder);
    await server.restart();
    for (const end of ends) assert(await end instanceof DamagedHistoryError);
    const isDamaged = (error: unknown): boolean =>
      error instanceof DamagedHistoryError && /ends at sequence 20/.test(error.message);
    await assert.rejects(Array.fromAsync(store.readAll()), isDamaged);
    await assert.rejects(Array.fromAsync(store.subscribe()), isDamaged);
  } finally {
    await Deno.remove(backup, { recursive: true });
  }
});

Deno.test('subscribe({ after: "end" }) reports the position behind which it begins, also while others write', async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: "forever" });
  const ending = new AbortController();
  const writing = (async () => {
    for (let count = 0; !ending.signal.aborted; count++) {
      await store.append(`a-${count % 50}`, [event(count)], { expectedVersion: "any" });
    }
  })();
  try {
    for (let round = 0; round < 30; round++) {
      await using subscription = store.subscribe({ after: "end" });
      await subscription.ready;
      const position = subscription.position ?? "";
      for await (const event of subscription) {
        assert(event.position > position);
        break;
      }
    }
  } finally {
    ending.abort();
    await writing;
  }
});

Deno.test("a log in which commits have expired leaves no damaged commit out in silence either", async () => {
  for (const damaged of ["marker-3-", "marker-5-"]) {
    await using server = await startNatsServer();
    {
      await using store = await JetStreamEventStore.open(server.url, { retention: 500 });
      for (let index = 1; index <= 3; index++) {
        await store.append(`order.old-${index}`, [event("old")], { expectedVersion: 0 });
      }
      await using nats = await client(server.url);
      const state = async (): Promise<StreamInfo> => await nats.requests.streamInfo("aether_default");
      await until(async () => (await state()).state.messages === 0, "the first commits to expire");
      const { config } = await state();
      await nats.requests.updateStream({ ...config, max_age: 3_600_000_000_000 });
      for (let index = 1; index <= 5; index++) {
        await store.append(`order.${index}`, [event(`marker-${index}-`)], { expectedVersion: 0 });
      }
      await store.append("other", [event(1)], { expectedVersion: 0 });
    }
    await server.shutdown();
    const { blocks } = await streamFiles(server, "aether_default");
    await flip(blocks.at(-1)!, damaged);
    await server.restart();
    await using store = await JetStreamEventStore.open(server.url, { heartbeat: 200 });
    const filter = { after: "first-kept", actorPrefix: "order." } as const;
    await assert.rejects(Array.fromAsync(store.readAll(filter)), DamagedHistoryError);
    await assert.rejects(Array.fromAsync(store.subscribe(filter)), DamagedHistoryError);
    await assert.rejects(Array.fromAsync(store.listActors({ actorPrefix: "order." })), DamagedHistoryError);
    await assert.rejects(Array.fromAsync(store.listActors()), DamagedHistoryError);
    const faults: HistoryFault[] = [];
    const events = await Array.fromAsync(
      store.readAll({ ...filter, onDamage: (fault) => faults.push(fault) }),
    );
    assert.deepEqual([events.length, faults.length], [4, 1]);

    // The same if more has expired since the messages were counted.
    await using nats = await client(server.url);
    const { config, state } = await nats.requests.streamInfo("aether_default");
    const logId = (config.metadata as Record<string, string>)["aether-log"]!;
    const layout = new Layout("aether", "default", logId);
    const { requests } = nats;
    const warn = (): void => {};
    const log = new EventLog({
      state: nats.state,
      requests,
      layout,
      config,
      patience: 5_000,
      warn,
      differences: () => [],
    });
    const to = state.last_seq;
    for (const lastOfEach of [false, true]) {
      const orders = { filterSubjects: [layout.filter({ actorPrefix: "order." })!], lastOfEach, from: 1, to };
      assert.equal(await countUnreadable(log, orders, 4), 1);
      const others = { ...orders, filterSubjects: [layout.subject("other")] };
      assert.equal(await countUnreadable(log, others, 4), 0);
    }
  }
});

Deno.test("filtered reads and listings pass over what expires while they read, without a fault", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url, { retention: 1_000, heartbeat: 100 });
  const writing = new AbortController();
  const writer = (async () => {
    for (let index = 0; !writing.signal.aborted; index++) {
      await store.append(`order.${index}`, [event(1)], { expectedVersion: 0 });
    }
  })();
  const end = performance.now() + 2_500;
  let read = 0;
  while (performance.now() < end) {
    try {
      for await (const _event of store.readAll({ after: "first-kept", actorPrefix: "order." })) {
        if (++read % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      }
    } catch (error) {
      assert(error instanceof HistoryTruncatedError, String(error));
    }
    for await (const _actor of store.listActors({ actorPrefix: "order." })) read++;
  }
  writing.abort();
  await writer;
  assert(read > 0);
});
