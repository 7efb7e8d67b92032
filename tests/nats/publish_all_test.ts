import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { connectTo } from "../../src/nats/connect.ts";
import type { NatsConnection, NatsMessage } from "../../src/nats/connection.ts";
import { publishAll } from "../../src/nats/publish_all.ts";
import { startNatsServer } from "../support/nats_server.ts";

const PAYLOADS = Array.from({ length: 2_000 }, (_, index) => `{"seq":${index}}`);
const decoder = new TextDecoder();

Deno.test("publishAll() sends the same in one piece as the connection's interface does one by one", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  const arrived: NatsMessage[] = [];
  connection.subscribe("all.>", { callback: (_, message) => void arrived.push(message) });
  // Its interface alone, as a connection of another make has it.
  const plain = { publish: connection.publish.bind(connection) } as NatsConnection;
  const statistics: unknown[] = [];
  for (const [name, sender] of Object.entries({ whole: connection as NatsConnection, plain })) {
    const { outMsgs, outBytes } = statsOf(connection);
    publishAll(sender, `all.${name}`, PAYLOADS, `reply.${name}`);
    publishAll(sender, `all.${name}`, [], "reply");
    publishAll(sender, `all.${name}`, ["single"], "reply");
    const { outMsgs: messages, outBytes: bytes } = statsOf(connection);
    statistics.push([messages - outMsgs, bytes - outBytes]);
    await connection.flush();
    const got = arrived.splice(0);
    assert.deepEqual(got.map(({ data }) => decoder.decode(data)), [...PAYLOADS, "single"]);
    assert.deepEqual([...new Set(got.map(({ subject }) => subject))], [`all.${name}`]);
    assert.deepEqual([...new Set(got.map(({ reply }) => reply))], [`reply.${name}`, "reply"]);
  }
  assert.deepEqual(statistics[0], statistics[1]);
  await connection.close();
});

Deno.test("publishAll() goes around publish() on connections of our own, and on no others", async () => {
  await using server = await startNatsServer();
  for (
    const [connection, expected] of [
      [await connectTo(server.url), 1],
      [await connect({ servers: server.url }) as NatsConnection, PAYLOADS.length],
    ] as const
  ) {
    let calls = 0;
    const publish = connection.publish.bind(connection);
    connection.publish = (...publication): void => {
      calls++;
      publish(...publication);
    };
    publishAll(connection, "all", PAYLOADS, "reply");
    assert.equal(calls, expected);
    await connection.close();
  }
});

Deno.test("publishAll() sends nothing if the connection refuses", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  assert.throws(() => publishAll(connection, "with space", PAYLOADS, "reply"));
  assert.throws(() => publishAll(connection, "all", PAYLOADS, "reply\r\nPUB other 0\r\n"));
  assert.equal(statsOf(connection).outMsgs, 0);
  await connection.close();
  assert.throws(() => publishAll(connection, "all", PAYLOADS, "reply"));
});

/** What a connection of the client's says of itself. */
function statsOf(connection: NatsConnection): { readonly outMsgs: number; readonly outBytes: number } {
  return (connection as unknown as { stats(): { outMsgs: number; outBytes: number } }).stats();
}
