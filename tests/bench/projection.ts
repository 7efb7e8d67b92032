/**
 * Projections beside the raw loop on the same store.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type CheckpointStore,
  DenoKvCheckpoints,
  DenoKvEventStore,
  type Event,
  type EventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  InMemoryLeases,
  JetStreamCheckpoints,
  JetStreamEventStore,
  type Projection,
  projectOnce,
  runProjection,
} from "../../mod.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { type Group, type GroupOptions, median, rate, type Row } from "./harness.ts";
import { handoverRows } from "./projection_handover.ts";
import { lanesRows } from "./projection_lanes.ts";
import { pagesRows } from "./projection_pages.ts";
import { lagBetweenProcesses, rateOfProcesses, takeOverAfterCrash } from "./projection_processes.ts";

/** Events a commit while filling. */
const COMMIT = 100;
const LEASE_TTL = 2000;

async function fill(store: EventStore, count: number): Promise<void> {
  for (let begin = 0; begin < count; begin += COMMIT) {
    const events = Array.from({ length: COMMIT }, (_, index) => ({
      eventType: "OrderPlaced",
      data: { total: 99.99, items: 3, customer: `customer-${begin + index}` },
    }));
    await store.append(`order-${begin / COMMIT % 50}`, events, { expectedVersion: "any" });
  }
}

let names = 0;

async function readAll(store: EventStore, count: number): Promise<number> {
  let handled = 0;
  const result = await rate(count, async () => {
    for await (const _ of store.readAll()) handled++;
  });
  assert.equal(handled, count);
  return result;
}

async function catchUpOnce<Tx>(
  store: EventStore,
  checkpoints: CheckpointStore<Tx>,
  count: number,
  handle: Projection<Event, Tx>["handle"],
): Promise<number> {
  const projection: Projection<Event, Tx> = { name: `bench ${names++}`, checkpoints, handle };
  let handled = 0;
  const result = await rate(count, async () => {
    ({ handled } = await projectOnce(store, projection, { budgetMs: 600_000 }));
  });
  assert.equal(handled, count);
  return result;
}

async function catchUp(store: EventStore, count: number): Promise<number> {
  await using checkpoints = new InMemoryCheckpoints();
  let called = 0;
  const result = await catchUpOnce(store, checkpoints, count, () => void called++);
  assert.equal(called, count);
  return result;
}

/** The same as a run under a lease: until it is live. */
async function catchUpRunning(store: EventStore, count: number): Promise<number> {
  await using checkpoints = new InMemoryCheckpoints();
  const last = (await store.getLastPosition())!;
  let called = 0;
  const begun = performance.now();
  await using run = runProjection(store, { name: "run", checkpoints, handle: () => void called++ });
  await run.waitFor(last, { timeout: 600_000 });
  const result = count / (performance.now() - begun) * 1000;
  assert.equal(called, count);
  return result;
}

async function tenAtOnce(store: EventStore, count: number): Promise<number> {
  await using checkpoints = new InMemoryCheckpoints();
  return await rate(10 * count, () =>
    Promise.all(Array.from({ length: 10 }, async (_, index) => {
      const { handled } = await projectOnce(
        store,
        { name: `ten ${index}`, checkpoints, handle: () => {} },
        { budgetMs: 600_000 },
      );
      assert.equal(handled, count);
    })));
}

/** The median time from a save to the event's delivery, one at a time. */
async function liveLag(saves: number, through: "projection" | "subscription"): Promise<number> {
  await using store = new InMemoryEventStore();
  await using checkpoints = new InMemoryCheckpoints();
  let arrive = (): void => {};
  const times: number[] = [];
  const run = through === "projection"
    ? runProjection(store, { name: "live", checkpoints, handle: () => arrive() })
    : undefined;
  const subscription = run ? undefined : store.subscribe();
  const loop = (async () => {
    if (subscription) { for await (const _ of subscription) arrive(); }
  })();
  for (let save = 0; save <= saves; save++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    arrive = resolve;
    const begun = performance.now();
    await store.append("order", [{ eventType: "OrderPlaced", data: {} }], { expectedVersion: save });
    await promise;
    if (save > 0) times.push(performance.now() - begun);
    await new Promise((done) => setTimeout(done, 0));
  }
  await run?.close();
  await subscription?.close();
  await loop;
  return median(times);
}

/** From a clean stop of a worker to its successor's being live. */
async function takeOver(): Promise<number> {
  await using store = new InMemoryEventStore();
  await using checkpoints = new InMemoryCheckpoints();
  await using leases = new InMemoryLeases();
  await store.append("order", [{ eventType: "OrderPlaced", data: {} }], { expectedVersion: 0 });
  const first = runProjection(store, { name: "taken over", checkpoints, handle: () => {} }, {
    leases,
    leaseTtl: LEASE_TTL,
  });
  const [event] = await store.append("order", [{ eventType: "OrderPlaced", data: {} }], {
    expectedVersion: 1,
  });
  await first.waitFor(event!.position);
  await using second = runProjection(store, { name: "taken over", checkpoints, handle: () => {} }, {
    leases,
    leaseTtl: LEASE_TTL,
  });
  const begun = performance.now();
  await first.close();
  while (second.state !== "live") await new Promise((resolve) => setTimeout(resolve, 1));
  return performance.now() - begun;
}

/** A row whose baseline is the lease: the ratio is the part of it that another worker waited for. */
function takeOverRow(name: string, stage: string): Row {
  return {
    name: `crash-take-over-${name}`,
    unit: "ms",
    goal: { op: "<=", value: 1 },
    baseline: "the promise: within the lease; from kill -9 of a process to another one's working",
    measureOurs: () => takeOverAfterCrash(stage, LEASE_TTL),
    measureBaseline: () => Promise.resolve(LEASE_TTL),
    warmUp: false,
    rounds: 3,
  };
}

