import assert from "node:assert/strict";
import {
  DenoKvEventStore,
  type EventPublisher,
  type EventStored,
  InMemoryEventStore,
  INTERNAL_NAMESPACE,
  InvalidArgumentError,
  NatsEventBus,
  OutcomeUnknownError,
  type Warning,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { eventStoredCases, HAPPENED, type OpenStore, Recorder } from "./event_stored_cases.ts";
import { loseAnswers } from "./lost_answers.ts";
import { connectTo } from "./nats_support.ts";

const STORES: Record<string, OpenStore> = {
  "InMemoryEventStore": (options) => Promise.resolve(new InMemoryEventStore(options)),
  "DenoKvEventStore": (options) => DenoKvEventStore.open(":memory:", options),
};

for (const [store, open] of Object.entries(STORES)) {
  for (const { name, run } of eventStoredCases(open)) Deno.test(`${store}: ${name}`, run);
}

Deno.test("close waits for the announcements that are under way", async () => {
  const publications: PromiseWithResolvers<void>[] = [];
  const bus: EventPublisher = {
    publish: () => {
      publications.push(Promise.withResolvers<void>());
      return publications.at(-1)!.promise;
    },
  };
  const store = new InMemoryEventStore({ bus, onWarning: () => assert.fail("nothing is lost") });
  await store.append("a", [HAPPENED, HAPPENED], { expectedVersion: 0 });
  let closed = false;
  const closing = store.close().then(() => closed = true);
  publications[0]!.resolve();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(closed, false);
  publications[1]!.resolve();
  await closing;
  assert.deepEqual(store.announcements, { published: 2, failed: 0, dropped: 0, pending: 0 });
});

Deno.test("publications under way are bounded; what is beyond is dropped and counted, and stored all the same", async () => {
  const releases: (() => void)[] = [];
  const bus: EventPublisher = { publish: () => new Promise((resolve) => releases.push(resolve)) };
  const warnings: Warning[] = [];
  await using store = new InMemoryEventStore({ bus, onWarning: (warning) => warnings.push(warning) });
  const thousand = Array.from({ length: 1_000 }, () => HAPPENED);
  for (let index = 0; index < 11; index++) await store.append("a", thousand, { expectedVersion: "any" });
  assert.equal(await store.getLatestVersion("a"), 11_000);
  assert.deepEqual(store.announcements, { published: 0, failed: 0, dropped: 1_000, pending: 10_000 });
  assert.equal(warnings.filter(({ code }) => code === "event-stored-dropped").length, 1_000);
  for (const release of releases) release();
  await Promise.resolve();
  await store.append("a", [HAPPENED], { expectedVersion: "any" });
  releases.at(-1)!();
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(store.announcements, { published: 10_001, failed: 0, dropped: 1_000, pending: 0 });
});

Deno.test("an unknown outcome announces nothing; one that the store settles announces once", async () => {
  using kv = await Deno.openKv(":memory:");
  const lost = { count: 0 };
  const bus = new Recorder();
  const losing = loseAnswers(kv, lost);
  await using store = await DenoKvEventStore.open(losing, { bus });
  await using impatient = await DenoKvEventStore.open(losing, { bus, saveTimeout: 300 });
  lost.count = 2;
  await store.append("a", [HAPPENED], { expectedVersion: 0 });
  assert.equal(bus.events.length, 1);

  lost.count = 1_000;
  const error = await impatient.append("a", [HAPPENED], { expectedVersion: 1 }).catch((error: unknown) =>
    error
  );
  assert(error instanceof OutcomeUnknownError, String(error));
  assert.equal(bus.events.length, 1);
  lost.count = 0;
  const { events, expectedVersion } = error;
  assert.equal((await store.append("a", events, { expectedVersion })).length, 1);
  assert.equal(bus.events.length, 1, "its repetition finds it stored, and announces nothing");
});

Deno.test("stores announce over NATS to another process's bus, in the order of each actor", async () => {
  await using server = await startNatsServer();
  const connections = await Promise.all([connectTo(server.url), connectTo(server.url)]);
  {
    await using listening = new NatsEventBus(connections[0]!);
    await using publishing = new NatsEventBus(connections[1]!);
    const subscription = listening.subscribe(INTERNAL_NAMESPACE, { actorPrefix: "order." });
    await subscription.ready;
    await using memory = new InMemoryEventStore({ bus: publishing, namespace: "one" });
    await using kv = await DenoKvEventStore.open(":memory:", { bus: publishing, namespace: "two" });
    for (const store of [memory, kv]) {
      for (let version = 1; version <= 20; version++) {
        await store.saveEvent({ ...HAPPENED, actorId: "order.1", version });
        await store.saveEvent({ ...HAPPENED, actorId: "other.1", version });
      }
    }
    const got: EventStored[] = [];
    for await (const event of subscription) {
      got.push(event);
      if (got.length === 40) break;
    }
    for (const namespace of ["one", "two"]) {
      const own = got.filter(({ data }) => data.namespace === namespace);
      assert.deepEqual(
        own.map(({ version }) => version),
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
    }
    for (const { announcements } of [memory, kv]) {
      assert.deepEqual(announcements, { published: 40, failed: 0, dropped: 0, pending: 0 });
    }
  }
  await Promise.all(connections.map((connection) => connection.close()));
});

Deno.test("a server that is down neither fails nor delays a save", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  const warnings: Warning[] = [];
  const bus = new NatsEventBus(connection);
  const store = new InMemoryEventStore({ bus, onWarning: (warning) => warnings.push(warning) });
  await bus.ready;
  await server.kill();
  for (let attempt = 0; store.announcements!.failed === 0; attempt++) {
    assert(attempt < 10_000, "the bus never refused");
    await store.append("a", [HAPPENED], { expectedVersion: "any" });
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.equal(warnings[0]!.code, "event-stored-failed");
  await connection.close();
  const before = store.announcements!.failed;
  await store.append("a", [HAPPENED], { expectedVersion: "any" });
  assert.equal(store.announcements!.failed, before + 1);
  await store.close();
  await bus.close();
});

Deno.test("a store refuses what is no bus", () => {
  for (const bus of [null, 5, {}, { publish: 1 }]) {
    assert.throws(
      () => new InMemoryEventStore({ bus: bus as unknown as EventPublisher }),
      InvalidArgumentError,
    );
  }
});
