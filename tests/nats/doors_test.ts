/** Every door that takes a URL or a connection takes credentials, refuses the rest alike, and closes what it opened. */

import assert from "node:assert/strict";
import {
  Coordinator,
  InvalidArgumentError,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  type NatsConnection,
  NatsEventBus,
} from "@flowmade-one/aether";
import { startNatsServer } from "../support/nats_server.ts";

const doors: Readonly<Record<string, (target: string | readonly string[]) => Promise<AsyncDisposable>>> = {
  "JetStreamEventStore.open()": (target) => JetStreamEventStore.open(target),
  "JetStreamLeases.open()": (target) => JetStreamLeases.open(target),
  "JetStreamCheckpoints.open()": (target) => JetStreamCheckpoints.open(target),
  "Coordinator.join()": (target) => Coordinator.join(target),
  "NatsEventBus.open()": (target) => NatsEventBus.open(target),
};

Deno.test("every door to NATS takes credentials in the URL and in its options, and says when they are wrong", async () => {
  await using server = await startNatsServer({
    configText: `accounts { A: { jetstream: enabled, users: [{ user: alice, password: secret }] } }`,
  });
  const address = server.url.replace("nats://", "");
  for (const [name, open] of Object.entries(doors)) {
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

Deno.test("every door to NATS says that no server answers, and refuses what is neither a URL nor a connection", async () => {
  for (const [name, open] of Object.entries(doors)) {
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
