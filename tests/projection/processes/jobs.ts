/**
 * The projections that processes run while they are killed, and what each of them must have done in the end.
 *
 * @module
 */

import assert from "node:assert/strict";
import type {
  CheckpointStore,
  DenoKvCheckpoints,
  EventStore,
  KvTransaction,
  Projection,
  StoredEvent,
} from "../../../mod.ts";
import { addUp, type Counted, sumsIn, sumsOf } from "../support.ts";

/** What the projections work with. */
export interface Site {
  readonly store: EventStore<Counted>;
  /** Checkpoints beside the store: in the database of its events, or in a bucket of its servers. */
  readonly beside: CheckpointStore<unknown>;
  /** Checkpoints beside the read model. */
  readonly withModel: DenoKvCheckpoints;
  /** The database of the read models. */
  readonly model: Deno.Kv;
}

/** Events of this actor take a while, so that a test can do something in the middle. */
export const SLOW_ACTOR = "slow";
/** Actors whose events are answered. */
export const ASKING = "in-";
const SLOW_MS = 3000;

/** Called by handlers: something has begun, or ended. */
export type Say = (what: "dwells" | "dwelt", position: string) => void;

/** The projections by name. */
export const JOBS = {
  /** Exactly once: sums by actor that commit together with the checkpoint. */
  sums: ({ withModel }: Site, say: Say): Projection<Counted, KvTransaction> => ({
    name: "sums",
    checkpoints: withModel,
    handle: async (event, { transaction }) => {
      await addUp(transaction, event);
      await dwell(event, say);
    },
  }),
  /** Its next version, which is built from the start, and slowly, while the one before serves. */
  rebuilt: ({ withModel }: Site): Projection<Counted, KvTransaction> => ({
    name: "sums",
    version: 2,
    checkpoints: withModel,
    handle: async (event, { transaction, version }) => {
      await addUp(transaction, event, `sums ${version}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    },
  }),
  /** At least once: a copy of each event, which may be written twice. */
  copies: ({ beside, model }: Site, say: Say): Projection<Counted, unknown> => ({
    name: "copies",
    checkpoints: beside,
    // Another process may be writing to the file of the read models.
    failure: { retries: 1000, firstDelay: 5, longestDelay: 200 },
    handle: async (event) => {
      await model.set(["copies", event.position], { actorId: event.actorId, by: event.data.by });
      await dwell(event, say);
    },
  }),
  /** A reaction: an event of an actor of its own, and one of an actor that others write to as well. */
  answers: ({ beside }: Site): Projection<Counted, unknown> => ({
    name: "answers",
    checkpoints: beside,
    filter: { actorPrefix: ASKING },
    handle: ({ actorId, data }) => [
      { actorId: answering(actorId), events: [{ eventType: "Added", data }] },
      { actorId: "total", events: [{ eventType: "Added", data }] },
    ],
  }),
} as const;

/** The name of a projection. */
export type Job = keyof typeof JOBS;

/** The names of all. */
export const ALL_JOBS = Object.keys(JOBS) as readonly Job[];

function answering(actorId: string): string {
  return actorId.replace(ASKING, "out-");
}

async function dwell({ position, actorId, version }: StoredEvent, say: Say): Promise<void> {
  if (actorId === SLOW_ACTOR) {
    say("dwells", position);
    await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    say("dwelt", position);
  } else if (version % 5 === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Holds everything that the projections have made against what the log says. */
export async function assertDone({ store, model }: Site, jobs: readonly Job[] = ALL_JOBS): Promise<void> {
  const log = await Array.fromAsync(store.readAll());
  if (jobs.includes("sums")) assert.deepEqual(await sumsIn(model), await sumsOf(store));
  if (jobs.includes("rebuilt")) assert.deepEqual(await sumsIn(model, "sums 2"), await sumsOf(store));
  if (jobs.includes("copies")) {
    const copies = await Array.fromAsync(
      model.list({ prefix: ["copies"] }),
      ({ key, value }) => [key[1], value],
    );
    assert.deepEqual(copies, log.map(({ position, actorId, data }) => [position, { actorId, by: data.by }]));
  }
  if (jobs.includes("answers")) {
    const asked = log.filter(({ actorId }) => actorId.startsWith(ASKING));
    for (const actorId of new Set(asked.map(({ actorId }) => actorId))) {
      const questions = asked.filter((event) => event.actorId === actorId);
      assert.deepEqual(causes(log, answering(actorId)), questions.map(({ id }) => id), actorId);
    }
    assert.deepEqual(causes(log, "total"), asked.map(({ id }) => id));
  }
}

/** What caused the events of an actor, in order; others' events have no cause. */
function causes(log: readonly StoredEvent<Counted>[], actorId: string): string[] {
  return log.flatMap((event) =>
    event.actorId === actorId && event.metadata?.causationId !== undefined ? [event.metadata.causationId] : []
  );
}