/** The rows of projections. */
export async function open({ quick }: GroupOptions): Promise<Group> {
  const inMemory = quick ? 400_000 : 1_000_000;
  const onFile = quick ? 20_000 : 100_000;
  const memory = new InMemoryEventStore();
  await fill(memory, inMemory);
  const folder = await Deno.makeTempDir();
  const kv = await Deno.openKv(`${folder}/bench.kv`);
  const file = await DenoKvEventStore.open(`${folder}/bench.kv`);
  const checkpoints = await DenoKvCheckpoints.open(kv);
  await fill(file, onFile);
  const server = await startNatsServer();
  const onServer = await JetStreamEventStore.open(server.url);
  const inBucket = await JetStreamCheckpoints.open(server.url);
  await fill(onServer, onFile);
  const place = { quick, memory, inMemory, file, kv, checkpoints, onFile };
  const opened = new AsyncDisposableStack();
  const stores = {
    memory: () => Promise.resolve(opened.use(new InMemoryEventStore())),
    "deno-kv": async (namespace: string) =>
      opened.use(await DenoKvEventStore.open(`${folder}/pages.kv`, { namespace })),
    jetstream: async (namespace: string) =>
      opened.use(await JetStreamEventStore.open(server.url, { namespace })),
  };
  const lags = quick ? 100 : 500;
  return {
    rows: [
      ...lanesRows(place),
      ...pagesRows({ quick, stores }),
      ...handoverRows({ file: `${folder}/handover.kv`, url: server.url }),
      {
        name: "catch-up-memory",
        unit: "events/s",
        goal: { op: ">=", value: 0.8 },
        baseline: "readAll of the same store",
        measureOurs: () => catchUp(memory, inMemory),
        measureBaseline: () => readAll(memory, inMemory),
      },
      {
        name: "catch-up-memory-leased",
        unit: "events/s",
        goal: { op: ">=", value: 0.8 },
        baseline: "readAll of the same store; ours under a lease, by runProjection",
        measureOurs: () => catchUpRunning(memory, inMemory),
        measureBaseline: () => readAll(memory, inMemory),
      },
      {
        name: "catch-up-deno-kv",
        unit: "events/s",
        goal: { op: ">=", value: 0.8 },
        baseline: "readAll of the same store; checkpoints in the same file",
        measureOurs: () => catchUpOnce(file, checkpoints, onFile, () => {}),
        measureBaseline: () => readAll(file, onFile),
      },
      {
        name: "catch-up-jetstream",
        unit: "events/s",
        goal: { op: ">=", value: 0.8 },
        baseline: "readAll of the same store; checkpoints in a bucket of the same server",
        measureOurs: () => catchUpOnce(onServer, inBucket, onFile, () => {}),
        measureBaseline: () => readAll(onServer, onFile),
      },
      {
        name: "live-lag-memory",
        unit: "ms",
        goal: { op: "<=", value: 2 },
        baseline: "a bare subscribe",
        measureOurs: () => liveLag(quick ? 200 : 1_000, "projection"),
        measureBaseline: () => liveLag(quick ? 200 : 1_000, "subscription"),
      },
      {
        name: "live-lag-jetstream-processes",
        unit: "ms",
        goal: { op: "<=", value: 2 },
        baseline: "a bare subscribe in another process than the save, as ours",
        measureOurs: () => lagBetweenProcesses(server.url, lags, "projection"),
        measureBaseline: () => lagBetweenProcesses(server.url, lags, "subscription"),
        warmUp: false,
        rounds: 3,
      },
      {
        name: "segments-two-processes-wait-1ms",
        unit: "events/s",
        goal: { op: ">=", value: 1.7 },
        baseline: "one process without segments; ours has one segment a process",
        measureOurs: () => rateOfProcesses(quick ? 1_000 : 8_000, 2, 2),
        measureBaseline: () => rateOfProcesses(quick ? 1_000 : 8_000, 1, undefined),
        warmUp: false,
        rounds: 2,
      },
      {
        name: "exactly-once-deno-kv",
        unit: "events/s",
        baseline: "one set an event outside of the checkpoint's transaction, at least once",
        measureOurs: () =>
          catchUpOnce(file, checkpoints, onFile, ({ actorId, version }, { transaction }) => {
            transaction.set(["model", actorId], version);
          }),
        measureBaseline: () =>
          catchUpOnce(file, checkpoints, onFile, async ({ actorId, version }) => {
            await kv.set(["model", actorId], version);
          }),
        rounds: 3,
      },
      {
        name: "ten-at-once-memory",
        unit: "events/s",
        baseline: "one projection",
        measureOurs: () => tenAtOnce(memory, inMemory),
        measureBaseline: () => catchUp(memory, inMemory),
        rounds: 3,
      },
      {
        name: "clean-take-over",
        unit: "ms",
        goal: { op: "<=", value: 1 },
        baseline: "the promise: at once, so a tenth of the shortest lease",
        measureOurs: takeOver,
        measureBaseline: () => Promise.resolve(LEASE_TTL / 10),
        rounds: 3,
      },
      takeOverRow("deno-kv", "Deno KV"),
      takeOverRow("jetstream", "JetStream"),
    ],
    async [Symbol.asyncDispose](): Promise<void> {
      await opened.disposeAsync();
      await inBucket.close();
      await onServer.close();
      await server.stop();
      await checkpoints.close();
      await file.close();
      await memory.close();
      kv.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
