/**
 * Projections whose handlers work at once, and the building of a next version.
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
import { perProcessorSecond, rate, type Row } from "./harness.ts";

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
}

const LANES = 64;

let names = 0;

const waiting = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

async function inLanes(
  store: EventStore,
  count: number,
  lanes: number,
  handle: () => void | Promise<void>,
  measure = rate,
): Promise<number> {
  await using checkpoints = new InMemoryCheckpoints();
  const result = await measure(count, async () => {
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
  for (let index = 0; index < count; index++) {
    await store.append(`order-${index % 100}`, [{ eventType: "Placed", data: null }], {
      expectedVersion: "any",
    });
  }
  return store;
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

/** The rows. */
export function lanesRows(place: LanesPlace): readonly Row[] {
  const { memory, inMemory, quick } = place;
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
      baseline: "one lane; a second of processor time",
      measureOurs: () => inLanes(memory, inMemory, LANES, () => {}, perProcessorSecond),
      measureBaseline: () => inLanes(memory, inMemory, 1, () => {}, perProcessorSecond),
      rounds: 15,
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
  ];
}
