/**
 * Projections whose handlers work at once, the building of a next version, and pages of the log.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type DenoKvCheckpoints,
  type DenoKvEventStore,
  type EventStore,
  type Handler,
  InMemoryCheckpoints,
  InMemoryEventStore,
  type KvTransaction,
  projectOnce,
  rebuildProjection,
  type StoredEvent,
} from "../../mod.ts";
import { median, rate, type Row } from "./harness.ts";

/** What the rows read and write. */
export interface LanesPlace {
  readonly quick: boolean;
  /** A store in memory, and how many events are in it. */
  readonly memory: EventStore;
  readonly inMemory: number;
  /** A store in a file, with checkpoints and read models in the same file. */
  readonly file: DenoKvEventStore;
  readonly kv: Deno.Kv;
  readonly checkpoints: DenoKvCheckpoints;
  readonly onFile: number;
  /** Another store in the same file, which is empty. */
  readonly smallCommits: EventStore;
  /** Adds events to a store. */
  fill(store: EventStore, count: number): Promise<void>;
}

const LANES = 64;
/** Events of a page. */
const PAGE = 100;
const SMALL_LOG = 5_000;
const SMALL_COMMITS = 2_000;

let names = 0;

const waiting = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

async function inLanes(
  store: EventStore,
  count: number,
  lanes: number,
  handle: () => void | Promise<void>,
): Promise<number> {
  await using checkpoints = new InMemoryCheckpoints();
  const result = await rate(count, async () => {
    const { handled } = await projectOnce(store, { name: `lanes ${names++}`, checkpoints, lanes, handle }, {
      budgetMs: 3_600_000,
    });
    assert.equal(handled, count);
  });
  return result;
}

/** A store with so many events of a hundred actors in turn. */
async function smallLog(count: number): Promise<InMemoryEventStore> {
  const store = new InMemoryEventStore();
  await fillOneByOne(store, count);
  return store;
}

async function fillOneByOne(store: EventStore, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    await store.append(`order-${index % 100}`, [{ eventType: "Placed", data: null }], {
      expectedVersion: "any",
    });
  }
}

async function slowHandlers(count: number, lanes: number): Promise<number> {
  await using store = await smallLog(count);
  return await inLanes(store, count, lanes, waiting);
}

type KvHandler = Handler<StoredEvent, KvTransaction>;

async function onFile(
  { file, checkpoints, onFile }: LanesPlace,
  lanes: number,
  handle: KvHandler,
): Promise<number> {
  return await rate(onFile, async () => {
    const { handled } = await projectOnce(file, { name: `lanes ${names++}`, checkpoints, lanes, handle }, {
      budgetMs: 3_600_000,
    });
    assert.equal(handled, onFile);
  });
}

/** A handler that asks another service, and then writes to its model. */
const modelled: KvHandler = async ({ actorId, version }, { transaction }) => {
  await waiting();
  transaction.set(["model", actorId, version % 10], version);
};

/** The time to build a version with a model in Deno KV, in ms. */
async function rebuild({ file, checkpoints }: LanesPlace, lanes: number): Promise<number> {
  const begun = performance.now();
  const next = { name: `rebuild ${names++}`, version: 2, checkpoints, lanes, handle: modelled };
  await using run = rebuildProjection(file, next);
  await run.takenOver;
  return performance.now() - begun;
}

/** The median time of a page in the middle of a log, in microseconds. */
async function page(store: EventStore, position: string): Promise<number> {
  const pages = 200;
  const times: number[] = [];
  for (let count = 0; count < pages; count++) {
    const begun = performance.now();
    let events = 0;
    for await (const _ of store.readAll({ after: position, limit: PAGE })) events++;
    assert.equal(events, PAGE);
    times.push(performance.now() - begun);
  }
  return median(times) * 1_000;
}

/** The position of an event by its place in a log. */
async function positionAt(store: EventStore, place: number): Promise<string> {
  let position = "";
  for await (const event of store.readAll({ limit: place })) position = event.position;
  return position;
}

/** The rows. */
export async function lanesRows(place: LanesPlace): Promise<readonly Row[]> {
  const { memory, inMemory, quick, smallCommits } = place;
  await fillOneByOne(smallCommits, SMALL_COMMITS);
  const small = new InMemoryEventStore();
  await place.fill(small, SMALL_LOG);
  const [inSmall, inLarge] = [await positionAt(small, SMALL_LOG / 2), await positionAt(memory, inMemory / 2)];
  return [
    {
      name: "lanes-waiting-handler",
      unit: "events/s",
      goal: { op: ">=", value: 20 },
      baseline: `one lane; a handler that waits 1 ms, ${LANES} lanes`,
      measureOurs: () => slowHandlers(quick ? 20_000 : 100_000, LANES),
      measureBaseline: () => slowHandlers(1_000, 1),
      warmUp: false,
      rounds: 3,
    },
    {
      name: "lanes-empty-handler",
      unit: "events/s",
      goal: { op: ">=", value: 0.9 },
      baseline: "one lane",
      measureOurs: () => inLanes(memory, inMemory, LANES, () => {}),
      measureBaseline: () => inLanes(memory, inMemory, 1, () => {}),
    },
    {
      name: "lanes-exactly-once-deno-kv",
      unit: "events/s",
      goal: { op: ">=", value: 0.8 },
      baseline: "32 lanes with one set an event outside of the checkpoint's transaction, at least once",
      measureOurs: () =>
        onFile(place, 32, ({ actorId, version }, { transaction }) => {
          transaction.set(["model", actorId], version);
        }),
      measureBaseline: () =>
        onFile(place, 32, async ({ actorId, version }) => {
          await place.kv.set(["model", actorId], version);
        }),
      warmUp: false,
      rounds: 2,
    },
    {
      name: "rebuild-deno-kv",
      unit: "ms",
      goal: { op: "<=", value: 0.125 },
      baseline: "one lane; a model in the transaction, and a handler that waits 1 ms",
      measureOurs: () => rebuild(place, LANES),
      measureBaseline: () => rebuild(place, 1),
      warmUp: false,
      rounds: 1,
    },
    {
      name: "page-of-100-memory",
      unit: "us",
      goal: { op: "<=", value: 1.5 },
      baseline: `the same in a log of ${SMALL_LOG} events`,
      measureOurs: () => page(memory, inLarge),
      measureBaseline: () => page(small, inSmall),
    },
    {
      name: "page-of-100-of-large-commits-deno-kv",
      unit: "us",
      goal: { op: "<=", value: 1.5 },
      baseline: "the same in a log whose commits have one event each, and not 100",
      measureOurs: async () => await page(place.file, await positionAt(place.file, SMALL_COMMITS / 2)),
      measureBaseline: async () =>
        await page(smallCommits, await positionAt(smallCommits, SMALL_COMMITS / 2)),
      rounds: 3,
    },
    {
      name: "page-of-100-deno-kv",
      unit: "us",
      goal: { op: "<=", value: 1.5 },
      baseline: `after the first event of the same store: a page in the middle of ${place.onFile} events`,
      measureOurs: async () => await page(place.file, await positionAt(place.file, place.onFile / 2)),
      measureBaseline: async () => await page(place.file, await positionAt(place.file, 1)),
      rounds: 3,
    },
  ];
}
