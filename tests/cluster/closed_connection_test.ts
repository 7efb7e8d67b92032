/** A connection or a database that its owner closes: what waits ends at once, and what was held names the reason. */
import assert from "node:assert/strict";
import { connect } from "@nats-io/transport-node";
import {
  BucketLeaseStore,
  Coordinator,
  DenoKvLeases,
  JetStreamLeases,
  type LeaseStore,
} from "../../src/cluster/mod.ts";
import { ClosedError } from "../../src/errors.ts";
import { JetStreamBucket } from "../../src/cluster/jetstream/bucket.ts";
import { LeaseLostError } from "../../src/cluster/errors.ts";
import { type NatsServer, startNatsServer } from "../support/nats_server.ts";
import { until } from "../support/until.ts";

/** Far below the wait for a bucket that was just made, and for the lease of another holder. */
const AT_ONCE_MS = 20_000;
const LONG = { ttl: 600_000, maxClockSkew: 200 };

/** What is closed under the leases. */
interface Opened extends Disposable {
  readonly leases: LeaseStore;
  close(): Promise<void>;
}

async function onJetStream(server: NatsServer, outlivesBucket: boolean): Promise<Opened> {
  const connection = await connect({ servers: server.url });
  const bucket = await JetStreamBucket.open(connection, { bucket: "jobs", replicas: 1, storage: "file" });
  return {
    leases: new BucketLeaseStore(bucket, {}, { outlivesBucket }),
    close: () => connection.close(),
    [Symbol.dispose]: () => bucket.close(),
  };
}

async function onDenoKv(): Promise<Opened> {
  const kv = await Deno.openKv(":memory:");
  const leases = await DenoKvLeases.open(kv);
  return { leases, close: () => Promise.resolve(kv.close()), [Symbol.dispose]: () => {} };
}

/** Asserts that a wait which is under way rejects soon after the connection was closed. */
async function assertEnds(opened: Opened): Promise<void> {
  using _opened = opened;
  const { leases, close } = opened;
  const waiting = leases.acquire("key", LONG).then(() => "acquired", (error) => error);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await close();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => timer = setTimeout(resolve, AT_ONCE_MS, "late"));
  const outcome = await Promise.race([waiting, late]);
  clearTimeout(timer);
  assert(outcome instanceof ClosedError, String(outcome));
  await leases.close();
}

Deno.test("leases that are closed while their server is gone leave nothing that waits", async () => {
  await using server = await startNatsServer();
  const leases = await JetStreamLeases.open(server.url);
  await (await leases.acquire("key", { ttl: 3_000 })).release();
  await server.kill();
  for (let wait = 0; wait < 4; wait++) {
    const ending = new AbortController();
    const waiting = leases.acquire("key", { ttl: 3_000, signal: ending.signal });
    // It has begun to repeat its read by then.
    setTimeout(() => ending.abort(new Error("enough")), 100 * wait);
    await assert.rejects(waiting, /enough/);
  }
  await leases.close(); // the sanitizers find what goes on
});

Deno.test("acquire() that waits for another holder, or for a bucket to be old enough, rejects when its connection is closed", async () => {
  await using server = await startNatsServer();
  await assertEnds(await onJetStream(server, true));
  await assertEnds(await onDenoKv());
  using other = await onJetStream(server, false);
  await other.leases.acquire("key", LONG);
  await assertEnds(await onJetStream(server, false));
  await other.leases.close();
  await other.close();
});

Deno.test("a lease ends with the reason that its connection is closed", async () => {
  await using server = await startNatsServer();
  using opened = await onJetStream(server, false);
  const { leases, close } = opened;
  const lease = await leases.acquire("key", { ...LONG, renewEvery: 50 });
  await close();
  await until("the lease is over", () => lease.signal.aborted);
  const { reason } = lease.signal;
  assert(reason instanceof LeaseLostError && reason.reason === "closed", String(reason));
  assert(reason.cause instanceof ClosedError);
  assert.match(reason.message, /connection or database was closed/);
  assert.equal(lease.status, "closed");
  await leases.close();
});

const NODE = { ttl: 2_000, maxClockSkew: 200, shardCount: 4, onWarning: () => {} };

/** Closes a new connection after a time while a call is under way, and asserts that this is the only way in which it fails. */
async function closeDuring(
  server: NatsServer,
  delay: number,
  call: (connection: Awaited<ReturnType<typeof connect>>) => Promise<unknown>,
): Promise<void> {
  const connection = await connect({ servers: server.url });
  const outcome = call(connection).then(() => undefined, (error) => error);
  await new Promise((resolve) => setTimeout(resolve, delay));
  await connection.close();
  const error = await outcome;
  assert(error === undefined || error instanceof ClosedError, `after ${delay} ms: ${error}`);
}

Deno.test("each call of a node and of leases ends with ClosedError if its connection is closed meanwhile", async () => {
  await using server = await startNatsServer();
  for (const delay of [0, 1, 2, 4, 8, 16]) {
    await closeDuring(server, delay, async (connection) => {
      const node = await Coordinator.join(connection, { ...NODE, name: `joining-${delay}` });
      await node.resign();
      node.drain();
      await node.leave();
    });
    for (const call of ["acquire", "tryAcquire"] as const) {
      await closeDuring(server, delay, async (connection) => {
        await using leases = await JetStreamLeases.open(connection);
        await (await leases[call](`${call}-${delay}`, LONG))?.release();
      });
    }
  }
});
