import { wsconnect } from "@nats-io/nats-core";
import assert from "node:assert/strict";
import {
  BackendError,
  EventTooLargeError,
  InvalidArgumentError,
  type Loss,
  NatsEventBus,
  type Warning,
} from "../../src/bus/mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { startProxy } from "../support/proxy.ts";
import { connectTo, until } from "./nats_support.ts";

const event = (data: unknown): { eventType: string; actorId: string; version: number; data: unknown } => (
  { eventType: "Happened", actorId: "actor", version: 1, data }
);

Deno.test("a subscription that the server has no room for fails with the reason, and the others go on", async () => {
  await using server = await startNatsServer({ configText: "max_subscriptions: 2" });
  await using bus = await NatsEventBus.open(server.url);
  const first = bus.subscribe("orders");
  const second = bus.subscribe("billing");
  await Promise.all([first.ready, second.ready]);
  const third = bus.subscribe("orders");
  const isRefused = (error: unknown): boolean =>
    error instanceof BackendError && error.operation === "subscribe" &&
    /max_subscriptions/.test(error.message);
  await assert.rejects(third.ready, isRefused);
  await assert.rejects(third[Symbol.asyncIterator]().next(), isRefused);
  await bus.publish("orders", event("after"));
  assert.equal((await first[Symbol.asyncIterator]().next()).value!.data, "after");
  await second.close();
  await using fourth = bus.subscribe("orders");
  await fourth.ready;
});

Deno.test("a subscription outlives a server's restart, and reports that it may have missed events", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  {
    await using bus = new NatsEventBus(connection, { onWarning: () => {} });
    const losses: Loss[] = [];
    const subscription = bus.subscribe("orders", { onLoss: (loss) => losses.push(loss) });
    await subscription.ready;
    await bus.publish("orders", event("before"));
    const iterator = subscription[Symbol.asyncIterator]();
    assert.equal((await iterator.next()).value!.data, "before");
    assert.equal(subscription.interruptions, 0);

    await server.kill();
    await until("the interruption", () => subscription.interruptions === 1);
    assert.equal(losses.length, 0, "it is told when events arrive again");
    await server.restart();
    await until("the notice", () => losses.length === 1);
    assert.deepEqual(losses, [{ reason: "interrupted", namespace: "orders" }]);
    await bus.publish("orders", event("after"));
    assert.equal((await iterator.next()).value!.data, "after");
    assert.equal(subscription.interruptions, 1);
  }
  await connection.close();
});

Deno.test("while the connection is down publications are refused, and subscriptions begin when it is back", async () => {
  await using server = await startNatsServer();
  const proxy = startProxy(server.url);
  const connection = await connectTo(proxy.url);
  {
    await using bus = new NatsEventBus(connection, { onWarning: () => {} });
    const early = bus.subscribe("orders");
    await early.ready;
    await proxy.cut();
    await until("the interruption", () => early.interruptions === 1);
    await assert.rejects(bus.publish("orders", event("refused")), {
      name: "BackendError",
      reason: "unreachable",
    });
    const late = bus.subscribe("orders");
    proxy.resume();
    await late.ready;
    await until("the connection", () => bus.publish("orders", event("again")).then(() => true, () => false));
    for (const subscription of [early, late]) {
      for await (const { data } of subscription) {
        assert.equal(data, "again");
        break;
      }
    }
    assert.deepEqual([early.interruptions, late.interruptions], [1, 0]);
  }
  await connection.close();
  await proxy.close();
});

