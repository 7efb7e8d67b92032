/** Which host works on an actor, and under which id: what a request cannot choose. */

import assert from "node:assert/strict";
import process from "node:process";
import {
  ActorClient,
  ActorHost,
  execute,
  fireTimersOnce,
  InvalidArgumentError,
} from "@flowmade-one/aether/actor";
import { InMemoryBucket, shardOf } from "@flowmade-one/aether/cluster";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { connect } from "@nats-io/transport-node";
import { startNatsServer } from "../support/nats_server.ts";
import { booking, type BookingEvent, decider } from "./booking.ts";
import { type Counted, counter } from "./counter.ts";
import { owns, startNode } from "./node.ts";

const SHARDS = 16;

const refused = (argument: string, message: RegExp) => (error: unknown): boolean =>
  error instanceof InvalidArgumentError && error.argument === argument && message.test(error.message);

Deno.test("a request that arrives at another shard than the actor's is not executed, and the client asks again", async () => {
  await using server = await startNatsServer();
  await using store = new InMemoryEventStore<Counted>({ onWarning: () => {} });
  const start = (shardCount: number): ReturnType<typeof startNode> => {
    const bucket = new InMemoryBucket();
    return startNode({ url: server.url, bucket, name: "a", store, actors: [counter], shardCount });
  };
  await using client = await ActorClient.connect(server.url, { actors: [counter] });
  const call = async (id: string): Promise<number> =>
    (await client.get(counter, id).call(1, { timeout: 20_000 })).version;
  const ids = Array.from({ length: 12 }, (_, index) => `counter-${index}`);
  {
    await using node = await start(SHARDS);
    await owns(node, SHARDS);
    const connection = await connect({ servers: server.url });
    const wrong = (shardOf("counter-0", SHARDS) + 1) % SHARDS;
    const request = JSON.stringify({
      kind: "counter",
      version: 1,
      actor: "counter-0",
      command: 1,
      timeout: 1_000,
    });
    const answer = await connection.request(`aether.actors.default.${wrong}`, request, { timeout: 60_000 });
    assert.deepEqual(answer.json(), { retry: "shards" });
    assert.equal(await store.getLatestVersion("counter-0"), 0);
    await connection.close();
    assert.deepEqual(await Promise.all(ids.map(call)), Array(12).fill(1));
  }
  // The cluster is set up again: some shards that the client knows do not exist any more, and others have other actors.
  for (const [round, shardCount] of [5, 32].entries()) {
    await using node = await start(shardCount);
    await owns(node, shardCount);
    assert.deepEqual(await Promise.all(ids.map(call)), Array(12).fill(round + 2));
  }
});

Deno.test("a coordinator has one host for each cluster of actors", async () => {
  await using server = await startNatsServer();
  await using store = new InMemoryEventStore<Counted>({ onWarning: () => {} });
  const bucket = new InMemoryBucket();
  await using node = await startNode({ url: server.url, bucket, name: "a", store, actors: [counter] });
  await owns(node, 16);
  const connection = await connect({ servers: server.url });
  const start = (name: string): Promise<ActorHost> => {
    const { coordinator } = node;
    return ActorHost.start({ store, actors: [counter], cluster: { coordinator, connection, name } });
  };
  await assert.rejects(start("default"), refused("options.cluster.coordinator", /has a host already/));
  {
    await using other = await start("other");
    assert.equal((await other.client.get(counter, "counter-1").call(1)).version, 1);
  }
  await node.host.close();
  {
    await using next = await start("default");
    assert.equal((await next.client.get(counter, "counter-1").call(1)).version, 2);
  }
  await connection.close();
});

Deno.test("a caller cannot keep a timer from firing by its id", async () => {
  await using store = new InMemoryEventStore<BookingEvent>({ onWarning: () => {} });
  await using host = await ActorHost.start({ store, actors: [booking], onWarning: () => {} });
  const id = "timer/booking-1/payment-due/2100-01-01T00:00:00.000Z";
  const command = { reserve: Date.parse("2100-01-01T00:00:00Z") };
  const isOwn = /must not begin with "timer\/"/;
  await assert.rejects(
    host.client.get(booking, "booking-1").call(command, { id }),
    refused("options.id", isOwn),
  );
  await assert.rejects(
    execute(store, "booking-1", decider, command, { commandId: id }),
    refused("options.commandId", isOwn),
  );
  await host.client.get(booking, "booking-1").call(command, { id: "a timer" });
  await host.close();
  const now = (): Date => new Date("2100-01-01T00:00:00Z");
  assert.equal((await fireTimersOnce(store, [booking], { now })).fired, 1);
});

Deno.test("an actor may stay in memory for any time", async () => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on("warning", onWarning);
  await using store = new InMemoryEventStore<Counted>({ onWarning: () => {} });
  for (const idleTimeout of [2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    await using host = await ActorHost.start({ store, actors: [counter], idleTimeout });
    await host.client.get(counter, "counter-1").call(1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(host.active, 1);
  }
  process.off("warning", onWarning);
  assert.deepEqual(warnings, []); // a timer that is too long would fire all the time
});
