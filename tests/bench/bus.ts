/**
 * The buses beside `EventTarget` and bare NATS, and saves with a bus and with telemetry beside saves without.
 *
 * @module
 */

import { connect, type NatsConnection } from "@nats-io/transport-node";
import assert from "node:assert/strict";
import {
  DenoKvEventStore,
  type Event,
  type EventStore,
  InMemoryEventStore,
  InMemoryStorage,
  INTERNAL_NAMESPACE,
  LocalEventBus,
  NatsEventBus,
} from "../../mod.ts";
import { BackedEventStore } from "../../src/store/backed_event_store.ts";
import type { KvBackend } from "../../src/store/deno_kv/backend.ts";
import { openKvBackend } from "../../src/store/deno_kv/open.ts";
import { logOf, MemoryBackend } from "../../src/store/memory/backend.ts";
import { type FullStoreSetup, setUpStore } from "../../src/store/store_options.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { type Group, type GroupOptions, rate, type Row } from "./harness.ts";

/** An event as a user would publish it. */
function input(index: number): {
  id: string;
  eventType: string;
  actorId: string;
  version: number;
  data: { total: number; items: number; customer: string };
  timestamp: string;
} {
  return {
    id: `event-${index}`,
    eventType: "OrderPlaced",
    actorId: `order-${index % 1_000}`,
    version: 1 + index,
    data: { total: 99.99, items: 3, customer: "customer-123" },
    timestamp: "2026-01-31T12:00:00.000Z",
  };
}

/** Publications that are made before the subscribers get their turn. */
const TURN = 500;

/** Publishes to subscribers in this process, each of which counts. */
async function publishLocally(count: number, subscribers: number): Promise<number> {
  await using bus = new LocalEventBus();
  let handled = 0;
  for (let index = 0; index < subscribers; index++) {
    bus.subscribe("orders").forEach(() => {
      handled++;
    });
  }
  const result = await rate(count, async () => {
    for (let index = 0; index < count; index++) {
      const publication = bus.publish("orders", input(index));
      if (index % TURN === TURN - 1) await publication;
    }
    while (handled < count * subscribers) await Promise.resolve();
  });
  assert.equal(handled, count * subscribers);
  return result;
}

/** Dispatches to listeners of an `EventTarget`, each of which counts. */
async function dispatch(count: number, listeners: number): Promise<number> {
  const target = new EventTarget();
  let handled = 0;
  for (let index = 0; index < listeners; index++) target.addEventListener("orders", () => void handled++);
  const result = await rate(count, () => {
    for (let index = 0; index < count; index++) {
      target.dispatchEvent(new CustomEvent("orders", { detail: input(index) }));
    }
    return Promise.resolve();
  });
  assert.equal(handled, count * listeners);
  return result;
}

/** Events that are on their way over NATS at the most. */
const WINDOW = 1_000;

async function publishOverNats(
  publisher: NatsConnection,
  listener: NatsConnection,
  count: number,
): Promise<number> {
  await using sending = new NatsEventBus(publisher);
  await using receiving = new NatsEventBus(listener);
  const subscription = receiving.subscribe("orders", { buffer: WINDOW * 2 });
  await subscription.ready;
  let handled = 0;
  let arrival = Promise.withResolvers<void>();
  subscription.forEach(({ data }) => {
    assert((data as { items: number }).items === 3);
    handled++;
    arrival.resolve();
  });
  return await rate(count, async () => {
    for (let index = 0; index < count; index++) {
      sending.publish("orders", input(index));
      while (index - handled >= WINDOW) {
        arrival = Promise.withResolvers();
        await arrival.promise;
      }
    }
    while (handled < count) {
      arrival = Promise.withResolvers();
      await arrival.promise;
    }
  });
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function publishBare(
  publisher: NatsConnection,
  listener: NatsConnection,
  count: number,
): Promise<number> {
  let handled = 0;
  let arrival = Promise.withResolvers<void>();
  const subscription = listener.subscribe("bare.orders.>", {
    callback: (_error, { data }) => {
      assert((JSON.parse(decoder.decode(data)) as Event<string, { items: number }>).data.items === 3);
      handled++;
      arrival.resolve();
    },
  });
  await listener.flush();
  const result = await rate(count, async () => {
    for (let index = 0; index < count; index++) {
      const event = input(index);
      publisher.publish(
        `bare.orders.${event.eventType}.${event.actorId}`,
        encoder.encode(JSON.stringify(event)),
      );
      while (index - handled >= WINDOW) {
        arrival = Promise.withResolvers();
        await arrival.promise;
      }
    }
    while (handled < count) {
      arrival = Promise.withResolvers();
      await arrival.promise;
    }
  });
  subscription.unsubscribe();
  return result;
}

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

/** The rows of the buses and of telemetry. */
export async function open({ quick }: GroupOptions): Promise<Group> {
  const server = await startNatsServer();
  const connections = await Promise.all([connect({ servers: server.url }), connect({ servers: server.url })]);
  const [publisher, listener] = connections as [NatsConnection, NatsConnection];
  const local = quick ? 50_000 : 200_000;
  const nats = quick ? 20_000 : 100_000;
  const saves = quick ? 50_000 : 200_000;
  const kvSaves = quick ? 1_000 : 5_000;
  const rows: Row[] = [
    ...[1, 10, 100].map((subscribers): Row => {
      const count = subscribers === 100 ? local / 10 : local;
      return {
        name: `local-${subscribers}-subscribers`,
        unit: "publications/s",
        goal: { op: ">=", value: 1 },
        baseline: "EventTarget with as many listeners; it neither validates nor copies",
        measureOurs: () => publishLocally(count, subscribers),
        measureBaseline: () => dispatch(count, subscribers),
      };
    }),
    {
      name: "nats-publish-and-deliver",
      unit: "events/s",
      goal: { op: ">=", value: 0.8 },
      baseline: "bare nc.publish and nc.subscribe with JSON",
      measureOurs: () => publishOverNats(publisher, listener, nats),
      measureBaseline: () => publishBare(publisher, listener, nats),
    },
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
      baseline: "the same store without a bus",
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
  return {
    rows,
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all(connections.map((connection) => connection.close()));
      await server.stop();
    },
  };
}
