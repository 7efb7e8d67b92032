/** Every entry that takes options refuses one that it does not know, instead of dropping it. */

import assert from "node:assert/strict";
import {
  changeSegments,
  Coordinator,
  copyEvents,
  deleteCheckpoint,
  DenoKvCheckpoints,
  DenoKvEventStore,
  DenoKvLeases,
  discardParked,
  generateSealKey,
  InMemoryBucket,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryLeases,
  InvalidArgumentError,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  LocalEventBus,
  NatsEventBus,
  projectionStatuses,
  projectOnce,
  proveEvent,
  retryParked,
  runProjection,
  SealBucket,
  SealFolder,
  sealLog,
  sealOnce,
  verifyProof,
  verifySeal,
  verifySealedLog,
  waitFor,
} from "@flowmade-one/aether";
import { connect } from "@nats-io/transport-node";
import { startNatsServer } from "./support/nats_server.ts";

type Entry = (options: never) => unknown;

async function refuses(
  entries: Readonly<Record<string, Entry>>,
  options: object,
  argument: string,
): Promise<void> {
  for (const [name, entry] of Object.entries(entries)) {
    const call = async (): Promise<unknown> => await entry(options as never);
    await assert.rejects(call, (error) => {
      assert(error instanceof InvalidArgumentError, `${name}: ${error}`);
      assert.equal(error.argument, argument, name);
      return true;
    }, name);
  }
}

const TYPO = { retenton: "forever" };

Deno.test("every entry without a server refuses an option that it does not know", async () => {
  await using store = new InMemoryEventStore();
  await using target = new InMemoryEventStore();
  await using leases = new InMemoryLeases();
  await using bus = new LocalEventBus();
  await using coordinator = await Coordinator.join(new InMemoryBucket(), { name: "a", shardCount: 1 });
  const seal = new SealFolder("/no/such/folder");
  const projection = { name: "p", checkpoints: new InMemoryCheckpoints(), handle: (): void => {} };
  const known: typeof projection = { ...projection };
  await refuses(
    {
      "new InMemoryEventStore()": (options) => new InMemoryEventStore(options),
      "DenoKvEventStore.open()": (options) => DenoKvEventStore.open(":memory:", options),
      "DenoKvCheckpoints.open()": (options) => DenoKvCheckpoints.open(":memory:", options),
      "DenoKvLeases.open()": (options) => DenoKvLeases.open(":memory:", options),
      "new LocalEventBus()": (options) => new LocalEventBus(options),
      "bus.subscribe()": (options) => bus.subscribe("orders", options),
      "bus.subscribePattern()": (options) => bus.subscribePattern("*", options),
      "generateSealKey()": (options) => generateSealKey("example.com/orders", options),
      "sealOnce()": (options) => sealOnce(store, seal, options),
      "sealLog()": (options) => sealLog(store, seal, options),
      "verifySeal()": (options) => verifySeal(seal, options),
      "verifySealedLog()": (options) => verifySealedLog(store, seal, options),
      "proveEvent()": (options) => proveEvent(store, seal, "x", options),
      "verifyProof()": (options) => verifyProof("x", options),
      "copyEvents()": (options) => copyEvents(store, target, options),
      "leases.acquire()": (options) => leases.acquire("key", options),
      "leases.tryAcquire()": (options) => leases.tryAcquire("key", options),
      "Coordinator.join()": (options) => Coordinator.join(new InMemoryBucket(), options),
      "coordinator.leave()": (options) => coordinator.leave(options),
      "coordinator.shardChanges()": (options) => coordinator.shardChanges(options),
      "coordinator.nodeChanges()": (options) => coordinator.nodeChanges(options),
      "coordinator.leaderChanges()": (options) => coordinator.leaderChanges(options),
      "projectOnce()": (options) => projectOnce(store, known, options),
      "runProjection()": (options) => runProjection(store, known, options),
      "projectionStatuses()": (options) => projectionStatuses(store, known.checkpoints, options),
      "waitFor()": (options) => waitFor(store, known, "x", options),
      "deleteCheckpoint()": (options) => deleteCheckpoint(known, options),
      "changeSegments()": (options) => changeSegments(known, 4, options),
      "retryParked()": (options) => retryParked(store, known, "x", options),
      "discardParked()": (options) => discardParked(store, known, "x", options),
    },
    TYPO,
    "options.retenton",
  );
  await refuses(
    { "a policy": (failure) => projectOnce(store, { ...projection, failure }) },
    { retrys: 3 },
    "projection.failure.retrys",
  );
  await refuses(
    { "a filter": (filter) => projectOnce(store, { ...projection, filter }) },
    { actorid: "order-1" },
    "projection.filter.actorid",
  );
  await refuses(
    { "an event's definition": (OrderPlaced) => new InMemoryEventStore({ events: { OrderPlaced } }) },
    { upcasters: [] },
    "events.OrderPlaced.upcasters",
  );
});

Deno.test("every entry to NATS refuses an option that it does not know", async () => {
  await using server = await startNatsServer();
  const connection = await connect({ servers: server.url });
  const entries = {
    "JetStreamEventStore.open()": (options: never) => JetStreamEventStore.open(server.url, options),
    "JetStreamLeases.open()": (options: never) => JetStreamLeases.open(server.url, options),
    "SealBucket.open()": (options: never) => SealBucket.open(server.url, options),
    "JetStreamCheckpoints.open()": (options: never) => JetStreamCheckpoints.open(server.url, options),
    "Coordinator.join()": (options: never) => Coordinator.join(server.url, options),
  };
  await refuses(
    { ...entries, "new NatsEventBus()": (options) => new NatsEventBus(connection, options) },
    TYPO,
    "options.retenton",
  );
  await refuses(entries, { connect: { credential: "app.creds" } }, "options.connect.credential");
  await refuses(entries, { domain: "hub", apiPrefix: "JS.hub.API" }, "options.apiPrefix");
  await refuses(entries, { domain: "a.b" }, "options.domain");
  await refuses(entries, { apiPrefix: "JS.*.API" }, "options.apiPrefix");
  await connection.close();
});

Deno.test("a duration that is longer than a timer takes is refused, and does not become the shortest one", async () => {
  for (const option of ["pollInterval", "saveTimeout"]) {
    await refuses(
      { "DenoKvEventStore.open()": (options) => DenoKvEventStore.open(":memory:", options) },
      { [option]: 2 ** 31 },
      `options.${option}`,
    );
  }
  for (const option of ["saveTimeout", "readTimeout", "answerTimeout", "heartbeat"]) {
    await refuses(
      { "JetStreamEventStore.open()": (options) => JetStreamEventStore.open("nats://127.0.0.1:1", options) },
      { [option]: 2 ** 31 },
      `options.${option}`,
    );
  }
});