Deno.test("a server that cuts off a slow client is an interruption like any other", async () => {
  await using server = await startNatsServer({
    configText: 'write_deadline: "200ms"\nmax_pending: 1048576\n',
  });
  const proxy = startProxy(server.url);
  const slow = await connectTo(proxy.url);
  const quick = await connectTo(server.url);
  {
    const warnings: Warning[] = [];
    await using listening = new NatsEventBus(slow, { onWarning: (warning) => warnings.push(warning) });
    await using publishing = new NatsEventBus(quick);
    const subscription = listening.subscribe("orders");
    await subscription.ready;
    proxy.stall();
    const text = "x".repeat(500_000);
    await until("the server's cut", async () => {
      await publishing.publish("orders", event(text));
      return /Slow Consumer/.test(await server.log());
    });
    proxy.resume();
    await until("the interruption", () => warnings.some(({ code }) => code === "bus-interrupted"));
    assert(subscription.interruptions >= 1);
    await publishing.publish("orders", event("last"));
    for await (const { data } of subscription) if (data === "last") break;
  }
  await slow.close();
  await quick.close();
  await proxy.close();
});

Deno.test("a connection that is closed under the bus ends loops with an error, and refuses the rest", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  const bus = new NatsEventBus(connection);
  const waiting = bus.subscribe("orders");
  await waiting.ready;
  const loop = (async (): Promise<void> => {
    for await (const _event of waiting);
  })();
  loop.catch(() => {});
  await connection.close();
  await assert.rejects(loop, { name: "ClosedError", reason: "connection" });
  await assert.rejects(bus.publish("orders", event(1)), { name: "ClosedError", reason: "connection" });
  assert.throws(() => bus.subscribe("orders"), { name: "ClosedError", reason: "connection" });
  await assert.rejects(new NatsEventBus(connection).ready, { name: "ClosedError", reason: "connection" });
  await bus.close();
});

Deno.test("close sends what was published, and delivers what the server has sent", async () => {
  await using server = await startNatsServer();
  const connections = await Promise.all([connectTo(server.url), connectTo(server.url)]);
  const [publishing, listening] = connections.map((connection) => new NatsEventBus(connection));
  const subscription = listening!.subscribe("orders", { buffer: 10_000 });
  await subscription.ready;
  for (let index = 0; index < 5_000; index++) publishing!.publish("orders", event(index));
  await publishing!.close();
  await listening!.close();
  let events = 0;
  for await (const { data } of subscription) assert.equal(data, events++);
  assert.equal(events, 5_000);
  await Promise.all(connections.map((connection) => connection.close()));
});

Deno.test("what is no event is left out, counted and reported", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  {
    const warnings: Warning[] = [];
    const losses: Loss[] = [];
    await using bus = new NatsEventBus(connection, { onWarning: (warning) => warnings.push(warning) });
    const subscription = bus.subscribe("orders", { onLoss: (loss) => losses.push(loss) });
    await subscription.ready;
    const sound = {
      id: "i",
      eventType: "T",
      actorId: "a",
      version: 1,
      data: 1,
      timestamp: "2026-01-01T00:00:00.000Z",
    };
    const junk: unknown[] = [
      "",
      "{",
      "null",
      "5",
      "[]",
      "{}",
      new Uint8Array([0xff, 0xfe]),
      JSON.stringify({ ...sound, version: 0 }),
      JSON.stringify({ ...sound, version: "1" }),
      JSON.stringify({ ...sound, id: 5 }),
      JSON.stringify({ ...sound, actorId: "" }),
      JSON.stringify({ ...sound, metadata: "x" }),
    ];
    for (const payload of junk) connection.publish("aether-bus.orders.T.a", payload as Uint8Array);
    connection.publish("aether-bus.orders.T.a", JSON.stringify(sound));
    for await (const { id } of subscription) {
      assert.equal(id, "i");
      break;
    }
    assert.equal(subscription.lost, junk.length);
    assert.equal(losses.filter(({ reason }) => reason === "undecodable").length, junk.length);
    assert.equal(warnings.filter(({ code }) => code === "bus-undecodable").length, junk.length);
  }
  await connection.close();
});

