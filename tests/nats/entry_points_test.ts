/** Every entry point that takes a URL or a connection takes credentials, refuses the rest alike, and closes what it opened. */

import assert from "node:assert/strict";
import { connect as connectTo } from "@nats-io/transport-node";
import {
  BackendError,
  Coordinator,
  InvalidArgumentError,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  type NatsConnection,
  NatsEventBus,
} from "@flowmade-one/aether";
import { startNatsServer } from "../support/nats_server.ts";
import { PATIENT } from "../support/patient.ts";

type Target = string | readonly string[] | NatsConnection;

/** The entry points that use JetStream. */
const JETSTREAM: Readonly<Record<string, (target: Target) => Promise<AsyncDisposable>>> = {
  "JetStreamEventStore.open()": (target) => JetStreamEventStore.open(target),
  "JetStreamLeases.open()": (target) => JetStreamLeases.open(target),
  "JetStreamCheckpoints.open()": (target) => JetStreamCheckpoints.open(target),
  "Coordinator.join()": (target) => Coordinator.join(target),
};

const ENTRY_POINTS: Readonly<
  Record<string, (target: string | readonly string[]) => Promise<AsyncDisposable>>
> = {
  ...JETSTREAM,
  "NatsEventBus.open()": (target) => NatsEventBus.open(target),
};

Deno.test("every entry point to NATS takes credentials in the URL and in its options, and throws if they are wrong", async () => {
  await using server = await startNatsServer({
    configText: `accounts { A: { jetstream: enabled, users: [{ user: alice, password: secret }] } }`,
  });
  const address = server.url.replace("nats://", "");
  for (const [name, open] of Object.entries(ENTRY_POINTS)) {
    await using _opened = await open(`nats://alice:secret@${address}`);
    await assert.rejects(
      open([`nats://alice:wrong@${address}`]),
      { name: "BackendError", reason: "denied" },
      name,
    );
  }
  const connect = { client: { user: "alice", pass: "secret" } };
  await using _store = await JetStreamEventStore.open(server.url, { connect });
  await using _leases = await JetStreamLeases.open(server.url, { connect });
  await using _checkpoints = await JetStreamCheckpoints.open([server.url], { connect });
  await using _coordinator = await Coordinator.join(server.url, { connect });
});

Deno.test("every entry point to NATS throws if no server answers, and refuses what is neither a URL nor a connection", async () => {
  for (const [name, open] of Object.entries(ENTRY_POINTS)) {
    await assert.rejects(open("nats://127.0.0.1:1"), { name: "BackendError", reason: "unreachable" }, name);
    for (const target of [undefined, null, 7, {}, "http://127.0.0.1", ["", ""]]) {
      await assert.rejects(open(target as string), InvalidArgumentError, name);
    }
  }
  for (const target of [undefined, null, {}, "nats://127.0.0.1"]) {
    assert.throws(() => new NatsEventBus(target as unknown as NatsConnection), InvalidArgumentError);
  }
});

Deno.test("NatsEventBus.open() publishes to another bus, and closes its connection with itself", async () => {
  await using server = await startNatsServer();
  await using receiver = await NatsEventBus.open(server.url);
  const subscription = receiver.subscribe("orders");
  await subscription.ready;
  {
    await using sender = await NatsEventBus.open([server.url], {
      prefix: "aether-bus",
      connect: { name: "sender" },
    });
    await sender.publish("orders", { eventType: "T", actorId: "a", version: 1, data: 1 });
  }
  for await (const event of subscription) {
    assert.equal(event.actorId, "a");
    break;
  }
});

/** The same connection, to a server that describes itself in another way. */
function withInfo(connection: NatsConnection, more: object): NatsConnection {
  return new Proxy(connection, {
    get(target, name): unknown {
      if (name === "info") return { ...target.info, ...more };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

Deno.test("every entry point names the server that has no JetStream or is too old", async (t) => {
  await using server = await startNatsServer({
    config: {
      accounts: {
        WITH: { jetstream: "enabled", users: [{ user: "with", password: "p" }] },
        WITHOUT: { users: [{ user: "without", password: "p" }] },
      },
    },
  });
  const servers = server.url;
  const connection = await connectTo({ servers, user: "with", pass: "p" });
  const without = await connectTo({ servers, user: "without", pass: "p" });
  const cases = [
    { text: /does not run JetStream/, target: without },
    { text: /does not run JetStream/, target: withInfo(connection, { jetstream: false }) },
    { text: /version 2\.11\.9, and 2\.12\.1/, target: withInfo(connection, { version: "2.11.9" }) },
    { text: /version 2\.12\.0, and 2\.12\.1/, target: withInfo(connection, { version: "2.12.0" }) },
  ];
  for (const [name, open] of Object.entries(JETSTREAM)) {
    await t.step(name, async () => {
      for (const { text, target } of cases) {
        await assert.rejects(open(target), (error) => {
          assert(error instanceof BackendError && error.reason === "unsupported", String(error));
          assert.match(error.message, text);
          return true;
        });
      }
      await using _opened = await open(withInfo(connection, { version: "2.12.1" }));
    });
  }
  await without.close();
  await connection.close();
});

Deno.test("an acknowledgement of another stream does not count for checkpoints and leases", async () => {
  await using server = await startNatsServer();
  const other = await connectTo({ servers: server.url });
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  await using leases = await JetStreamLeases.open(server.url);
  // Nothing but the other subscriber hears what is written from now on.
  for (const bucket of ["aether_projections", "aether_leases"]) {
    await other.request(`$JS.API.STREAM.DELETE.KV_${bucket}`, "", PATIENT);
  }
  other.subscribe("$KV.>", {
    callback: (_error, message) => void message.respond('{"stream":"OTHER","seq":7}'),
  });
  await other.flush();
  const save = checkpoints.save({ name: "report", version: 1 }, "{}", undefined);
  const [saved, acquired] = await Promise.allSettled([
    save,
    leases.acquire("report", { signal: AbortSignal.timeout(1_000) }),
  ]);
  assert(saved.status === "rejected" && saved.reason instanceof BackendError, String(saved));
  assert.equal(acquired.status, "rejected");
  await other.close();
});

Deno.test("every entry point throws a BackendError with the reason denied if the user lacks a permission", async () => {
  await using server = await startNatsServer({
    configText: `accounts { A: { jetstream: enabled, users: [
      { user: poor, password: p, permissions: { publish: ["nothing"], subscribe: ["_INBOX.>"] } },
      { user: deaf, password: p, permissions: { publish: [">"], subscribe: ["nothing"] } }
    ] } }`,
  });
  for (const user of ["poor", "deaf"]) {
    const connection = await connectTo({ servers: server.url, user, pass: "p" });
    for (const [name, open] of Object.entries(JETSTREAM)) {
      await assert.rejects(open(connection), { name: "BackendError", reason: "denied" }, name);
    }
    await connection.close();
  }
});

Deno.test("every entry point throws ClosedError if its connection is closed, before or while it opens", async () => {
  await using server = await startNatsServer();
  for (const [name, open] of Object.entries(JETSTREAM)) {
    const connection = await connectTo({ servers: server.url });
    const opening = open(connection);
    const rejects = assert.rejects(opening, { name: "ClosedError", reason: "connection" }, name);
    await connection.close();
    await rejects;
    await assert.rejects(open(connection), { name: "ClosedError", reason: "connection" }, name);
  }
});
