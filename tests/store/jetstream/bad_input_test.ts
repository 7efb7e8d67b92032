/** Servers and streams that are not as they should be: each gets a typed error, nothing is lost, and the store goes on. */

import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import {
  BackendError,
  ConfigurationMismatchError,
  JetStreamApiError,
  JetStreamEventStore,
  LogReplacedError,
  StoreOpenError,
  type Warning,
} from "@flowmade-one/aether/jetstream";
import { startNatsServer } from "../../support/nats_server.ts";
import { client, until } from "./support.ts";

/** What the id of a log looks like. */
const LOG = "0123456789ab";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

/** What an action rejects with. */
async function refusal(action: () => Promise<unknown>): Promise<Error> {
  try {
    await action();
  } catch (error) {
    assert(error instanceof Error);
    return error;
  }
  assert.fail("it was not refused");
}

Deno.test("a server that does not answer, and wrong credentials, are errors of opening", async () => {
  const absent = await refusal(() => JetStreamEventStore.open("nats://127.0.0.1:1"));
  assert(absent instanceof BackendError && absent.reason === "unreachable");
  await using server = await startNatsServer({
    config: { authorization: { users: [{ user: "ada", password: "right" }] } },
  });
  const { port } = new URL(server.url);
  const wrong = await refusal(() => JetStreamEventStore.open(`nats://ada:wrong@127.0.0.1:${port}`));
  assert(wrong instanceof BackendError && wrong.reason === "denied");
  assert(!wrong.message.includes("wrong@"), "the password stands in the message");
  await using store = await JetStreamEventStore.open(`nats://ada:right@127.0.0.1:${port}`);
  await store.append("order", [event(1)], { expectedVersion: 0 });
});

