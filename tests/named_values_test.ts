/** A wrong argument or option is named in the error with its value, so that a user finds where it came from. */

import assert from "node:assert/strict";
import {
  ActorHost,
  Coordinator,
  copyEvents,
  defineActor,
  deleteCheckpoint,
  DenoKvEventStore,
  discardParked,
  InMemoryBucket,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryLeases,
  InvalidArgumentError,
  JetStreamEventStore,
  LocalEventBus,
  NatsEventBus,
  projectionStatuses,
  projectOnce,
  runProjection,
  shardOf,
  waitFor,
} from "@flowmade-one/aether";

/** Wrong values by the text that names them. */
type Wrong = Readonly<Record<string, unknown>>;

const NUMBERS: Wrong = { "-1": -1, "NaN": NaN, '"7"': "7", "null": null, "an object": {} };
const FLAGS: Wrong = { "0": 0, '"yes"': "yes", "null": null, "an array": [] };
const FUNCTIONS: Wrong = { "5": 5, '"log"': "log", "an object": {} };
const SIGNALS: Wrong = { "true": true, '"stop"': "stop", "an object": {}, "null": null };

/** Calls an entry with each wrong value, and expects an error of the argument that ends with the value. */
async function namesEach(argument: string, wrong: Wrong, call: (value: never) => unknown): Promise<void> {
  for (const [named, value] of Object.entries(wrong)) {
    await assert.rejects(async () => await call(value as never), (error) => {
      assert(error instanceof InvalidArgumentError, `${argument} ${named}: ${error}`);
      assert.equal(error.argument, argument, named);
      assert(error.message.includes(`is ${named}`), `${argument} ${named}: ${error.message}`);
      return true;
    }, `${argument} ${named}`);
  }
}

/** Calls an entry with each wrong value of each of its options. */
async function namesOptions(
  options: Readonly<Record<string, Wrong>>,
  call: (options: never) => unknown,
  prefix = "options",
): Promise<void> {
  for (const [name, wrong] of Object.entries(options)) {
    await namesEach(`${prefix}.${name}`, wrong, (value) => call({ [name]: value } as never));
  }
}

Deno.test("stores name a wrong value", async () => {
  await using store = new InMemoryEventStore();
  await namesEach("options", { "5": 5, '"x"': "x", "null": null }, (value) => new InMemoryEventStore(value));
  await namesOptions(
    { bus: FLAGS, onWarning: FUNCTIONS, newId: FUNCTIONS, now: FUNCTIONS, storage: FLAGS },
    (options) => new InMemoryEventStore(options),
  );
  await namesEach("pathOrKv", { "5": 5, "an object": {} }, (value) => DenoKvEventStore.open(value));
  await namesOptions({
    replicas: { "6": 6, "1.5": 1.5, ...NUMBERS },
    retention: NUMBERS,
    saveTimeout: NUMBERS,
    readTimeout: NUMBERS,
    answerTimeout: NUMBERS,
    heartbeat: NUMBERS,
    cachedActors: NUMBERS,
    maxInFlight: NUMBERS,
    acceptLostTail: FLAGS,
    onWarning: FUNCTIONS,
  }, (options) => JetStreamEventStore.open("nats://127.0.0.1:1", options));
  await namesEach(
    "events",
    { "5": 5, "an object": {} },
    (events) => store.append("a", events, { expectedVersion: 0 }),
  );
  await namesOptions(
    { signal: SIGNALS, checkpoints: { "0": 0, "null": null, "an object": {} }, onProgress: FUNCTIONS },
    (options) => copyEvents(store, new InMemoryEventStore(), options),
  );
  await namesOptions(
    {
      version: { "0": 0, '"1"': "1" },
      schemaVersion: { "0": 0, "null": null },
      timestamp: { "5": 5, "null": null },
    },
    (fields: object) =>
      store.saveSnapshot({ actorId: "a", kind: "k", schemaVersion: 1, version: 1, state: null, ...fields }),
    "snapshot",
  );
  await namesEach(
    "actorPrefix",
    { "5": 5, "null": null },
    (actorPrefix) => Array.fromAsync(store.readAll({ actorPrefix })),
  );
});

