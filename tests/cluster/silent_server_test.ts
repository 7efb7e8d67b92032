/** A server that takes what it is sent and answers nothing: every wait ends with its signal, and leaves nothing behind. */
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import { BucketLeaseStore, ClosedError, Coordinator, JetStreamLeases } from "../../src/cluster/mod.ts";
import { JetStreamBucket } from "../../src/cluster/jetstream/bucket.ts";
import { type NatsServer, startNatsServer } from "../support/nats_server.ts";
import type { NatsFrame } from "../support/nats_frames.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";
import { soon } from "../support/running_time.ts";
import { until } from "../support/until.ts";

/** Far below the 2 s after which a request is given up. */
const AT_ONCE_MS = 1_500;
/** So long that no test waits until a record has expired. */
const LONG = { ttl: 300_000, maxClockSkew: 200 };
const NODE = { ...LONG, renewEvery: 500, shardCount: 4, onWarning: () => {} };

/** Aborts a call, and asserts that it rejects with the reason at once. */
async function abortIt(
  call: (signal: AbortSignal) => Promise<unknown>,
  ready: Promise<unknown>,
): Promise<void> {
  const abort = new AbortController();
  const reason = new Error("enough");
  const calling = call(abort.signal).then(() => "resolved", (error) => error);
  await ready;
  abort.abort(reason);
  assert.equal(await soon(calling, AT_ONCE_MS), reason);
}

/** Drops the acknowledgements of the writes to keys; resolves once one was dropped: the write is stored. */
function dropAcknowledgements(proxy: Proxy, bucket: string): Promise<void> {
  const dropped = Promise.withResolvers<void>();
  const pattern = new RegExp(`"stream":"KV_${bucket}", ?"seq":[1-9]`);
  proxy.filter({
    toClient: ({ payload }) => {
      if (!pattern.test(new TextDecoder().decode(payload))) return false;
      dropped.resolve();
      return true;
    },
  });
  return dropped.promise;
}

/** Stops forwarding as soon as a message is published to a subject that contains a text. */
function stallAt(proxy: Proxy, text: string): Promise<void> {
  const stalled = Promise.withResolvers<void>();
  proxy.filter({
    toServer: ({ subject = "" }: NatsFrame) => {
      if (!subject.includes(text)) return false;
      proxy.stall();
      stalled.resolve();
      return false;
    },
  });
  return stalled.promise;
}

const aMoment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

/** Leases that a bucket grants although it was just made. */
async function openLeases(
  server: Pick<NatsServer, "url">,
): Promise<{ leases: BucketLeaseStore } & AsyncDisposable> {
  const connection = await connect({ servers: server.url });
  const bucket = await JetStreamBucket.open(connection, { bucket: "jobs", replicas: 1, storage: "file" });
  const leases = new BucketLeaseStore(bucket, {}, { outlivesBucket: false });
  return {
    leases,
    async [Symbol.asyncDispose](): Promise<void> {
      await leases.close();
      bucket.close();
      await connection.close();
    },
  };
}

Deno.test("acquire() and tryAcquire() reject at once when their signal aborts, and later the key is free", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using near = await openLeases(server);
  await using far = await openLeases(proxy);
  for (const call of ["acquire", "tryAcquire"] as const) {
    proxy.stall();
    await abortIt((signal) => far.leases[call]("key", { ...LONG, signal }), aMoment());
    proxy.resume();
    // What was stored without an answer is removed, or it would be in place for five minutes.
    const stored = dropAcknowledgements(proxy, "jobs");
    await abortIt((signal) => far.leases[call]("key", { ...LONG, signal }), stored);
    proxy.resume();
    const next = await near.leases.acquire("key", { ...LONG, signal: AbortSignal.timeout(60_000) });
    assert(next.isHeld);
    await next.release();
  }
});

Deno.test("tryAcquire() that got no answer leaves no lease of no holder behind", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  await using near = await openLeases(server);
  await using far = await openLeases(proxy);
  const stored = dropAcknowledgements(proxy, "jobs");
  // The value that is found in place of an acknowledgement is not found either.
  void stored.then(() => proxy.stall());
  await assert.rejects(far.leases.tryAcquire("key", LONG), { name: "BackendError", reason: "unreachable" });
  proxy.resume();
  assert((await near.leases.acquire("key", { ...LONG, signal: AbortSignal.timeout(60_000) })).isHeld);
});

Deno.test("acquire() and tryAcquire() end at once when the leases are closed", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  const leases = await JetStreamLeases.open(proxy.url);
  proxy.stall();
  const calls = [leases.acquire("key"), leases.tryAcquire("key")]
    .map((call) => call.then(() => "resolved", (error) => error));
  await aMoment();
  const closing = leases.close();
  for (const call of calls) assert((await soon(call, AT_ONCE_MS)) instanceof ClosedError);
  await closing;
});

Deno.test("Coordinator.join() rejects at once when its signal aborts during each of its steps", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  proxy.stall();
  await abortIt((signal) => Coordinator.join(proxy.url, { ...NODE, name: "a", signal }), aMoment());
  proxy.resume();
  const connection = await connect({ servers: proxy.url });
  proxy.stall();
  await abortIt((signal) => Coordinator.join(connection, { ...NODE, name: "a", signal }), aMoment());
  // The bucket is opened, the name is taken, the number of shards agreed on, the node's record written.
  for (
    const text of [
      "STREAM.INFO",
      "STREAM.CREATE",
      "MSG.GET",
      "CONSUMER.CREATE",
      ".alive.",
      ".config",
      ".node.",
    ]
  ) {
    proxy.resume();
    const stalled = stallAt(proxy, text);
    await abortIt((signal) => Coordinator.join(connection, { ...NODE, name: "a", signal }), stalled);
  }
  proxy.resume();
  // No lease on the name is left, which would be in place for five minutes.
  await using node = await Coordinator.join(server.url, {
    ...NODE,
    name: "a",
    signal: AbortSignal.timeout(60_000),
  });
  await until("the record of no other incarnation is left", () => node.nodes().length === 1);
  assert.equal(connection.isClosed(), false);
  await connection.close();
});

Deno.test("Coordinator.leave() ends soon after its signal aborts, and holds nothing", async () => {
  await using server = await startNatsServer();
  await using proxy = startProxy(server.url);
  const node = await Coordinator.join(proxy.url, { ...NODE, name: "a" });
  await node.ready;
  const shards = [...node.shards];
  proxy.stall();
  const leaving = node.leave({ signal: AbortSignal.timeout(100) }).then(() => "left");
  // Without the signal it would be more than the 6 s after which the connection is given up.
  assert.equal(await soon(leaving, 5_000), "left");
  assert.equal(node.status, "left");
  assert(shards.length === 4 && shards.every((shard) => !shard.isHeld));
});

Deno.test("Coordinator.leave() takes the signal of a later call", async () => {
  await using server = await startNatsServer();
  const node = await Coordinator.join(server.url, { ...NODE, name: "a" });
  await node.ready;
  for (const shard of node.shards) shard.waitUntil(new Promise(() => {}));
  const first = node.leave();
  await node.leave({ signal: AbortSignal.abort() });
  await first;
  assert.equal(node.status, "left");
  // The server was told: another node has the name at once.
  await using _next = await Coordinator.join(server.url, {
    ...NODE,
    name: "a",
    signal: AbortSignal.timeout(60_000),
  });
});
