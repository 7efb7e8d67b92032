/** Servers that are old, full, limited or gone: typed errors, nothing lost, and the store goes on when the cause is gone. */

import assert from "node:assert/strict";
import {
  BackendError,
  CommitTooLargeError,
  EventTooLargeError,
  HistoryTruncatedError,
  JetStreamEventStore,
  NoAnswerError,
  OutcomeUnknownError,
  StoreOpenError,
} from "@flowmade-one/aether/jetstream";
import { startNatsServer } from "../../support/nats_server.ts";
import { withTime } from "../../support/pulse.ts";
import { natsServerBinary, NatsServerNotFoundError } from "../../support/nats_server_binary.ts";
import { startProxy } from "../../support/proxy.ts";
import { smallDisk } from "../../support/small_disk.ts";
import { sleep, until } from "./support.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

/** Appends events of a size until that is refused. The answers are how many were stored, and the refusal. */
async function fill(store: JetStreamEventStore, size: number): Promise<{ stored: number; refusal: Error }> {
  for (let stored = 0;; stored++) {
    try {
      await store.append("order", [event("x".repeat(size))], { expectedVersion: stored });
    } catch (error) {
      assert(error instanceof Error);
      return { stored, refusal: error };
    }
  }
}

for (const version of ["2.11.9", "2.12.0"]) {
  Deno.test(`a real server of version ${version} is refused, with the advice to update it`, () =>
    refusesServer(version));
}

async function refusesServer(version: string): Promise<void> {
  let binary: string;
  try {
    binary = await natsServerBinary({ version });
  } catch (error) {
    if (!(error instanceof NatsServerNotFoundError)) throw error;
    return console.warn(`NOT TESTED: nats-server ${version} cannot be obtained: ${error.message}`);
  }
  await using server = await startNatsServer({ binary });
  await assert.rejects(JetStreamEventStore.open(server.url), (error) => {
    return error instanceof BackendError && error.reason === "unsupported" &&
      error.message.includes(version) &&
      /2\.12\.1 or newer/.test(error.message);
  });
}

Deno.test("what is over max_payload is refused before it is sent, also where the server has lowered it since", async () => {
  await using server = await startNatsServer({ maxPayload: 400_000 });
  await using proxy = startProxy(server.url);
  await using store = await JetStreamEventStore.open(proxy.url, {
    saveTimeout: 5_000,
    connect: { client: { reconnectTimeWait: 20 } },
  });
  await store.append("order", [event(1)], { expectedVersion: 0 });
  let sent = 0;
  proxy.filter({ toServer: ({ subject }) => subject?.startsWith("aether.") === true && sent++ < 0 });
  await assert.rejects(
    store.append("order", [event("x".repeat(400_000))], { expectedVersion: 1 }),
    (error) => error instanceof EventTooLargeError && error.limit < 400_000,
  );
  const half = event("x".repeat(200_000));
  await assert.rejects(store.append("order", [half, half], { expectedVersion: 1 }), CommitTooLargeError);
  assert.equal(sent, 0);
  assert.equal((await store.append("order", [half], { expectedVersion: 1 }))[0]?.version, 2);

  // The operator lowers the limit under the open store.
  await server.reconfigure("max_payload: 400000", "max_payload: 300000", "restart");
  await until(() =>
    store.append("order", [event(3)], { expectedVersion: "any" }).then(() => true, () => false)
  );
  const latest = await store.getLatestVersion("order");
  await assert.rejects(
    store.append("order", [event("x".repeat(350_000))], { expectedVersion: latest }),
    (error) =>
      error instanceof BackendError && error.reason === "too-large" &&
      /raise max_payload/i.test(error.message),
  );
  assert.equal((await store.append("order", [half], { expectedVersion: latest }))[0]?.version, latest + 1);
  assert.equal((await store.getEvents("order")).length, latest + 1);

  await using small = await startNatsServer({ maxPayload: 100_000 });
  await assert.rejects(
    JetStreamEventStore.open(small.url),
    (error) => error instanceof StoreOpenError && /raise max_payload/i.test(error.message),
  );
});

