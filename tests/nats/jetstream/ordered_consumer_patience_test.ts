/** A reader that begins while the stream has no leader. */

import assert from "node:assert/strict";
import { OrderedConsumer } from "../../../src/nats/jetstream/ordered_consumer.ts";
import { startNatsCluster } from "../../support/nats_server.ts";
import { client, STREAM, until } from "../../store/jetstream/support.ts";

Deno.test("OrderedConsumer waits for a leader before it begins, for as long as its patience", async () => {
  await using cluster = await startNatsCluster();
  const [first, second, third] = cluster.servers;
  await using nats = await client(first!.url, 500);
  await nats.requests.createStream({ ...STREAM, num_replicas: 3 });
  await nats.requests.request("STREAM.INFO.S");
  nats.connection.publish("s.a", new TextEncoder().encode("stored"));
  await until(async () => await nats.requests.getMessage("S", { seq: 1 }) !== undefined);
  await second!.kill();
  await third!.kill();
  const options = { stream: "S", startSequence: 1, heartbeat: 60_000 };
  const hasty = new OrderedConsumer(nats.state, nats.requests, options);
  await assert.rejects(hasty.start());
  hasty.close();
  const patient = new OrderedConsumer(nats.state, nats.requests, { ...options, patience: 120_000 });
  const started = patient.start();
  started.catch(() => {}); // awaited below
  await second!.restart();
  await third!.restart();
  await started;
  assert.equal((await patient.read())[0]?.sequence, 1);
  patient.close();
});
