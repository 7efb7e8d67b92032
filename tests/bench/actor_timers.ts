/**
 * Timers of actors: how late they fire, and what one that waits costs. Run as a program, it measures its own memory.
 *
 * @module
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { ActorHost, type EventStore, runTimers, type SnapshotStore } from "../../src/actor/mod.ts";
import { JetStreamEventStore } from "../../src/store/jetstream/mod.ts";
import { InMemoryEventStore } from "../../src/store/memory/mod.ts";
import { booking, type BookingEvent } from "../actor/booking.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { concurrently, type Row } from "./harness.ts";

type Store = EventStore<BookingEvent> & SnapshotStore;

/** The most that a timer may be late, at the 99th percentile, in milliseconds. */
const LATE_IN_PROCESS = 50;
const LATE_ON_JETSTREAM = 500;
/** The most that a timer that waits may take, in bytes. */
const BYTES = 1_229;
/** Over how long timers are due, in milliseconds. */
const SPREAD = 10_000;
const YEAR = 365 * 24 * 3_600_000;
/** How many timers one process of the memory row has. */
const PENDING = 50_000;

/** Rows of timers. */
export function timerRows(quick: boolean): Row[] {
  const timers = quick ? 10_000 : PENDING;
  return [
    {
      ...promise(`late-in-process`, LATE_IN_PROCESS, "ms late, p99"),
      measureOurs: async () => {
        await using store = new InMemoryEventStore<BookingEvent>();
        return await lateness(store, timers);
      },
    },
    {
      ...promise(`late-on-jetstream`, LATE_ON_JETSTREAM, "ms late, p99"),
      measureOurs: async () => {
        await using server = await startNatsServer();
        await using store = await JetStreamEventStore.open<BookingEvent>(server.url);
        return await lateness(store, timers);
      },
    },
    { ...promise("bytes-of-a-timer", BYTES, "bytes"), measureOurs: memoryOfTimer },
  ];
}

function promise(name: string, bound: number, unit: string): Omit<Row, "measureOurs"> {
  return {
    name: `timers-${name}`,
    unit,
    goal: { op: "<=", value: 1 },
    baseline: `the promise of ${bound}`,
    measureBaseline: () => Promise.resolve(bound),
    warmUp: false,
    rounds: 1,
  };
}

/** By how much timers whose times are spread over seconds are late in a host, at the 99th percentile. */
async function lateness(store: Store, timers: number): Promise<number> {
  // Events come at a rate that leaves time for other work; the first timers are due when all are stored.
  const begin = Date.now() + timers;
  await using _host = await ActorHost.start({ store, actors: [booking] });
  const due = new Map<string, number>();
  await concurrently(timers, 256, async (index) => {
    const id = `booking-${index}`;
    const dueAt = begin + Math.floor(SPREAD * index / timers);
    due.set(id, dueAt);
    await store.append(id, [{ eventType: "Reserved", data: { dueAt } }], { expectedVersion: 0 });
  });
  assert.ok(Date.now() < begin, "the timers were stored too late");
  const late: number[] = [];
  for await (const { actorId, timestamp } of store.subscribe({ eventTypes: ["Released"] })) {
    late.push(Date.parse(timestamp) - due.get(actorId)!);
    if (late.length === timers) break;
  }
  late.sort((a, b) => a - b);
  assert.ok(late[0]! >= 0, "a timer was fired early");
  return late[Math.floor(timers * 0.99)]!;
}

/** How many bytes a timer that waits takes, in the process that works on it and in the server. */
async function memoryOfTimer(): Promise<number> {
  await using server = await startNatsServer();
  {
    await using store = await JetStreamEventStore.open<BookingEvent>(server.url);
    const dueAt = Date.now() + YEAR;
    await concurrently(PENDING, 256, async (index) => {
      await store.append(`booking-${index}`, [{ eventType: "Reserved", data: { dueAt } }], {
        expectedVersion: 0,
      });
    });
  }
  const before = await residentOf(server.pid);
  const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
  const flags = ["--allow-all", "--no-check", "--quiet", "--v8-flags=--expose-gc", "--config", config];
  const args = ["run", ...flags, fileURLToPath(import.meta.url), server.url];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const inServer = Math.max(0, await residentOf(server.pid) - before) / PENDING;
  return Number(new TextDecoder().decode(stdout)) + inServer;
}

/** The resident memory of a process, in bytes; 0 where the system does not report it. */
async function residentOf(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1_024;
}

/** By how many bytes the heap of this process grows for each timer that waits: first when they are indexed. */
async function measure(url: string): Promise<number> {
  const { gc } = globalThis as unknown as { gc(): void };
  const heap = (): number => {
    gc();
    gc();
    return Deno.memoryUsage().heapUsed;
  };
  await using store = await JetStreamEventStore.open<BookingEvent>(url, { cachedActors: 1 });
  {
    await using _first = runTimers(store, [booking]);
    await released(store);
  }
  const before = heap();
  await using _second = runTimers(store, [booking]);
  await released(store);
  return (heap() - before) / PENDING;
}

let probes = 0;

/** Waits until a run has read the index: then it fires a timer. */
async function released(store: Store): Promise<void> {
  const id = `booking-probe-${probes++}`;
  await store.append(id, [{ eventType: "Reserved", data: { dueAt: 0 } }], { expectedVersion: 0 });
  for await (const { eventType } of store.subscribe({ actorId: id })) if (eventType === "Released") return;
}

if (import.meta.main) console.log(await measure(Deno.args[0]!));
