/**
 * Saves with a bus, and with telemetry, beside saves without.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  DenoKvEventStore,
  type EventStore,
  InMemoryEventStore,
  InMemoryStorage,
  INTERNAL_NAMESPACE,
  LocalEventBus,
} from "../../mod.ts";
import { BackedEventStore } from "../../src/store/backed_event_store.ts";
import type { KvBackend } from "../../src/store/deno_kv/backend.ts";
import { openKvBackend } from "../../src/store/deno_kv/open.ts";
import { logOf, MemoryBackend } from "../../src/store/memory/backend.ts";
import { type FullStoreSetup, setUpStore } from "../../src/store/store_options.ts";
import { input } from "./order_input.ts";
import { rate, type Row } from "./harness.ts";

async function saveAll(store: EventStore, count: number): Promise<number> {
  const result = await rate(count, async () => {
    for (let index = 0; index < count; index++) await store.saveEvent(input(index));
  });
  assert.equal((await store.getEvents("order-0")).length, Math.ceil(count / 1_000));
  return result;
}

/** Saves in memory, with a bus, and with a subscriber to it or without. */
async function saveInMemory(count: number, bus: "none" | "attached" | "heard"): Promise<number> {
  await using local = new LocalEventBus();
  let heard = 0;
  if (bus === "heard") {
    local.subscribe(INTERNAL_NAMESPACE).forEach(() => {
      heard++;
    });
  }
  await using store = new InMemoryEventStore(bus === "none" ? {} : { bus: local });
  const result = await saveAll(store, count);
  if (bus === "heard") assert.equal(heard, count);
  return result;
}

async function withKvFile<T>(work: (path: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    return await work(`${folder}/bench.kv`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function saveInKv(count: number, heard: boolean): Promise<number> {
  return await withKvFile(async (path) => {
    await using local = new LocalEventBus();
    if (heard) local.subscribe(INTERNAL_NAMESPACE).forEach(() => {});
    await using store = await DenoKvEventStore.open(path, heard ? { bus: local } : {});
    return await saveAll(store, count);
  });
}

/** A setup that looks for a provider at each save, or never. */
function setUp(telemetry: "none registered" | "null"): FullStoreSetup {
  const setup = setUpStore({}) as FullStoreSetup;
  return telemetry === "null" ? { ...setup, telemetry: () => undefined } : setup;
}

async function saveObservedInMemory(count: number, telemetry: "none registered" | "null"): Promise<number> {
  const setup = setUp(telemetry);
  await using store = new BackedEventStore(
    new MemoryBackend(logOf(new InMemoryStorage(), "default")),
    setup,
  );
  return await saveAll(store, count);
}

async function saveObservedInKv(count: number, telemetry: "none registered" | "null"): Promise<number> {
  return await withKvFile(async (path) => {
    const setup = setUp(telemetry);
    const settings = { prefix: "aether", pollInterval: 100, saveTimeout: 30_000, cachedActors: 100_000 };
    const backend: KvBackend = await openKvBackend(path, setup, settings);
    await using store = new BackedEventStore(backend, setup);
    return await saveAll(store, count);
  });
}

/** The rows of saves with a bus, and of telemetry. */
export function saveRows(quick: boolean): Row[] {
  const saves = quick ? 50_000 : 200_000;
  const kvSaves = quick ? 1_000 : 5_000;
  return [
    {
      name: "save-in-memory-with-bus",
      unit: "saves/s",
      goal: { op: ">=", value: 0.9 },
      baseline: "the same store without a bus",
      measureOurs: () => saveInMemory(saves, "attached"),
      measureBaseline: () => saveInMemory(saves, "none"),
    },
    {
      name: "save-in-memory-with-subscriber",
      unit: "saves/s",
      goal: { op: ">=", value: 0.9 },
      baseline:
        "the same store without a bus; the save takes 1.3 us, and 0.6 more make EventStored, deeply frozen, and " +
        "wake the subscriber, once a save since each is awaited",
      measureOurs: () => saveInMemory(saves, "heard"),
      measureBaseline: () => saveInMemory(saves, "none"),
    },
    {
      name: "save-in-kv-with-subscriber",
      unit: "saves/s",
      goal: { op: ">=", value: 0.9 },
      baseline: "the same store without a bus",
      measureOurs: () => saveInKv(kvSaves, true),
      measureBaseline: () => saveInKv(kvSaves, false),
    },
    {
      name: "save-in-memory-without-provider",
      unit: "saves/s",
      goal: { op: ">=", value: 0.9 },
      baseline: "the same store given a null tracer",
      measureOurs: () => saveObservedInMemory(saves, "none registered"),
      measureBaseline: () => saveObservedInMemory(saves, "null"),
      rounds: 7,
    },
    {
      name: "save-in-kv-without-provider",
      unit: "saves/s",
      goal: { op: ">=", value: 0.97 },
      baseline: "the same store given a null tracer",
      measureOurs: () => saveObservedInKv(kvSaves, "none registered"),
      measureBaseline: () => saveObservedInKv(kvSaves, "null"),
      rounds: 7,
    },
  ];
}
