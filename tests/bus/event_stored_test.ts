import assert from "node:assert/strict";
import {
  type BackedEventStore,
  CommitTooLargeError,
  DenoKvEventStore,
  type Event,
  type EventPublisher,
  type EventStored,
  type EventStoreOptions,
  FencedError,
  InMemoryEventStore,
  INTERNAL_NAMESPACE,
  InvalidArgumentError,
  InvalidEventError,
  LocalEventBus,
  NatsEventBus,
  OutcomeUnknownError,
  VersionConflictError,
  type Warning,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { loseAnswers } from "./lost_answers.ts";
import { connectTo } from "./nats_support.ts";

/** The stores, each over a backend of its own. */
const STORES: Record<string, (options: EventStoreOptions) => Promise<BackedEventStore>> = {
  memory: (options) => Promise.resolve(new InMemoryEventStore(options)),
  "Deno KV": (options) => DenoKvEventStore.open(":memory:", options),
};

/** Notes what a bus is asked to publish. */
class Recorder implements EventPublisher {
  readonly events: Event[] = [];
  readonly namespaces = new Set<string>();

  publish(namespace: string, event: Event): Promise<void> {
    this.namespaces.add(namespace);
    this.events.push(event);
    return Promise.resolve();
  }
}

const HAPPENED = { eventType: "Happened", data: null };

for (const [name, open] of Object.entries(STORES)) {
  Deno.test(`${name}: every way of saving has announced each event when it resolves`, async () => {
    const bus = new Recorder();
    await using store = await open({ bus, namespace: "shop" });
    const traced = {
      traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
      correlationId: "c",
      own: "kept",
    };
    const stored = [
      await store.saveEvent({ ...HAPPENED, actorId: "a", version: 3, metadata: traced }),
    ];
    assert.equal(bus.events.length, 1);
    stored.push(
      ...await store.saveEvents([
        { ...HAPPENED, actorId: "b", version: 1 },
        { ...HAPPENED, actorId: "a", version: 5 },
        { ...HAPPENED, actorId: "b", version: 2 },
      ]),
    );
    assert.equal(bus.events.length, 4);
    stored.push(...await store.append("a", [HAPPENED, HAPPENED], { expectedVersion: 5 }));
    assert.equal(bus.events.length, 6);
    assert.deepEqual(
      bus.events.map(({ data }) => data),
      stored.map(({ id: eventId, actorId, version, timestamp, eventType, position }) => (
        { eventId, actorId, version, timestamp, eventType, namespace: "shop", position }
      )),
    );
    assert.deepEqual(
      bus.events.map(({ actorId, version }) => [actorId, version]),
      [["a", 3], ["b", 1], ["b", 2], ["a", 5], ["a", 6], ["a", 7]],
    );
    assert(bus.events.every(({ eventType }) => eventType === "EventStored"));
    assert.deepEqual([...bus.namespaces], [INTERNAL_NAMESPACE]);
    assert.equal(new Set(bus.events.map(({ id }) => id)).size, 6);
    const { traceparent, correlationId } = traced;
    assert.deepEqual(bus.events[0]!.metadata, { traceparent, correlationId });
    await Promise.resolve();
    assert.deepEqual(store.announcements, { published: 6, failed: 0, dropped: 0, pending: 0 });
  });

  Deno.test(`${name}: nothing is announced but what is stored, and that once`, async () => {
    const bus = new Recorder();
    await using store = await open({ bus });
    const events = [{ ...HAPPENED, id: "e-1" }, { ...HAPPENED, id: "e-2" }];
    await store.append("a", events, { expectedVersion: 0 });
    const announced = bus.events.length;
    assert.equal(announced, 2);

    const repeated = await store.append("a", events, { expectedVersion: 0 });
    assert.equal(repeated.length, 2);
    await assert.rejects(store.append("a", [HAPPENED], { expectedVersion: 1 }), VersionConflictError);
    await assert.rejects(
      store.saveEvent({ ...HAPPENED, actorId: "a", version: 2, id: "e-2" }),
      VersionConflictError,
    );
    await assert.rejects(
      store.saveEvents([{ ...HAPPENED, actorId: "new", version: 1 }, {
        ...HAPPENED,
        actorId: "a",
        version: 1,
      }]),
      VersionConflictError,
    );
    await assert.rejects(store.saveEvent({ ...HAPPENED, actorId: "", version: 1 }), InvalidEventError);
    await assert.rejects(
      store.append("a", [{ ...HAPPENED, data: 1n }], { expectedVersion: 2 }),
      InvalidEventError,
    );
    const tooMany = Array.from({ length: store.limits.eventsPerCommit + 1 }, () => HAPPENED);
    await assert.rejects(store.append("a", tooMany, { expectedVersion: 2 }), CommitTooLargeError);
    await store.takeOver("a", 7);
    await assert.rejects(
      store.append("a", [HAPPENED], { expectedVersion: 2, fencingToken: 6 }),
      FencedError,
    );
    const signal = AbortSignal.abort(new Error("aborted"));
    await assert.rejects(
      store.append("a", [HAPPENED], { expectedVersion: 2, fencingToken: 7, signal }),
      /aborted/,
    );
    assert.deepEqual(await store.append("a", [], { expectedVersion: 2 }), []);
    assert.equal(bus.events.length, announced);
  });

  Deno.test(`${name}: announcements of an actor stand in the order of its versions, also among types with schemas`, async () => {
    const bus = new Recorder();
    const schema = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) => Promise.resolve({ value }),
      },
    } as const;
    await using store = await open({ bus, events: { Checked: { version: 1, schema } } });
    await Promise.all(Array.from({ length: 100 }, (_, index) => {
      const eventType = index % 2 === 0 ? "Checked" : "Unchecked";
      return store.append("a", [{ eventType, data: index }], { expectedVersion: "any" });
    }));
    const versions = bus.events.map(({ version }) => version);
    assert.deepEqual(versions, Array.from({ length: 100 }, (_, index) => index + 1));
  });

  Deno.test(`${name}: a bus that throws, rejects, hangs or is closed neither fails nor delays a save, and is counted`, async () => {
    const closed = new LocalEventBus();
    await closed.close();
    const buses: Record<string, EventPublisher> = {
      "throws": {
        publish: () => {
          throw new Error("thrown");
        },
      },
      "rejects": { publish: () => Promise.reject(new Error("rejected")) },
      "returns nonsense": { publish: () => ({ then: 5 }) as unknown as Promise<void> },
      "returns a bad thenable": {
        publish: () =>
          ({
            then: () => {
              throw new Error("then");
            },
          }) as unknown as Promise<void>,
      },
      "is closed": closed,
      "hangs": { publish: () => new Promise(() => {}) },
    };
    for (const [what, bus] of Object.entries(buses)) {
      const warnings: Warning[] = [];
      const store = await open({ bus, onWarning: (warning) => warnings.push(warning) });
      const events = await store.append("a", [HAPPENED, HAPPENED], { expectedVersion: 0 });
      assert.equal(events.length, 2, what);
      await new Promise((resolve) => setTimeout(resolve, 0));
      const { published, failed, pending } = store.announcements!;
      const expected = what === "hangs" ? [0, 0, 2] : what === "returns nonsense" ? [2, 0, 0] : [0, 2, 0];
      assert.deepEqual([published, failed, pending], expected, what);
      assert.equal(warnings.filter(({ code }) => code === "event-stored-failed").length, failed, what);
      const begun = performance.now();
      await store.close();
      assert(performance.now() - begun < 20_000, "close waits a bounded time");
      const abandoned = warnings.filter(({ code }) => code === "event-stored-abandoned").length;
      assert.equal(abandoned, what === "hangs" ? 1 : 0, what);
    }
  });
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
  await using store = await DenoKvEventStore.open(loseAnswers(kv, lost), { bus, saveTimeout: 300 });
  lost.count = 2;
  await store.append("a", [HAPPENED], { expectedVersion: 0 });
  assert.equal(bus.events.length, 1);

  lost.count = 1_000;
  const error = await store.append("a", [HAPPENED], { expectedVersion: 1 }).catch((error: unknown) => error);
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

Deno.test("a server that is away neither fails nor delays a save", async () => {
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
