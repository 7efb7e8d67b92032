/** What a server denies is reported under the name of the method that was called; all that saves events is an append. */

import assert from "node:assert/strict";
import { BackendError } from "@flowmade-one/aether";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { startNatsServer } from "../../support/nats_server.ts";

const USERS = `
authorization {
  users = [
    { user: operator, password: a }
    { user: reader, password: b, permissions: { publish: ["$JS.API.STREAM.INFO.>", "$JS.API.INFO"], subscribe: ">" } }
  ]
}`;

Deno.test("each method of a store that the server denies rejects with its own name, and each save as an append", async () => {
  await using server = await startNatsServer({ configText: USERS });
  const event = { eventType: "Happened", data: 1 };
  const snapshot = { actorId: "order", kind: "k", schemaVersion: 1, version: 1, state: 1 };
  await using operator = await JetStreamEventStore.open(`nats://operator:a@127.0.0.1:${server.port}`);
  const [saved] = await operator.append("order", [event, event], { expectedVersion: 0 });
  await operator.saveSnapshot(snapshot);
  await using store = await JetStreamEventStore.open(`nats://reader:b@127.0.0.1:${server.port}`, {
    onWarning: () => {},
    readTimeout: 2_000,
    saveTimeout: 2_000,
  });
  const after = saved!.position;
  const calls: [string, () => Promise<unknown>][] = [
    ["append", () => store.append("order", [event], { expectedVersion: 2 })],
    ["append", () => store.append("order", [event], { expectedVersion: "any" })],
    ["append", () => store.append("new", [event], { expectedVersion: 0 })],
    ["append", () => store.saveEvent({ ...event, actorId: "order", version: 3 })],
    ["append", () => store.saveEvents([{ ...event, actorId: "order", version: 3 }])],
    ["append", () => store.takeOver("order", 1)],
    ["getEvents", () => store.getEvents("order")],
    ["readEvents", () => Array.fromAsync(store.readEvents("order"))],
    ["readEvents", () => Array.fromAsync(store.readEvents("order", { direction: "backward" }))],
    ["getLatestVersion", () => store.getLatestVersion("order")],
    ["readAll", () => Array.fromAsync(store.readAll())],
    ["readAll", () => Array.fromAsync(store.readAll({ after }))],
    ["readAll", () => Array.fromAsync(store.readAll({ until: after }))],
    ["readAll", () => Array.fromAsync(store.readAll({ direction: "backward" }))],
    ["readAll", () => Array.fromAsync(store.readAll({ direction: "backward", after }))],
    ["getLastPosition", () => store.getLastPosition()],
    ["subscribe", () => Array.fromAsync(store.subscribe())],
    ["subscribe", () => Array.fromAsync(store.subscribe({ after }))],
    ["subscribe", () => Array.fromAsync(store.subscribe({ after: "end" }))],
    ["listActors", () => Array.fromAsync(store.listActors())],
    ["saveSnapshot", () => store.saveSnapshot({ ...snapshot, version: 2 })],
    ["getLatestSnapshot", () => store.getLatestSnapshot("order", "k")],
    ["deleteSnapshots", () => store.deleteSnapshots("k")],
    ["verify", () => store.verify()],
    ["verify", () => store.verify({ expectedPosition: after })],
    ["diagnose", () => store.diagnose()],
    ["preserveExpiringActors", () => store.preserveExpiringActors()],
    ["repairActor", () => store.repairActor("order")],
  ];
  for (const [operation, call] of calls) {
    await assert.rejects(call(), (error) => {
      assert(error instanceof BackendError, `${operation}: ${error}`);
      const { reason, message } = error;
      assert.deepEqual({ operation: error.operation, reason }, { operation, reason: "denied" }, String(call));
      assert.match(message, new RegExp(`^${operation}: the server denied it`));
      return true;
    });
  }
});
