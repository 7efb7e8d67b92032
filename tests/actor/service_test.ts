/** Hosts as the tools of NATS see them. */

import assert from "node:assert/strict";
import { ActorClient } from "@flowmade-one/aether/actor";
import { InMemoryBucket } from "@flowmade-one/aether/cluster";
import { InMemoryEventStore } from "@flowmade-one/aether/memory";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { startNatsServer } from "../support/nats_server.ts";
import { type Counted, counter } from "./counter.ts";
import { until } from "../support/until.ts";
import { owns, startNode } from "./node.ts";

/** Asks all services, as `nats micro` does, and returns their answers: as soon as there are so many. */
async function ask<T>(connection: NatsConnection, subject: string, maxMessages = 1): Promise<T[]> {
  const options = { strategy: "count", maxMessages, maxWait: 2_000 } as const;
  const answers = await connection.requestMany(`$SRV.${subject}`, "", options);
  const messages = await Array.fromAsync(answers).catch(() => []);
  return messages.map((message) => message.json<T>());
}

interface Identity {
  readonly type: string;
  readonly name: string;
  readonly id: string;
  readonly version: string;
  readonly metadata: Record<string, string>;
}
interface Info extends Identity {
  readonly description: string;
  readonly endpoints: readonly { readonly name: string; readonly subject: string }[];
}
interface Stats extends Identity {
  readonly started: string;
  readonly endpoints: readonly {
    readonly num_requests: number;
    readonly num_errors: number;
    readonly last_error: string;
    readonly processing_time: number;
    readonly average_processing_time: number;
    readonly data: { readonly active: number; readonly shards: number };
  }[];
}

Deno.test("a client of the protocol of NATS services finds hosts, what they serve and what they have counted", async () => {
  await using server = await startNatsServer();
  await using store = new InMemoryEventStore<Counted>();
  const shared = { url: server.url, bucket: new InMemoryBucket(), store, actors: [counter] };
  const connection = await connect({ servers: server.url });
  {
    await using a = await startNode({ ...shared, name: "a" });
    await owns(a, 16);
    await using client = await ActorClient.connect(connection, { actors: [counter] });
    await client.get(counter, "counter-1").call(1);
    await client.get(counter, "counter-2").query("sum");
    await assert.rejects(client.get(counter, "counter-1").call(5_000));
    await using _b = await startNode({ ...shared, name: "b" });
    await until("b answers", async () => (await ask(connection, "PING", 2)).length === 2);

    const found = await ask<Identity>(connection, "PING", 2);
    assert.deepEqual(found.map(({ type, name }) => [type, name]), [
      ["io.nats.micro.v1.ping_response", "aether-actors-default"],
      ["io.nats.micro.v1.ping_response", "aether-actors-default"],
    ]);
    for (const { id, version } of found) assert(/^[a-zA-Z0-9]+$/.test(id) && /^\d+\.\d+\.\d+$/.test(version));
    assert.deepEqual(found.map(({ metadata }) => metadata["node"]).sort(), ["a", "b"]);
    assert.equal((await ask(connection, "PING.aether-actors-default", 2)).length, 2);
    const { id } = found.find(({ metadata }) => metadata["node"] === "a")!;
    const [info] = await ask<Info>(connection, `INFO.aether-actors-default.${id}`);
    assert.equal(info!.metadata["actors"], "counter");
    assert.deepEqual(info!.endpoints.map(({ name, subject }) => [name, subject]), [
      ["calls", "aether.actors.default.*"],
    ]);
    const [stats] = await ask<Stats>(connection, `STATS.aether-actors-default.${id}`);
    const [calls] = stats!.endpoints;
    assert.deepEqual([calls!.num_requests, calls!.num_errors], [3, 1]);
    assert.match(calls!.last_error, /at most 1000/);
    assert(calls!.processing_time > 0 && calls!.average_processing_time > 0);
    assert.equal(calls!.data.active, 2);
    assert(Date.parse(stats!.started) <= Date.now());
  }
  assert.deepEqual(
    await ask(connection, "PING"),
    [],
    "hosts that have ended are gone",
  );
  await connection.close();
});

Deno.test("a host whose user may not listen to the tools of NATS works, and is not shown", async () => {
  const users = [
    { user: "host", password: "p", permissions: { subscribe: { deny: ["$SRV.>"] } } },
    { user: "caller", password: "p" },
  ];
  await using server = await startNatsServer({ config: { authorization: { users } } });
  await using store = new InMemoryEventStore<Counted>();
  const warnings: string[] = [];
  await using node = await startNode({
    url: server.url,
    bucket: new InMemoryBucket(),
    store,
    actors: [counter],
    name: "a",
    connect: { user: "host", pass: "p" },
    onWarning: ({ code }) => warnings.push(code),
  });
  await owns(node, 16);
  const connection = await connect({ servers: server.url, user: "caller", pass: "p" });
  await using client = await ActorClient.connect(connection, { actors: [counter] });
  assert.deepEqual(await client.get(counter, "counter-1").call(1), { version: 1, state: 1 });
  assert.deepEqual(await ask(connection, "PING"), []);
  assert.deepEqual(warnings, []);
  await client.close();
  await connection.close();
});
