import assert from "node:assert/strict";
import {
  BackendError,
  Coordinator,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  NatsEventBus,
  OutcomeUnknownError,
  type Warning,
} from "../../mod.ts";
import { isAcknowledgement } from "../store/jetstream/chaos/faults.ts";
import { until } from "../store/jetstream/support.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { startProxy } from "../support/proxy.ts";

const REFUSED = /refused the credentials/;

Deno.test("credentials that are refused for a while are named by every failed call, reported once, and outlived", async () => {
  const authorization = { users: [{ user: "u", password: "right" }] };
  await using server = await startNatsServer({ config: { authorization } });
  const connect = { user: "u", pass: "right" };
  const warnings: Record<string, Warning[]> = {};
  const options = (name: string): {
    readonly connect: typeof connect;
    readonly onWarning: (warning: Warning) => void;
  } => ({ connect, onWarning: (warning) => (warnings[name] ??= []).push(warning) });
  await using store = await JetStreamEventStore.open(server.url, {
    ...options("store"),
    saveTimeout: 1_500,
    readTimeout: 500,
  });
  await using bus = await NatsEventBus.open(server.url, options("bus"));
  await using leases = await JetStreamLeases.open(server.url, options("leases"));
  await using checkpoints = await JetStreamCheckpoints.open(server.url, options("checkpoints"));
  await using _coordinator = await Coordinator.join(server.url, {
    ...options("coordinator"),
    shardCount: 4,
    ttl: 2_000,
  });
  const event = { eventType: "X", data: 1 };
  await store.append("a", [event], { expectedVersion: 0 });
  const id = { name: "p", version: 1, partition: "" } as unknown as Parameters<typeof checkpoints.load>[0];

  await server.reconfigure('"right"', '"other"');
  const names = ["store", "bus", "leases", "checkpoints", "coordinator"];
  const refusals = (name: string): Warning[] =>
    (warnings[name] ?? []).filter(({ code }) => code === "credentials-refused");
  await until(() => names.every((name) => refusals(name).length === 1), "all are refused");
  const calls: Record<string, () => Promise<unknown>> = {
    append: () => store.append("b", [event], { expectedVersion: 0 }),
    "append to a known actor": () => store.append("a", [event], { expectedVersion: 1 }),
    getEvents: () => store.getEvents("a"),
    readAll: () => Array.fromAsync(store.readAll()),
    getLatestVersion: () => store.getLatestVersion("a"),
    publish: () => bus.publish("n", { ...event, actorId: "a", version: 1 }),
    tryAcquire: () => leases.tryAcquire("job"),
    load: () => checkpoints.load(id),
  };
  await Promise.all(
    Object.entries(calls).map(async ([name, call]) => {
      const error = await call().then(() => undefined, (error) => error);
      assert(error instanceof Error, `${name} has not failed`);
      if (error instanceof OutcomeUnknownError) assert.match(String(error.cause), REFUSED, name);
      else assert.match(error.message, REFUSED, `${name}: ${error.message}`);
      assert.doesNotMatch(Deno.inspect(error), /right/, name);
    }),
  );
  for (const name of names) {
    const [warning] = refusals(name);
    assert.equal(refusals(name).length, 1, name);
    assert.match(warning!.message, REFUSED);
    assert.match(warning!.message, /tried again/);
  }

  await server.reconfigure('"other"', '"right"');
  await until(
    () => store.append("c", [event], { expectedVersion: "any" }).then(() => true, () => false),
    "saves are stored",
  );
  await until(
    () => bus.publish("n", { ...event, actorId: "a", version: 1 }).then(() => true, () => false),
    "the bus publishes",
  );
  await until(() => checkpoints.load(id).then(() => true, () => false), "checkpoints are read");
  // A second time is a second warning.
  await server.reconfigure('"right"', '"other"');
  const back = ["store", "bus", "checkpoints"];
  await until(() => back.every((name) => refusals(name).length === 2), "they are refused again");
  await server.reconfigure('"other"', '"right"');
  await until(
    () => store.append("c", [event], { expectedVersion: "any" }).then(() => true, () => false),
    "saves are stored again",
  );
});

Deno.test("a save whose answer the server denies may be stored, and the store goes on when the permission is back", async () => {
  const permissions = { subscribe: { deny: ["nothing"] } };
  await using server = await startNatsServer({
    config: { authorization: { users: [{ user: "u", password: "p", permissions }] } },
  });
  await using proxy = startProxy(server.url);
  const connect = { user: "u", pass: "p" };
  const options = { connect, saveTimeout: 30_000, readTimeout: 500, onWarning: () => {} };
  await using store = await JetStreamEventStore.open(proxy.url, options);
  const event = { eventType: "Happened", data: 1 };
  await store.append("order", [event], { expectedVersion: 0 });
  const subscription = store.subscribe({ after: "end" });
  await subscription.ready;
  const live = subscription[Symbol.asyncIterator]().next();

  const sent = Promise.withResolvers<void>();
  proxy.filter({
    toClient: (frame) => {
      if (!isAcknowledgement(frame)) return false;
      sent.resolve();
      return true;
    },
  });
  const save = store.append("order", [event], { expectedVersion: 1 });
  const outcome = save.then(() => "stored", (error) => error);
  await sent.promise; // it is stored, and the answer is lost
  proxy.filter({});
  await server.reconfigure('"nothing"', '"_INBOX.>"');
  const error = await outcome;
  assert(error instanceof OutcomeUnknownError, String(error));
  const isDenied = (error: unknown): boolean =>
    error instanceof BackendError && error.reason === "denied" && /permissions/.test(error.message);
  await assert.rejects(store.append("order", [event], { expectedVersion: "any" }), isDenied);
  await assert.rejects(store.getEvents("order"), isDenied);
  await live.then(() => {}, (error) => assert(isDenied(error), String(error)));

  await server.reconfigure('"_INBOX.>"', '"nothing"');
  await until(() => store.getEvents("order").then(() => true, () => false), "reads to go on");
  await until(
    () => store.append("other", [event], { expectedVersion: 0 }).then(() => true, () => false),
    "saves to go on",
  );
  assert.deepEqual((await store.getEvents("order")).map(({ version }) => version), [1, 2]);
});
