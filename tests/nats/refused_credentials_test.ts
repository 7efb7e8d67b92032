import assert from "node:assert/strict";
import {
  Coordinator,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  NatsEventBus,
  OutcomeUnknownError,
  type Warning,
} from "../../mod.ts";
import { until } from "../store/jetstream/support.ts";
import { type NatsServer, startNatsServer } from "../support/nats_server.ts";

const REFUSED = /refused the credentials/;

/** Gives the user another password, and gives the old one back. */
async function reload(server: NatsServer, from: string, to: string): Promise<void> {
  const path = `${server.storageFolder}/../nats.conf`;
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, text.replace(`"${from}"`, `"${to}"`));
  Deno.kill(server.pid, "SIGHUP");
}

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

  await reload(server, "right", "other");
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

  await reload(server, "other", "right");
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
  await reload(server, "right", "other");
  const back = ["store", "bus", "checkpoints"];
  await until(() => back.every((name) => refusals(name).length === 2), "they are refused again");
  await reload(server, "other", "right");
  await until(
    () => store.append("c", [event], { expectedVersion: "any" }).then(() => true, () => false),
    "saves are stored again",
  );
});