Deno.test("accounts keep deployments apart, for all that they publish and listen to", async () => {
  const accounts = {
    ONE: { users: [{ user: "one", password: "one" }] },
    TWO: { users: [{ user: "two", password: "two" }] },
  };
  await using server = await startNatsServer({ config: { accounts }, jetstream: {} });
  const connections = await Promise.all(
    ["one", "two"].map((user) => connectTo(server.url, { user, pass: user })),
  );
  {
    await using one = new NatsEventBus(connections[0]!);
    await using two = new NatsEventBus(connections[1]!);
    const same = [one.subscribe("orders"), two.subscribe("orders")] as const;
    const all = [one.subscribePattern("*"), two.subscribePattern("*")] as const;
    await Promise.all([...same, ...all].map(({ ready }) => ready));
    await one.publish("orders", event("of one"));
    await two.publish("orders", event("of two"));
    await Promise.all(connections.map((connection) => connection.flush()));
    for (const [index, owner] of ["of one", "of two"].entries()) {
      assert.equal((await same[index]![Symbol.asyncIterator]().next()).value!.data, owner);
      assert.equal((await all[index]![Symbol.asyncIterator]().next()).value!.event.data, owner);
    }
    // What each published has come back to it behind the other's: nothing of the other is on its way.
    await one.publish("orders", event("last"));
    await two.publish("orders", event("last"));
    await Promise.all(connections.map((connection) => connection.flush()));
    assert.deepEqual([...same, ...all].map(({ pending }) => pending), [1, 1, 1, 1]);
  }
  await Promise.all(connections.map((connection) => connection.close()));
});

Deno.test("a subscription that the server's permissions forbid is never ready, and its loop throws why", async () => {
  const users = [{
    user: "u",
    password: "u",
    permissions: { subscribe: { allow: ["aether-bus.mine.>", "_INBOX.>"] } },
  }];
  await using server = await startNatsServer({ config: { accounts: { A: { users } } } });
  const connection = await connectTo(server.url, { user: "u", pass: "u" });
  {
    await using bus = new NatsEventBus(connection);
    const mine = bus.subscribe("mine");
    await mine.ready;
    const foreign = bus.subscribe("foreign");
    await assert.rejects(foreign.ready, { name: "BackendError", reason: "denied" });
    await assert.rejects(foreign.forEach(() => {}), /permissions/);
    await bus.publish("mine", event(1));
    assert.equal((await mine[Symbol.asyncIterator]().next()).value!.data, 1);
  }
  await connection.close();
});

Deno.test("an event over the server's own limit is refused before it is sent", async () => {
  await using server = await startNatsServer({ maxPayload: 4_096 });
  const connection = await connectTo(server.url);
  {
    await using bus = new NatsEventBus(connection);
    const subscription = bus.subscribe("orders");
    await subscription.ready;
    await assert.rejects(bus.publish("orders", event("x".repeat(4_000))), EventTooLargeError);
    await bus.publish("orders", event("x".repeat(3_000)));
    const { value } = await subscription[Symbol.asyncIterator]().next();
    assert.equal((value!.data as string).length, 3_000);
    assert.equal(connection.isClosed(), false);
  }
  await connection.close();
});

Deno.test("a WebSocket connection carries the bus as any other", async () => {
  await using server = await startNatsServer({ websocket: true });
  const connection = await wsconnect({ servers: server.websocketUrl });
  {
    await using bus = new NatsEventBus(connection);
    const subscription = bus.subscribe("orders");
    await subscription.ready;
    await bus.publish("orders", event("over a socket"));
    assert.equal((await subscription[Symbol.asyncIterator]().next()).value!.data, "over a socket");
  }
  await connection.close();
});

Deno.test("options out of range are refused", async () => {
  await using server = await startNatsServer();
  const connection = await connectTo(server.url);
  for (const options of [{ prefix: "" }, { prefix: "a.*" }, { prefix: "a b" }]) {
    assert.throws(() => new NatsEventBus(connection, options), InvalidArgumentError);
  }
  await connection.close();
});
