/** The stores that the tests of timers run on, with a clock that the test sets. */

import {
  ActorHost,
  type ActorHostOptions,
  type EventStore,
  type SnapshotStore,
  type StoredEvent,
} from "@flowmade-one/aether/actor";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { InMemoryEventStore, InMemoryStorage } from "@flowmade-one/aether/memory";
import { connect } from "@nats-io/transport-node";
import { type NatsServer, startNatsServer } from "../support/nats_server.ts";
import { booking, type BookingEvent } from "./booking.ts";
import { PATIENT } from "../support/patient.ts";

export type Store = EventStore<BookingEvent> & SnapshotStore;
export type Start = (options?: Partial<ActorHostOptions<BookingEvent>>) => Promise<ActorHost>;

/** A clock that the test sets. */
export interface TestClock {
  time: number;
}

/** What a test is given. */
export interface TimerContext {
  readonly store: Store;
  readonly clock: TestClock;
  /** Starts a host on the store. */
  readonly start: Start;
  /** Spoils the index of timers behind the library's back: everything in it, or the timers of one actor. */
  readonly spoil: (actorId?: string) => Promise<void>;
}

export type TimerTest = (context: TimerContext) => Promise<void>;

export const START = Date.parse("2026-01-31T09:00:00Z");
export const MINUTE = 60_000;

/** Runs tests on every store: those on JetStream on one server. */
export function testOnStores(tests: Readonly<Record<string, TimerTest>>, only?: readonly string[]): void {
  for (const [name, run] of Object.entries(tests)) {
    if (!only || only.includes("memory")) {
      Deno.test(`timers on memory: ${name}`, () => inMemory(run));
    }
    Deno.test(`timers on Deno KV: ${name}`, () => onDenoKv(run));
  }
  Deno.test("timers on JetStream", async (t) => {
    await using server = await startNatsServer();
    let count = 0;
    for (const [name, run] of Object.entries(tests)) {
      await t.step(name, () => onJetStream(server, `test-${count++}`, run));
    }
  });
}

async function runOn(
  run: TimerTest,
  store: Store,
  clock: TestClock,
  spoil: TimerContext["spoil"],
): Promise<void> {
  const start: Start = (options) =>
    ActorHost.start({ store, actors: [booking], onWarning: () => {}, ...options });
  await run({ store, clock, start, spoil });
}

async function inMemory(run: TimerTest): Promise<void> {
  const clock = { time: START };
  const storage = new InMemoryStorage();
  const now = (): Date => new Date(clock.time);
  await using store = new InMemoryEventStore<BookingEvent>({ storage, now, onWarning: () => {} });
  await runOn(run, store, clock, () => Promise.reject(new Error("nothing reaches it")));
}

async function onDenoKv(run: TimerTest): Promise<void> {
  const folder = await Deno.makeTempDir();
  const clock = { time: START };
  try {
    using kv = await Deno.openKv(`${folder}/events.kv`);
    await using store = await DenoKvEventStore.open<BookingEvent>(kv, {
      now: () => new Date(clock.time),
      pollInterval: 5,
    });
    await runOn(run, store, clock, async (actorId) => {
      for await (const { key } of kv.list({ prefix: ["aether", "default", "timer"] })) {
        if (actorId === undefined || key.includes(actorId)) await kv.delete(key);
      }
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function onJetStream(server: NatsServer, namespace: string, run: TimerTest): Promise<void> {
  const clock = { time: START };
  const connection = await connect({ servers: server.url });
  try {
    await using store = await JetStreamEventStore.open<BookingEvent>(connection, {
      namespace,
      now: () => new Date(clock.time),
    });
    await runOn(run, store, clock, async (actorId) => {
      const stream = `KV_timers_aether_${namespace}`;
      const filter = actorId === undefined
        ? {}
        : { filter: `$KV.timers_aether_${namespace}.*.actor.${actorId}` };
      const answer = await connection.request(
        `$JS.API.STREAM.PURGE.${stream}`,
        JSON.stringify(filter),
        PATIENT,
      );
      if (!answer.string().includes('"success":true')) throw new Error(answer.string());
    });
  } finally {
    await connection.close();
  }
}

/** Waits for an actor's event of a type. */
export async function event(store: Store, actorId: string, eventType: string): Promise<StoredEvent> {
  for await (const event of store.subscribe({ actorId })) if (event.eventType === eventType) return event;
  throw new Error(`the store was closed before ${eventType}`);
}

/** Waits for a while in which something could happen that must not. */
export const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 150));

/** Waits until a condition holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The types of an actor's events. */
export async function types(store: Store, actorId: string): Promise<string[]> {
  return (await store.getEvents(actorId)).map(({ eventType }) => eventType);
}