Deno.test("256 saves whose connection dies in the middle, again and again, are stored once each", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  const connect = { client: { reconnectTimeWait: 20 } };
  await using store = await JetStreamEventStore.open(proxy.url, {
    saveTimeout: 60_000,
    answerTimeout: 500,
    connect,
  });
  const ids = Array.from({ length: 256 }, (_, index) => `event-${index}`);
  for (let round = 0; round < 5; round++) {
    let acknowledged = 0;
    const dead = Promise.withResolvers<void>();
    // It dies when some have their answer, some are stored and some are on their way.
    proxy.filter({
      toClient: ({ payload }) => {
        const isAnswer = new TextDecoder().decode(payload).startsWith('{"stream":"aether_default"');
        if (isAnswer && ++acknowledged === 20 + round * 40) void proxy.cut().then(dead.resolve);
        return acknowledged >= 20 + round * 40;
      },
    });
    const saves = Promise.all(
      ids.map((id, index) =>
        store.append(`order-${index}`, [{ id: `${id}-${round}`, ...event(round) }], {
          expectedVersion: round,
        })
      ),
    );
    saves.catch(() => {}); // awaited below
    await dead.promise;
    proxy.resume();
    assert.equal((await saves).length, 256);
  }
  const log = await Array.fromAsync(store.readAll());
  assert.equal(log.length, 5 * 256);
  assert.equal(new Set(log.map(({ id }) => id)).size, 5 * 256);
  assert.equal((await store.verify()).ok, true);
});

Deno.test("an account's limits are typed errors that say which, and what was stored stays", async () => {
  const user = { user: "ada", password: "p" };
  await using server = await startNatsServer({
    config: { accounts: { A: { jetstream: { max_file: 200_000, max_streams: 1 }, users: [user] } } },
  });
  const url = `nats://ada:p@127.0.0.1:${server.port}`;
  await using store = await JetStreamEventStore.open(url);
  const { stored, refusal } = await fill(store, 5_000);
  assert(refusal instanceof BackendError && /limits are reached/.test(refusal.message), String(refusal));
  assert.equal((await store.getEvents("order")).length, stored);
  await assert.rejects(
    JetStreamEventStore.open(url, { namespace: "second" }),
    (error) => error instanceof StoreOpenError && /number of streams.*Raise/.test(error.message),
  );
  await server.reconfigure(
    '"max_file":200000,"max_streams":1',
    '"max_file":20000000,"max_streams":2',
    "restart",
  );
  const more = { expectedVersion: stored };
  await until(() => store.append("order", [event("x".repeat(5_000))], more).then(() => true, () => false));
  await using second = await JetStreamEventStore.open(url, { namespace: "second" });
  await second.append("order", [event(1)], { expectedVersion: 0 });
  assert.equal((await store.getEvents("order")).length, stored + 1);
  assert.equal((await store.verify()).ok, true);
});

Deno.test("a reader waits while the account has as many consumers as it may have, and fails with the limit if that lasts", async () => {
  const user = { user: "ada", password: "p" };
  await using server = await startNatsServer({
    config: { accounts: { A: { jetstream: { max_file: 1e8, max_consumers: 1 }, users: [user] } } },
  });
  const url = `nats://ada:p@127.0.0.1:${server.port}`;
  await using store = await JetStreamEventStore.open(url);
  await store.append("order", [event(1)], { expectedVersion: 0 });
  const subscription = store.subscribe();
  await subscription.ready;
  {
    await using impatient = await JetStreamEventStore.open(url, { readTimeout: 3_000 });
    await assert.rejects(
      Array.fromAsync(impatient.listActors()),
      (error) => error instanceof BackendError && /limits are reached.*consumers.*Raise/.test(error.message),
    );
  }
  const waiting = store.subscribe();
  const first = waiting[Symbol.asyncIterator]().next();
  await sleep(200);
  subscription.close();
  assert.equal((await first).value?.version, 1);
  waiting.close();
  assert.deepEqual((await Array.fromAsync(store.listActors())).map(({ actorId }) => actorId), ["order"]);
});

Deno.test("a call for which the server takes no more subscriptions fails with the reason, and the store goes on", async () => {
  await using server = await startNatsServer({ configText: "max_subscriptions: 4" });
  await using store = await JetStreamEventStore.open(server.url);
  await store.append("order", [event(1)], { expectedVersion: 0 });
  // Both inboxes of the store, and two readers.
  const subscriptions = [store.subscribe(), store.subscribe()];
  for (const subscription of subscriptions) await subscription[Symbol.asyncIterator]().next();
  const isRefused = (error: unknown): boolean =>
    error instanceof BackendError && /raise max_subscriptions/.test(error.message);
  const refused = store.subscribe();
  await assert.rejects(refused[Symbol.asyncIterator]().next(), isRefused);
  await assert.rejects(Array.fromAsync(store.readAll()), isRefused);
  await assert.rejects(Array.fromAsync(store.listActors()), isRefused);
  await store.append("order", [event(2)], { expectedVersion: 1 });
  for (const subscription of subscriptions) subscription.close();
  assert.equal((await Array.fromAsync(store.readAll())).length, 2);
});