Deno.test("a server without JetStream, and one that is too old, are refused by name", async () => {
  await using server = await startNatsServer({
    config: {
      accounts: {
        WITH: { jetstream: "enabled", users: [{ user: "with", password: "p" }] },
        WITHOUT: { users: [{ user: "without", password: "p" }] },
      },
    },
  });
  const { port } = new URL(server.url);
  const disabled = await refusal(() => JetStreamEventStore.open(`nats://without:p@127.0.0.1:${port}`));
  assert(disabled instanceof BackendError && disabled.reason === "unsupported", String(disabled));
  const connection = await connect({ servers: `127.0.0.1:${port}`, user: "with", pass: "p" });
  const withInfo = (more: object): typeof connection =>
    new Proxy(connection, {
      get(target, name): unknown {
        if (name === "info") return { ...target.info, ...more };
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const old = await refusal(() => JetStreamEventStore.open(withInfo({ version: "2.11.9" })));
  assert(old instanceof BackendError && old.reason === "unsupported" && /2\.11\.9/.test(old.message));
  const small = await refusal(() => JetStreamEventStore.open(withInfo({ max_payload: 65_536 })));
  assert(small instanceof StoreOpenError && /max_payload/.test(small.message));
  const without = await refusal(() => JetStreamEventStore.open(withInfo({ jetstream: false })));
  assert(without instanceof BackendError && without.reason === "unsupported");
  await using store = await JetStreamEventStore.open(connection);
  await store.append("order", [event(1)], { expectedVersion: 0 });
  await store.close();
  assert.equal(connection.isClosed(), false, "the store closed a connection that is not its own");
  await connection.close();
});

Deno.test("an existing stream that is not append-only is refused with all differences, and stays as it is", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  const bad: [string, Record<string, unknown>, string[]][] = [
    ["subjects", { subjects: ["other.>"] }, ["subjects"]],
    ["queue", { retention: "workqueue" }, ["retention"]],
    ["deletes", { deny_delete: false, deny_purge: false }, ["deny_delete", "deny_purge"]],
    ["rollups", { deny_purge: false, allow_rollup_hdrs: true }, ["deny_purge", "allow_rollup_hdrs"]],
    ["old", { discard: "old" }, ["discard"]],
    ["memory", { storage: "memory" }, ["storage"]],
    ["batches", { allow_atomic: false }, ["allow_atomic"]],
  ];
  for (const [namespace, settings, expected] of bad) {
    const base = {
      name: `aether_${namespace}`,
      subjects: [`aether.${namespace}.${LOG}.>`],
      metadata: { "aether-log": LOG, "aether-format": "1" },
      storage: "file",
      discard: "new",
      deny_delete: true,
      deny_purge: true,
      allow_direct: true,
      allow_atomic: true,
    };
    await nats.requests.createStream({ ...base, ...settings });
    const before = (await nats.requests.streamInfo(base.name)).config;
    const error = await refusal(() => JetStreamEventStore.open(server.url, { namespace }));
    assert(error instanceof ConfigurationMismatchError, String(error));
    const found = error.differences.map(({ setting }) => setting).filter((setting) =>
      !setting.startsWith("metadata")
    );
    assert.deepEqual(found.sort(), expected.sort(), namespace);
    for (const setting of expected) assert(error.message.includes(setting));
    assert.deepEqual((await nats.requests.streamInfo(base.name)).config, before);
  }
  await using _one = await JetStreamEventStore.open(server.url, { retention: "forever" });
  const other = await refusal(() => JetStreamEventStore.open(server.url, { retention: 5_000, replicas: 3 }));
  assert(other instanceof ConfigurationMismatchError);
  assert.deepEqual(other.differences.map(({ setting }) => setting).sort(), ["max_age", "num_replicas"]);
});

Deno.test("the error for a user without permissions names what is denied", async () => {
  const publish = { allow: ["$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.>"] };
  await using server = await startNatsServer({
    config: {
      authorization: {
        users: [
          { user: "all", password: "p" },
          { user: "none", password: "p", permissions: { publish: { deny: [">"] } } },
          { user: "reader", password: "p", permissions: { publish } },
          { user: "streamless", password: "p", permissions: { publish: { deny: ["$JS.API.STREAM.>"] } } },
        ],
      },
    },
  });
  const url = (user: string): string => `nats://${user}:p@127.0.0.1:${server.port}`;
  await using store = await JetStreamEventStore.open(url("all"));
  await store.append("order", [event(1)], { expectedVersion: 0 });
  for (const user of ["none", "streamless"]) {
    const none = await refusal(() => JetStreamEventStore.open(url(user)));
    assert(none instanceof BackendError && none.reason === "denied", String(none));
  }
  await using reader = await JetStreamEventStore.open(url("reader"));
  assert.equal((await reader.getEvents("order")).length, 1);
  const denied = await refusal(() => reader.append("order", [event(2)], { expectedVersion: 1 }));
  assert(denied instanceof BackendError && /permission/i.test(denied.message), String(denied));
  assert.equal(await store.getLatestVersion("order"), 1);
});

Deno.test("a stream that is full refuses saves until there is room, and loses nothing", async () => {
  await using server = await startNatsServer();
  await using store = await JetStreamEventStore.open(server.url);
  await using nats = await client(server.url);
  const { config } = await nats.requests.streamInfo("aether_default");
  await nats.requests.updateStream({ ...config, max_bytes: 20_000 });
  let stored = 0;
  const full = await refusal(async () => {
    for (;; stored++) await store.append("order", [event("x".repeat(1_000))], { expectedVersion: stored });
  });
  assert(full instanceof BackendError && full.cause instanceof JetStreamApiError, String(full));
  assert.equal(full.cause.code, 10_077);
  assert.match(full.message, /limit/);
  const batch = await refusal(() =>
    store.saveEvents(["a", "b"].map((actorId) => ({ actorId, version: 1, ...event("x".repeat(9_000)) })))
  );
  assert(batch instanceof BackendError, String(batch));
  assert.equal((await store.getEvents("order")).length, stored);
  assert(
    (await store.diagnose()).some(({ code, severity }) => code === "size-limit" && severity === "warning"),
  );
  await nats.requests.updateStream({ ...config, max_bytes: -1 });
  await store.append("order", [event("on")], { expectedVersion: stored });
  assert.equal((await store.getEvents("order")).length, stored + 1);
});

Deno.test("a stream that is deleted under a store is a typed error, and so is another one in its place", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  const warnings: string[] = [];
  const onWarning = ({ code }: { code: string }): number => warnings.push(code);
  await using store = await JetStreamEventStore.open(server.url, { heartbeat: 100, onWarning });
  for (let version = 0; version < 3; version++) {
    await store.append("order", [event(1)], { expectedVersion: version });
  }
  const subscription = store.subscribe({ after: "end" });
  await subscription.ready;
  const ended = refusal(() => Array.fromAsync(subscription));
  const { config } = await nats.requests.streamInfo("aether_default");
  await nats.requests.request("STREAM.DELETE.aether_default");

  const actions: (() => Promise<unknown>)[] = [
    () => store.append("order", [event(4)], { expectedVersion: 3 }),
    () => store.append("new", [event(1)], { expectedVersion: 0 }),
    () => store.getEvents("order"),
    () => Array.fromAsync(store.readAll()),
    () => store.getLastPosition(),
    () => store.verify(),
    () => store.diagnose(),
  ];
  for (const action of actions) {
    const error = await refusal(action);
    assert(error instanceof LogReplacedError, String(error));
  }
  assert((await ended) instanceof LogReplacedError);

  // Somebody opens a store there: a new log.
  {
    await using other = await JetStreamEventStore.open(server.url);
    const replaced = await refusal(() => store.append("order", [event(4)], { expectedVersion: 3 }));
    assert(replaced instanceof LogReplacedError, String(replaced));
    const fresh = await refusal(() => store.append("fresh", [event(1)], { expectedVersion: 0 }));
    assert(fresh instanceof LogReplacedError, String(fresh));
    assert.equal((await other.getEvents("order")).length, 0);
    const read = await refusal(() => store.getEvents("order"));
    assert(read instanceof LogReplacedError, String(read));
  }
  // The first log comes back, as from a backup, without its messages: what this store has seen is missing, loudly.
  await nats.requests.request("STREAM.DELETE.aether_default");
  await nats.requests.createStream(config);
  const lost = await refusal(() => store.getEvents("order"));
  assert.equal(lost.name, "DamagedHistoryError");
  await store.append("other", [event(1)], { expectedVersion: 0 });
  assert.deepEqual(warnings, ["log-tail-lost"]);
  assert.equal((await store.verify()).ok, false);
});

Deno.test("256 saves whose connection dies under them are stored once, or say that they are not", async () => {
  await using server = await startNatsServer();
  const store = await JetStreamEventStore.open(server.url, { saveTimeout: 20_000 });
  await store.append("order-0", [event(0)], { expectedVersion: 0 });
  const saves = Array.from(
    { length: 256 },
    (_, index) => store.append(`order-${index + 1}`, [event(index)], { expectedVersion: 0 }),
  );
  const settled = Promise.allSettled(saves);
  await server.kill();
  await server.restart();
  const outcomes = await settled;
  assert.deepEqual(outcomes.filter(({ status }) => status === "rejected"), []);
  await until(() => store.getLatestVersion("order-256").then((version) => version === 1, () => false));
  const log = await Array.fromAsync(store.readAll());
  assert.equal(log.length, 257);
  assert.equal(new Set(log.map(({ actorId }) => actorId)).size, 257);
  await store.close();
});

Deno.test("a setting that is changed under an open store is named by a warning, once, and nothing is lost", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  const changes: Readonly<Record<string, Record<string, unknown>>> = {
    subjects: { subjects: ["elsewhere.>"] },
    max_msgs: { max_msgs: 1 },
    subject_transform: { subject_transform: { src: "aether.>", dest: "moved.>" } },
    sealed: { sealed: true },
  };
  for (const [setting, change] of Object.entries(changes)) {
    const warnings: Warning[] = [];
    await using store = await JetStreamEventStore.open(server.url, {
      namespace: setting,
      saveTimeout: 300,
      onWarning: (warning) => warnings.push(warning),
    });
    await store.append("order", [event(1)], { expectedVersion: 0 });
    const stream = `aether_${setting}`;
    await nats.requests.updateStream({ ...(await nats.requests.streamInfo(stream)).config, ...change });
    const failed = await refusal(() => store.append("order", [event(2)], { expectedVersion: 1 }));
    assert(failed instanceof BackendError, String(failed));
    for (let read = 0; read < 2; read++) assert.equal(await store.getLatestVersion("none"), 0);
    assert.deepEqual(warnings.map(({ code }) => code), ["stream-changed"], setting);
    assert(warnings[0]!.message.includes(`${setting} is `), warnings[0]!.message);
    assert.deepEqual((await store.getEvents("order")).map(({ version }) => version), [1]);
  }
});
