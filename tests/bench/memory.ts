/**
 * The in-memory store beside Emmett's and beside a plain map.
 *
 * @module
 */

import { getInMemoryEventStore } from "@event-driven-io/emmett";
import assert from "node:assert/strict";
import { InMemoryEventStore } from "../../mod.ts";
import { type Group, type GroupOptions, rate } from "./harness.ts";
import { loadTime } from "./load.ts";
import { input } from "./order_input.ts";

async function saveOurs(count: number, actors: number): Promise<number> {
  await using store = new InMemoryEventStore();
  const result = await rate(count, async () => {
    for (let index = 0; index < count; index++) await store.saveEvent(input(index, actors));
  });
  assert.equal(await store.getLatestVersion("order-0"), Math.ceil(count / actors));
  return result;
}

async function saveClones(count: number, actors: number): Promise<number> {
  const streams = new Map<string, unknown[]>();
  const save = (event: ReturnType<typeof input>): Promise<unknown> => {
    let stream = streams.get(event.actorId);
    if (!stream) streams.set(event.actorId, stream = []);
    const copy = structuredClone(event);
    stream.push(copy);
    return Promise.resolve(copy);
  };
  return await rate(count, async () => {
    for (let index = 0; index < count; index++) await save(input(index, actors));
  });
}

async function saveEmmett(count: number, actors: number): Promise<number> {
  const store = getInMemoryEventStore();
  return await rate(count, async () => {
    for (let index = 0; index < count; index++) {
      const { actorId, eventType: type, data } = input(index, actors);
      await store.appendToStream(actorId, [{ type, data }], {
        expectedStreamVersion: BigInt(Math.floor(index / actors)),
      });
    }
  });
}

const EVENTS_TO_READ = 100;

async function readOurs(reads: number, actors: number): Promise<number> {
  await using store = new InMemoryEventStore();
  for (let index = 0; index < EVENTS_TO_READ * actors; index++) await store.saveEvent(input(index, actors));
  return await rate(reads, async () => {
    for (let index = 0; index < reads; index++) {
      const events = await store.getEvents(`order-${index % actors}`);
      if (events.length !== EVENTS_TO_READ) throw new Error("short");
    }
  });
}

async function readEmmett(reads: number, actors: number): Promise<number> {
  const store = getInMemoryEventStore();
  for (let actor = 0; actor < actors; actor++) {
    const events = Array.from({ length: EVENTS_TO_READ }, (_, index) => {
      const { eventType: type, data } = input(index, 1);
      return { type, data };
    });
    await store.appendToStream(`order-${actor}`, events);
  }
  return await rate(reads, async () => {
    for (let index = 0; index < reads; index++) {
      const { events } = await store.readStream(`order-${index % actors}`);
      if (events.length !== EVENTS_TO_READ) throw new Error("short");
    }
  });
}

/** The rows of the in-memory store. */
export function open({ quick }: GroupOptions): Promise<Group> {
  const saves = 200_000;
  const fewer = quick ? 10_000 : 20_000;
  return Promise.resolve({
    rows: [
      {
        name: "save-over-map-of-clones",
        unit: "saves/s",
        goal: { op: ">=", value: 4 },
        baseline:
          "a Map of arrays with structuredClone; a save takes 1.3 us in a small store and 2.4 in one of 200,000 events, " +
          "where the collector moves the 240 bytes that are kept of each. In a profile the collector has 27 % of a save, " +
          "finding the actor by a new text 12 %, the input and the await 8 %: the map has these too. Copying and " +
          "freezing takes 20 %, checking 9 %",
        measureOurs: () => saveOurs(saves, 1_000),
        measureBaseline: () => saveClones(saves, 1_000),
      },
      {
        name: "save-over-emmett",
        unit: "saves/s",
        goal: { op: ">=", value: 10 },
        baseline: "Emmett's in-memory store, 1,000 actors",
        measureOurs: () => saveOurs(saves, 1_000),
        measureBaseline: () => saveEmmett(fewer, 1_000),
      },
      {
        name: "save-100000-actors-over-100",
        unit: "saves/s",
        goal: { op: ">=", value: 0.77 },
        baseline:
          "ours with 100 actors; with two events an actor 380 bytes are kept of each and not 240, which the collector " +
          "moves, and finding one of 100,000 actors by a new text takes several times as long as one of 100",
        measureOurs: () => saveOurs(200_000, 100_000),
        measureBaseline: () => saveOurs(200_000, 100),
      },
      {
        name: "read-100-events",
        unit: "reads/s",
        goal: { op: ">=", value: 1 },
        baseline:
          "Emmett's in-memory store, which copies its list as ours does; the text of the id, finding the actor, the copy " +
          "and the await are at least three quarters of a read here; the rest is the check of the actor's id, the look for " +
          "telemetry and the look for upcasters",
        measureOurs: () => readOurs(200_000, 100),
        measureBaseline: () => readEmmett(200_000, 100),
      },
      {
        name: "load-memory",
        unit: "ms",
        goal: { op: "<=", value: 1 },
        baseline: "the promise of 20 ms over an empty program",
        measureOurs: () => loadTime([import.meta.resolve("../../src/store/memory/mod.ts")], quick ? 7 : 15),
        measureBaseline: () => Promise.resolve(20),
        rounds: 3,
        warmUp: false,
      },
      {
        name: "load-all",
        unit: "ms",
        goal: { op: "<=", value: 1.2 },
        baseline: "@nats-io/jetstream and its transport",
        measureOurs: () => loadTime([import.meta.resolve("../../mod.ts")], quick ? 7 : 15),
        measureBaseline: () => loadTime(["@nats-io/jetstream", "@nats-io/transport-node"], quick ? 7 : 15),
        rounds: 3,
        warmUp: false,
      },
    ],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}