Deno.test("a disk that is full loses nothing, and the store goes on when the server has room again", async () => {
  const folder = await Deno.makeTempDir({ prefix: "aether-full-" });
  try {
    await using disk = await smallDisk(`${folder}/small`, "4m");
    if (!disk) return console.warn("NOT TESTED: a full disk; this user cannot mount a tmpfs");
    await using server = await startNatsServer({
      jetstream: { store_dir: `${folder}/small`, max_file_store: 1e9 },
    });
    await using store = await JetStreamEventStore.open(server.url, {
      saveTimeout: 3_000,
      answerTimeout: 500,
    });
    const { stored, refusal } = await fill(store, 50_000);
    // nats-server 2.15.1 gives no answer at all to a write that it could not make, until it is started again.
    assert(refusal instanceof OutcomeUnknownError && refusal.cause instanceof NoAnswerError, String(refusal));
    assert.equal((await store.getEvents("order")).length, stored);
    await disk.resize("64m");
    await server.restart();
    const again = { expectedVersion: refusal.expectedVersion };
    await until(() => store.append("order", [...refusal.events], again).then(() => true, () => false));
    assert.equal((await store.getEvents("order")).length, stored + 1);
    assert.equal((await Array.fromAsync(store.readAll())).length, stored + 1);
    assert.equal((await store.verify()).ok, true);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a clock that is set back changes timestamps, and neither order, versions, retention nor what is remembered", () =>
  withTime(3_000, async (retention, pulse) => {
    await using server = await startNatsServer();
    await pulse.watch(server.url);
    let now = Date.UTC(2026, 5, 1);
    const options = { retention, now: (): Date => new Date(now) };
    await using store = await JetStreamEventStore.open(server.url, options);
    const { now: real } = Date;
    try {
      for (let version = 0; version < 4; version++) {
        await store.append("order", [event(version)], { expectedVersion: version });
        now -= 24 * 60 * 60 * 1_000;
      }
      Date.now = (): number => real() - 60 * 60 * 1_000; // this machine's clock, for all that looks at it
      await store.append("order", [event(4)], { expectedVersion: 4 });
      const log = await Array.fromAsync(store.readAll());
      assert.deepEqual(log.map(({ data }) => data), [0, 1, 2, 3, 4]);
      assert(log[3]!.timestamp < log[0]!.timestamp);
      assert.deepEqual(await store.getEvents("order"), log);
      assert((await store.diagnose()).some(({ code }) => code === "clocks-apart"));
      const isGone = (error: unknown): boolean => error instanceof HistoryTruncatedError;
      await until(() => store.getEvents("order").then(() => false, isGone), "all events to expire");
    } finally {
      Date.now = real;
    }
    await using other = await JetStreamEventStore.open(server.url);
    await until(async () => (await other.getLatestVersion("order")) === 5);
    await other.append("order", [event("on")], { expectedVersion: 5 });
  }));

Deno.test("a commit that the user may write only in part is refused at once, at every place of the denied actor in it", async () => {
  const publish = { deny: ["aether.default.*.secret.>"] };
  await using server = await startNatsServer({
    config: {
      authorization: {
        users: [{ user: "admin", password: "p" }, { user: "app", password: "p", permissions: { publish } }],
      },
    },
  });
  const url = (user: string): string => `nats://${user}:p@127.0.0.1:${server.port}`;
  await using admin = await JetStreamEventStore.open(url("admin"), { retention: "forever" });
  await using store = await JetStreamEventStore.open(url("app"), { retention: "forever" });
  const actors = ["open.1", "secret.1", "open.2"];
  for (const order of [[1], [0, 1], [1, 0], [1, 0, 2], [0, 1, 2], [0, 2, 1]]) {
    const events = order.map((index) => ({ actorId: actors[index]!, version: 1, ...event(1) }));
    const begun = performance.now();
    await assert.rejects(store.saveEvents(events), (error) => {
      return error instanceof BackendError && /permissions/i.test(error.message);
    });
    assert(performance.now() - begun < 10_000, `${order} took ${performance.now() - begun} ms`);
  }
  assert.equal((await admin.verify()).commits, 0);
  await store.saveEvents([0, 2].map((index) => ({ actorId: actors[index]!, version: 1, ...event(1) })));
});

Deno.test("saves that the server's full queue refuses are stored once it has room", async () => {
  const jetstream = { max_buffered_msgs: 100, max_buffered_size: 1024 * 1024 };
  await using server = await startNatsServer({ jetstream });
  await using proxy = startProxy(server.url);
  await using store = await JetStreamEventStore.open(proxy.url, { retention: "forever" });
  let refused = 0;
  proxy.filter({
    toClient: ({ payload }) => {
      if (new TextDecoder().decode(payload).includes('"err_code":10167')) refused++;
      return false;
    },
  });
  const data = "x".repeat(2_000);
  for (let round = 0; refused === 0; round++) {
    assert(round < 20, "the queue was never full");
    const actors = Array.from({ length: 3_000 }, (_, index) => `a-${round}-${index}`);
    await Promise.all(actors.map((actorId) => store.append(actorId, [event(data)], { expectedVersion: 0 })));
  }
  assert.equal((await store.verify()).ok, true);
});
