import assert from "node:assert/strict";
import { type NatsConnection, wsconnect } from "@nats-io/nats-core";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type NatsServer, startNatsServer } from "./nats_server.ts";
import { startProxy } from "./proxy.ts";
import { until } from "./until.ts";
import { PATIENT } from "./patient.ts";

async function connected(url: string): Promise<NatsConnection> {
  return await connect({ servers: url, reconnectTimeWait: 20, maxReconnectAttempts: -1 });
}

async function withStream(server: NatsServer): Promise<void> {
  await using connection = await connect({ servers: server.url });
  await (await jetstreamManager(connection)).streams.add({ name: "S", subjects: ["s.>"] });
}

Deno.test("Proxy forwards large payloads unchanged, both ways", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using connection = await connected(proxy.url);
  const payload = crypto.getRandomValues(new Uint8Array(60_000));
  connection.subscribe("echo", { callback: (_error, message) => void message.respond(message.data) });
  for (let i = 0; i < 20; i++) {
    const answer = await connection.request("echo", payload, PATIENT);
    assert.deepEqual(new Uint8Array(answer.data), payload);
  }
  assert.equal(proxy.connections, 1);
});

Deno.test("Proxy: cut() drops and refuses, resume() lets the client return", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using connection = await connected(proxy.url);
  await connection.flush();
  await proxy.cut();
  await assert.rejects(connect({ servers: proxy.url, reconnect: false }));
  await until("the connections are as many", () => proxy.connections === 0);
  proxy.resume();
  await until("the connections are as many", () => proxy.connections === 1);
  await connection.flush();
});

Deno.test("Proxy: stall() accepts but forwards nothing, resume() loses nothing", async () => {
  await using server = await startNatsServer();
  await withStream(server);
  await using proxy = startProxy(server.url);
  await using connection = await connected(proxy.url);
  await connection.flush();
  proxy.stall();
  let answered = 0;
  const requests = Array.from({ length: 10 }, async (_, i) => {
    await connection.request(`s.${i}`, "", { timeout: 20_000 });
    answered++;
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(answered, 0);
  proxy.resume();
  await Promise.all(requests);
  assert.equal(answered, 10);
});

Deno.test("Proxy: delay() makes a round trip at least twice as long", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using connection = await connected(proxy.url);
  await connection.flush();
  proxy.delay(50);
  const start = performance.now();
  await connection.flush();
  assert(performance.now() - start >= 99);
  proxy.resume();
});

Deno.test("Proxy: filter() takes out the acknowledgement of a write that was stored", async () => {
  await using server = await startNatsServer();
  await withStream(server);
  await using proxy = startProxy(server.url);
  await using connection = await connected(proxy.url);
  const seen: string[] = [];
  proxy.filter({
    toClient: (frame) => {
      const text = new TextDecoder().decode(frame.payload);
      const acknowledged = text.includes('"seq":2');
      if (acknowledged) seen.push(text);
      return acknowledged;
    },
  });
  assert.equal((await connection.request("s.1", "one", PATIENT)).json<{ seq: number }>().seq, 1);
  await assert.rejects(connection.request("s.2", "two", { timeout: 300 }), /timeout/);
  assert.equal((await connection.request("s.3", "three", PATIENT)).json<{ seq: number }>().seq, 3);
  assert.equal(seen.length, 1);
  proxy.filter({});
  const manager = await jetstreamManager(connection);
  assert.equal((await manager.streams.getMessage("S", { seq: 2 }))?.string(), "two");
});

Deno.test("Proxy: filter() takes out a publication before the server sees it", async () => {
  await using server = await startNatsServer();
  await withStream(server);
  await using proxy = startProxy(server.url);
  await using connection = await connected(proxy.url);
  proxy.filter({ toServer: (frame) => frame.subject === "s.lost" });
  await assert.rejects(connection.request("s.lost", "", { timeout: 300 }), /timeout/);
  proxy.filter({});
  assert.equal((await connection.request("s.lost", "", PATIENT)).json<{ seq: number }>().seq, 1);
});

Deno.test("Proxy carries WebSocket connections unread", async () => {
  await using server = await startNatsServer({ websocket: true });
  await using proxy = startProxy(server.websocketUrl, { natsProtocol: false });
  await using connection = await wsconnect({ servers: proxy.url });
  await connection.flush();
  assert.equal(proxy.connections, 1);
});

Deno.test("Proxy drops its client when the server dies, and takes it back after the restart", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using connection = await connected(proxy.url);
  await connection.flush();
  await server.kill();
  await until("the connections are as many", () => proxy.connections === 0);
  await server.restart();
  await until("the connections are as many", () => proxy.connections === 1);
  await connection.flush();
});
