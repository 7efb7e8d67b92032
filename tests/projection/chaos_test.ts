/**
 * Real processes that are killed with -9, suspended, stopped and started again at random moments while the store fails now
 * and then: every read model and every reaction in the end is what the log says.
 *
 * `AETHER_CHAOS_ROUNDS=n` repeats the faults n times; `AETHER_CHAOS_SEED=n` draws them again as they were.
 */

import { AetherError, type EventInput, type ProjectionReference, waitFor } from "../../mod.ts";
import { Random } from "../support/random.ts";
import assert from "node:assert/strict";
import { ALL_JOBS, ASKING, assertDone } from "./processes/jobs.ts";
import { Poison } from "./processes/poison.ts";
import { type Stage, STAGES } from "./processes/stages.ts";
import { type WorkerProcess, Workers } from "./processes/worker_process.ts";
import { type Counted, until } from "./support.ts";

const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);
const SEED = Number(Deno.env.get("AETHER_CHAOS_SEED") ?? Math.floor(Math.random() * 2 ** 31));
/** What befalls them in a round, in random order. */
const FAULTS = ["kill", "poison", "suspend", "stop", "close-handle", "disturb"] as const;
const WORKERS = 3;
const LEASE = 2000;
/** Events that are there before anybody reads. */
const HISTORY = 300;
const PATIENCE = { timeout: 300_000 };

type Fault = typeof FAULTS[number];

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items.map((item) => [random.next(), item] as const).sort(([a], [b]) => a - b).map(([, item]) =>
    item
  );
}

/** Something for the next version of a projection to be built from, for seconds. */
function history(version: number): EventInput<Counted>[] {
  return Array.from({ length: 100 }, (_, by) => (
    { actorId: "other", version: version + by, eventType: "Added", data: { by } }
  ));
}

/** Writes events all the time, also to an actor that a reaction writes to. What fails may have been stored or not. */
async function write({ store }: Stage, random: Random, signal: AbortSignal): Promise<void> {
  for (let by = 0; !signal.aborted; by++) {
    const actorId = random.pick(["total", `${ASKING}1`, `${ASKING}2`, `${ASKING}3`, "other"]);
    const eventType: Counted["eventType"] = random.chance(0.2) ? "Removed" : "Added";
    try {
      await store.append(actorId, [{ eventType, data: { by } }], { expectedVersion: "any" });
    } catch (error) {
      if (!(error instanceof AetherError)) throw error;
    }
    await pause(random.between(0, 150));
  }
}

/** One of the workers at a random moment: mostly one that works, for the others have nothing to lose. */
async function victim(workers: Workers, random: Random): Promise<WorkerProcess> {
  if (random.chance(0.8)) {
    const deadline = performance.now() + 10_000;
    while (!workers.all.some((worker) => worker.works()) && performance.now() < deadline) await pause(5);
  }
  await pause(random.between(0, 600));
  const working = workers.all.filter((worker) => worker.works());
  return random.pick(working.length > 0 && random.chance(0.8) ? working : workers.all);
}

async function befall(
  fault: Fault,
  stage: Stage,
  workers: Workers,
  poison: Poison,
  random: Random,
): Promise<Promise<void> | undefined> {
  const ended = workers.all.filter(({ hasEnded }) => hasEnded); // those that were to end are replaced
  assert.deepEqual(ended.map(({ lines }) => lines.at(-1)), [], "a worker has ended by itself");
  if (fault === "disturb") {
    await stage.disturb(random);
    return undefined;
  }
  if (fault === "poison") {
    await poison.write((items) => shuffled(items, random));
    return undefined;
  }
  const worker = await victim(workers, random);
  if (fault === "close-handle") {
    await until("it has begun", () => worker.lines.length > 0 || worker.hasEnded);
    worker.signal("SIGUSR2");
    return undefined;
  }
  if (fault === "suspend") {
    worker.signal("SIGSTOP");
    return pause(random.between(200, 2 * LEASE)).then(() => worker.signal("SIGCONT"));
  }
  await workers.end(worker, fault === "kill" ? "SIGKILL" : "SIGTERM");
  workers.start();
  return undefined;
}

for (const [name, open] of Object.entries(STAGES)) {
  Deno.test(`${name}: under faults of the workers at random moments, read models and reactions follow from the log (seed ${SEED})`, async () => {
    await using stage = await open();
    const { store, beside, withModel } = stage;
    for (let version = 1; version <= HISTORY; version += 100) await store.saveEvents(history(version));
    await using poison = await Poison.open(stage.order, stage);
    await using workers = new Workers({ ...stage.order, jobs: ALL_JOBS, leaseTtl: LEASE, withPoison: true });
    for (let count = 0; count < WORKERS; count++) workers.start();
    const ending = new AbortController();
    const random = new Random(SEED);
    const writing = write(stage, new Random(SEED + 1), ending.signal);
    const awaking: Promise<void>[] = [];
    try {
      for (let round = 0; round < ROUNDS; round++) {
        for (const fault of shuffled(FAULTS, random)) {
          const later = await befall(fault, stage, workers, poison, random);
          if (later) awaking.push(later);
        }
      }
    } finally {
      ending.abort();
      await Promise.all([writing, ...awaking]);
    }
    const settled = async (projection: ProjectionReference): Promise<void> => {
      await waitFor(store, projection, (await store.getLastPosition())!, PATIENCE);
    };
    await settled({ name: "answers", checkpoints: beside }); // it writes to the log itself, which the others read
    await settled({ name: "copies", checkpoints: beside });
    await settled({ name: "sums", checkpoints: withModel });
    await settled({ name: "sums", version: 2, checkpoints: withModel });
    await assertDone(stage);
    await poison.assertDone(PATIENCE);
    assert.ok(workers.replaced >= 2 * ROUNDS, "events, and owners of handles, have ended processes");
  });
}
