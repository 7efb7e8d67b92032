/**
 * The store in Deno KV beside bare atomic operations and bare reads of the same keys.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DenoKvEventStore } from "../../mod.ts";
import { type Group, type GroupOptions, medianTime, rate, type Row } from "./harness.ts";
import { eventData, rawAppend, rawConcurrentRate, rawEvent, storeConcurrentRate } from "./kv_append.ts";
import { rawBytes, storeBytes, WAYS } from "./kv_bytes.ts";
import { loadTime } from "./load.ts";
import { slowFlushRate } from "./slow_flush.ts";

const decoder = new TextDecoder();

/** Runs something with the path of a new database file. */
async function withFile<T>(work: (path: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    return await work(`${folder}/bench.kv`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Events that are there to be read, and the same ones as bare keys. */
interface Filled {
  readonly store: DenoKvEventStore;
  readonly kv: Deno.Kv;
  readonly folder: string;
}

const LONG = 1_000;

async function fill(count: number): Promise<Filled> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/read.kv`;
  const store = await DenoKvEventStore.open(path);
  const kv = await Deno.openKv(path);
  const actors = count / LONG;
  for (let version = 0; version < LONG; version++) {
    await Promise.all(Array.from({ length: actors }, (_, actor) => {
      const event = { eventType: "OrderPlaced", data: eventData(version) };
      return store.append(`order-${actor}`, [event], { expectedVersion: version });
    }));
  }
  // The bare keys are written in the same order: how full the pages of the file are depends on it.
  for (let version = 1; version <= LONG; version++) {
    let operation = kv.atomic();
    for (let actor = 0; actor < actors; actor++) {
      operation = operation.set(["raw", "event", `order-${actor}`, version], rawEvent(actor, version));
    }
    await operation.commit();
  }
  return { store, kv, folder };
}

async function readRaw(kv: Deno.Kv, prefix: Deno.KvKey, count: number): Promise<void> {
  let events = 0;
  for await (const { value } of kv.list<Uint8Array>({ prefix }, { batchSize: 1_000 })) {
    if (JSON.parse(decoder.decode(value)).version > 0) events++;
  }
  assert.equal(events, count);
}

/** The rows of the store in Deno KV. */
export async function open({ quick }: GroupOptions): Promise<Group> {
  const total = quick ? 20_000 : 100_000;
  const { store, kv, folder } = await fill(total);
  const perActor = quick ? 60 : 300;
  const lone = quick ? 1_000 : 3_000;
  const rows: Row[] = [
    {
      name: "append-64-at-once",
      unit: "events/s",
      goal: { op: ">=", value: 4 },
      baseline: "one atomic operation (check, event, log) an event",
      measureOurs: () => withFile((path) => storeConcurrentRate(path, perActor)),
      measureBaseline: () => withFile((path) => rawConcurrentRate(path, perActor)),
    },
    {
      name: "append-64-at-once-1ms-flush",
      unit: "events/s",
      goal: { op: ">=", value: 14 },
      baseline: "one atomic operation an event, every flush 1 ms slower",
      measureOurs: () => slowFlushRate("store", quick ? 20 : 60),
      measureBaseline: () => slowFlushRate("raw", quick ? 5 : 15),
      rounds: 3,
      warmUp: false,
    },
    {
      name: "append-alone-p50",
      unit: "ms",
      goal: { op: "<=", value: 1.15 },
      baseline: "a bare atomic operation with the same keys",
      measureOurs: () =>
        withFile(async (path) => {
          await using alone = await DenoKvEventStore.open(path);
          return await medianTime(lone, (version) =>
            alone.append("order-0", [{ eventType: "OrderPlaced", data: eventData(version) }], {
              expectedVersion: version,
            }));
        }),
      measureBaseline: () =>
        withFile(async (path) => {
          using bare = await Deno.openKv(path);
          return await medianTime(lone, (version) => rawAppend(bare, 0, version + 1));
        }),
    },
    {
      name: "replay-1000-events",
      unit: "events/s",
      goal: { op: ">=", value: 0.9 },
      baseline:
        "kv.list in batches of 1,000 and JSON.parse, 4.0 microseconds an event; of our 7.9 are 3.3 the list, 1.4 text, " +
        "checksum and JSON, 2.1 the event with its position, frozen, and 1.1 waiting",
      measureOurs: () =>
        rate(LONG * 20, async () => {
          for (let actor = 0; actor < 20; actor++) {
            assert.equal((await store.getEvents(`order-${actor}`)).length, LONG);
          }
        }),
      measureBaseline: () =>
        rate(LONG * 20, async () => {
          for (let actor = 0; actor < 20; actor++) {
            await readRaw(kv, ["raw", "event", `order-${actor}`], LONG);
          }
        }),
      rounds: 7,
    },
    {
      name: "read-whole-log",
      unit: "events/s",
      goal: { op: ">=", value: 0.9 },
      baseline: "kv.list in batches of 1,000 and JSON.parse",
      measureOurs: () =>
        rate(total, async () => {
          let events = 0;
          for await (const { version } of store.readAll()) if (version > 0) events++;
          assert.equal(events, total);
        }),
      measureBaseline: () => rate(total, () => readRaw(kv, ["raw", "event"], total)),
    },
    ...Object.entries(WAYS).map(([name, way]): Row => ({
      name: `bytes-an-event-${name}`,
      unit: "bytes",
      goal: { op: "<=", value: 2 },
      baseline: "one key an event, its JSON, written in batches; both measured by dbstat" +
        (way.note === undefined ? "" : `; ${way.note}`),
      measureOurs: () => withFile((path) => storeBytes(path, way, quick ? 4_000 : 20_000)),
      measureBaseline: () => withFile((path) => rawBytes(path, way, quick ? 4_000 : 20_000)),
      rounds: 1,
      warmUp: false,
    })),
    {
      name: "load-deno-kv",
      unit: "ms",
      goal: { op: "<=", value: 1 },
      baseline: "the promise of 25 ms over an empty program",
      measureOurs: () => loadTime([import.meta.resolve("../../src/store/deno_kv/mod.ts")], quick ? 7 : 15),
      measureBaseline: () => Promise.resolve(25),
      rounds: 3,
      warmUp: false,
    },
  ];
  return {
    rows,
    async [Symbol.asyncDispose](): Promise<void> {
      await store.close();
      kv.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}
