/** What each entry that speaks to JetStream does alike: stores, leases, checkpoints and coordinators. */

import assert from "node:assert/strict";
import {
  BackendError,
  Coordinator,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  JetStreamUnavailableError,
} from "@flowmade-one/aether";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { startNatsServer } from "../support/nats_server.ts";

const ENTRIES: Readonly<Record<string, (connection: NatsConnection) => Promise<AsyncDisposable>>> = {
  "JetStreamEventStore.open()": (connection) => JetStreamEventStore.open(connection),
  "JetStreamLeases.open()": (connection) => JetStreamLeases.open(connection),
  "JetStreamCheckpoints.open()": (connection) => JetStreamCheckpoints.open(connection),
  "Coordinator.join()": (connection) => Coordinator.join(connection),
};

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

Deno.test("every entry throws JetStreamUnavailableError if the server has no JetStream or is too old", async (t) => {
  await using server = await startNatsServer({
    config: {
      accounts: {
        WITH: { jetstream: "enabled", users: [{ user: "with", password: "p" }] },
        WITHOUT: { users: [{ user: "without", password: "p" }] },
      },
    },
  });
  const servers = server.url;
  const connection = await connect({ servers, user: "with", pass: "p" });
  const without = await connect({ servers, user: "without", pass: "p" });
  const cases = [
    { reason: "disabled", version: undefined, target: without },
    { reason: "disabled", version: undefined, target: withInfo(connection, { jetstream: false }) },
    { reason: "outdated", version: "2.11.9", target: withInfo(connection, { version: "2.11.9" }) },
    { reason: "outdated", version: "2.12.0", target: withInfo(connection, { version: "2.12.0" }) },
  ];
  for (const [name, open] of Object.entries(ENTRIES)) {
    await t.step(name, async () => {
      for (const { reason, version, target } of cases) {
        await assert.rejects(open(target), (error) => {
          assert(error instanceof JetStreamUnavailableError, String(error));
          assert.deepEqual([error.reason, error.version], [reason, version]);
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
  const other = await connect({ servers: server.url });
  await using checkpoints = await JetStreamCheckpoints.open(server.url);
  await using leases = await JetStreamLeases.open(server.url);
  // Nothing but the other subscriber hears what is written from now on.
  for (const bucket of ["aether_projections", "aether_leases"]) {
    await other.request(`$JS.API.STREAM.DELETE.KV_${bucket}`);
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