Deno.test("leases, coordinators and shards name a wrong value", async () => {
  await using leases = new InMemoryLeases();
  const times = { "5": 5, ...NUMBERS };
  await namesOptions(
    {
      ttl: times,
      maxClockSkew: NUMBERS,
      renewEvery: times,
      holder: { "0": 0, "null": null },
      signal: SIGNALS,
    },
    (options) => leases.acquire("key", options),
  );
  await namesOptions({
    address: { "5": 5, "null": null },
    weight: { "1001": 1_001, ...NUMBERS },
    candidate: FLAGS,
    shardCount: { "0": 0, "1.5": 1.5, ...NUMBERS },
    metadata: { "5": 5, "null": null, "an array": [] },
    ttl: times,
    signal: SIGNALS,
    onWarning: FUNCTIONS,
  }, (options) => Coordinator.join(new InMemoryBucket(), options));
  await namesEach(
    "options.metadata",
    { "5": 5, "null": null },
    (zone) => Coordinator.join(new InMemoryBucket(), { metadata: { zone } }),
  );
  await namesEach("shardCount", { "0": 0, '"8"': "8" }, (count) => shardOf("a", count));
  await namesEach("actorId", { "5": 5, '""': "" }, (actorId) => shardOf(actorId, 8));
});

Deno.test("projections name a wrong value", async () => {
  await using store = new InMemoryEventStore();
  const checkpoints = new InMemoryCheckpoints();
  const projection = { name: "p", checkpoints, handle: (): void => {} };
  await namesOptions(
    {
      version: { "0": 0, '"1"': "1" },
      checkpoints: FLAGS,
      from: { "5": 5, "null": null },
      continueFrom: { "2": 2, '"1"': "1" },
      handle: { "5": 5, '"x"': "x", "an array": [] },
      filter: { "5": 5, "null": null },
      failure: { "5": 5, "null": null },
      unfenced: FLAGS,
      handlerTimeout: NUMBERS,
      checkpointEvents: NUMBERS,
      checkpointInterval: NUMBERS,
    },
    (fields: object) => projectOnce(store, { ...projection, ...fields }),
    "projection",
  );
  await namesOptions(
    {
      retries: NUMBERS,
      firstDelay: NUMBERS,
      longestDelay: NUMBERS,
      maxParked: NUMBERS,
      then: { '"skip"': "skip", "5": 5 },
      laterEvents: { '"skip"': "skip", "5": 5 },
    },
    (failure: object) => projectOnce(store, { ...projection, failure }),
    "projection.failure",
  );
  await namesEach(
    "projection.handle.E",
    { "5": 5, "null": null },
    (E) => projectOnce(store, { ...projection, handle: { E } }),
  );
  await namesOptions(
    { budgetMs: { "0": 0, ...NUMBERS }, signal: SIGNALS, onWarning: FUNCTIONS },
    (options) => projectOnce(store, projection, options),
  );
  await namesOptions(
    { leases: FLAGS, leaseTtl: NUMBERS, signal: SIGNALS, onWarning: FUNCTIONS },
    (options) => runProjection(store, projection, options),
  );
  await namesOptions(
    { timeout: NUMBERS, pollInterval: NUMBERS, signal: SIGNALS },
    (options) => waitFor(store, projection, "position", options),
  );
  await namesOptions(
    { countLimit: NUMBERS, signal: SIGNALS },
    (options) => projectionStatuses(store, checkpoints, options),
  );
  await namesOptions({ leases: FLAGS, signal: SIGNALS }, (options) => deleteCheckpoint(projection, options));
  await namesOptions({ signal: SIGNALS }, (options) => discardParked(store, projection, "position", options));
});

Deno.test("actors and buses name a wrong value", async () => {
  await using store = new InMemoryEventStore();
  await using bus = new LocalEventBus();
  const view = { initialState: (): null => null, evolve: (): null => null, decide: (): never[] => [] };
  await namesEach(
    "options.decider",
    { "5": 5, "null": null, "an object": {} },
    (decider) => defineActor("a", { decider }),
  );
  await namesEach(
    "options.decider.decide",
    FUNCTIONS,
    (decide) => defineActor("a", { decider: { ...view, decide } }),
  );
  await namesEach(
    "options.queries.size",
    FUNCTIONS,
    (size) => defineActor("a", { decider: view, queries: { size } }),
  );
  await namesEach("options.store", FLAGS, (given) => ActorHost.start({ store: given, actors: [] }));
  await namesEach(
    "options.actors",
    { "5": 5, "null": null, "empty": [], "an object": {} },
    (actors) => ActorHost.start({ store, actors }),
  );
  await namesEach(
    "options.actors",
    { "5": 5, "null": null },
    (actor) => ActorHost.start({ store, actors: [actor] }),
  );
  await namesEach(
    "connection",
    { "5": 5, "null": null, "an object": {} },
    (connection) => new NatsEventBus(connection),
  );
  await namesOptions({ signal: SIGNALS, buffer: NUMBERS }, (options) => bus.subscribe("orders", options));
});

Deno.test("a URL in the place of a connection is not shown: it may hold a password", () => {
  assert.throws(() => new NatsEventBus("nats://user:secret@host" as never), (error) => {
    assert(error instanceof InvalidArgumentError);
    assert(error.message.includes("is a string") && !error.message.includes("secret"), error.message);
    return true;
  });
});
