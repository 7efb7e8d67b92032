/** Namespaces are kept apart: by names, by accounts, and by the least permissions that a store needs. */

import assert from "node:assert/strict";
import { type EventInput, JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { startNatsServer } from "../../support/nats_server.ts";
import { connectTo } from "../../../src/nats/connect.ts";
import { ConnectionState } from "../../../src/nats/connection_state.ts";
import { JetStreamRequests } from "../../../src/nats/jetstream/requests.ts";

const event = (data: unknown): { eventType: string; data: unknown } => ({ eventType: "Happened", data });

async function example(name: string): Promise<string> {
  const text = await Deno.readTextFile(new URL(`../../../examples/nats/${name}`, import.meta.url));
  return text.replace("jetstream: enabled", ""); // the test's server has a block of its own for it
}

Deno.test("with one account a namespace, stores of the same name share nothing", async () => {
  await using server = await startNatsServer({ configText: await example("accounts.conf") });
  const url = (user: string): string => `nats://${user}:change-me-${user}@127.0.0.1:${server.port}`;
  await using orders = await JetStreamEventStore.open(url("orders"));
  await using billing = await JetStreamEventStore.open(url("billing"));
  const [saved] = await orders.append("order", [event(1)], { expectedVersion: 0 });
  assert.deepEqual(await billing.getEvents("order"), []);
  await assert.rejects(Array.fromAsync(billing.readAll({ after: saved!.position })), { reason: "foreign" });
  await billing.append("order", [event(2)], { expectedVersion: 0 });
  assert.equal((await orders.getEvents("order")).length, 1);
});

Deno.test("the least permissions are enough for a store, and for nothing else", async () => {
  await using server = await startNatsServer({ configText: await example("least_permissions.conf") });
  const url = (user: string): string => `nats://${user}:change-me-${user}@127.0.0.1:${server.port}`;
  const snapshot = {
    actorId: "order",
    kind: "k",
    schemaVersion: 1,
    version: 1,
    state: 1,
    timestamp: "2026-01-01T00:00:00Z",
  };
  await using operator = await JetStreamEventStore.open(url("operator"), { namespace: "orders" });
  await operator.append("order", [event(1)], { expectedVersion: 0 });
  await operator.saveSnapshot(snapshot);
  await using secret = await JetStreamEventStore.open(url("operator"), { namespace: "secret" });
  await secret.append("order", [event("secret")], { expectedVersion: 0 });

  const connect = { inboxPrefix: "_INBOX_orders" };
  const warnings: unknown[] = [];
  await using store = await JetStreamEventStore.open(url("orders"), {
    namespace: "orders",
    connect,
    onWarning: (warning) => warnings.push(warning),
  });
  await store.append("order", [event(2)], { expectedVersion: 1 });
  const batch: EventInput[] = ["a", "b.c", "weird id *>"].map((actorId) => ({
    actorId,
    version: 1,
    ...event(1),
  }));
  await store.saveEvents(batch);
  await store.takeOver("order", 1);
  assert.equal((await store.getEvents("order")).length, 2);
  assert.equal((await Array.fromAsync(store.readAll())).length, 5);
  assert.equal((await Array.fromAsync(store.readAll({ actorPrefix: "b." }))).length, 1);
  assert.equal((await Array.fromAsync(store.listActors())).length, 4);
  const subscription = store.subscribe({ actorId: "order" });
  const first = (await subscription[Symbol.asyncIterator]().next()).value;
  await subscription.close();
  assert.equal(first?.version, 1);
  await store.saveSnapshot({ ...snapshot, version: 2 });
  assert.equal((await store.getLatestSnapshot("order", "k"))?.version, 2);
  assert.equal(await store.deleteSnapshots("k"), 1);
  assert.equal((await store.verify()).ok, true);
  await store.preserveExpiringActors();
  assert((await store.diagnose()).length > 0);
  assert.deepEqual(warnings, []);

  // And nothing else: neither another namespace, nor the stream itself.
  await assert.rejects(
    JetStreamEventStore.open(url("orders"), { namespace: "secret", connect }),
    { name: "BackendError", reason: "denied", message: /permission/i },
  );
  const connection = await connectTo(url("orders"), connect);
  const state = new ConnectionState(connection);
  const requests = new JetStreamRequests(state);
  for (const operation of ["DELETE", "PURGE", "UPDATE", "MSG.DELETE"]) {
    await assert.rejects(requests.request(`STREAM.${operation}.aether_orders`), { why: "denied" }, operation);
  }
  requests.close();
  state.close();
  await connection.close();
  assert.equal((await secret.getEvents("order")).length, 1);
  assert.equal((await operator.getEvents("order")).length, 2);
});

Deno.test("hostile names of namespaces and actors stay in their stream", async () => {
  await using server = await startNatsServer();
  await using victim = await JetStreamEventStore.open(server.url, { namespace: "victim" });
  await victim.append("order", [event(1)], { expectedVersion: 0 });
  await using attacker = await JetStreamEventStore.open(server.url, { namespace: "attacker" });
  const hostile = [
    "*",
    ">",
    "a.*",
    "a.>",
    "..",
    ".",
    "victim.order",
    "../victim",
    "$JS.API.STREAM.DELETE.aether_victim",
    "a b",
    "a\r\nPUB x 0",
    "\0",
    "=2E",
    "=-",
  ];
  for (const actorId of hostile) {
    await attacker.append(actorId, [event(actorId)], { expectedVersion: 0 });
    assert.deepEqual((await attacker.getEvents(actorId)).map(({ data }) => data), [actorId]);
  }
  assert.equal((await Array.fromAsync(attacker.readAll())).length, hostile.length);
  assert.equal((await Array.fromAsync(victim.readAll())).length, 1);
  assert.deepEqual(
    (await Array.fromAsync(attacker.listActors())).map(({ actorId }) => actorId).sort(),
    hostile.toSorted(),
  );
  for (const namespace of ["victim.>", "*", "a b", "", "victim/../x", "x".repeat(65)]) {
    await assert.rejects(JetStreamEventStore.open(server.url, { namespace }), {
      name: "InvalidArgumentError",
    });
  }
});
