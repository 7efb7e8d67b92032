/** Real processes that share projections: one works, and another takes over. */

import assert from "node:assert/strict";
import { waitFor } from "../../mod.ts";
import { assertDone, type Job, SLOW_ACTOR } from "./processes/jobs.ts";
import { sideBySide } from "../support/side_by_side.ts";
import { type Stage, STAGES } from "./processes/stages.ts";
import { type WorkerProcess, Workers } from "./processes/worker_process.ts";
import { add, until } from "./support.ts";

/** A short lease, which a machine under load does not lose by chance. */
const SHORT_LEASE = 5000;
/** A lease that is much longer than a hand-over. A new bucket grants none before it is as old as that. */
const LONG_LEASE = 16_000;
const PATIENCE = { timeout: 120_000 };

/** Workers of projections, and what is asked of them. */
class Scene implements AsyncDisposable {
  readonly stage: Stage;
  readonly workers: Workers;
  readonly #jobs: readonly Job[];

  constructor(stage: Stage, jobs: readonly Job[], leaseTtl: number) {
    this.stage = stage;
    this.workers = new Workers({ ...stage.order, jobs, leaseTtl });
    this.#jobs = jobs;
  }

  /** Starts a worker, and waits until it works or waits. */
  async start(): Promise<WorkerProcess> {
    const worker = this.workers.start();
    await until("it has started", () => this.#jobs.every((job) => worker.stateOf(job) !== undefined));
    return worker;
  }

  /** Whether a worker does all of the work, and the other one none. */
  isShared(working: WorkerProcess, waiting: WorkerProcess): boolean {
    return this.#jobs.every((job) => working.works(job) && waiting.stateOf(job) === "waiting");
  }

  /** Waits, from this process, until everything is handled. */
  async caughtUp(): Promise<void> {
    const last = (await this.stage.store.getLastPosition())!;
    for (const name of this.#jobs) {
      await waitFor(this.stage.store, { name, checkpoints: this.#checkpointsOf(name) }, last, PATIENCE);
    }
  }

  /** Whom the checkpoints belong to. */
  async owners(): Promise<string[]> {
    return await Promise.all(this.#jobs.map(async (name) => {
      const { value } = (await this.#checkpointsOf(name).load({ name, version: 1 }))!;
      return JSON.parse(value).owner.id;
    }));
  }

  /** Holds the read models against the log. */
  async assertDone(): Promise<void> {
    await this.caughtUp();
    await assertDone(this.stage, this.#jobs);
  }

  #checkpointsOf(job: Job): Stage["beside"] | Stage["withModel"] {
    return job === "sums" ? this.stage.withModel : this.stage.beside;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workers[Symbol.asyncDispose]();
  }
}

/** A worker that is suspended in the middle is taken over, and woken up moves no checkpoint and writes nothing. */
async function suspended(stage: Stage): Promise<void> {
  // In both forms at once: exactly once, and at least once.
  await using scene = new Scene(stage, ["sums", "copies"], SHORT_LEASE);
  const first = await scene.start();
  await add(stage.store, 5);
  await scene.caughtUp();
  const second = await scene.start();
  await until("one works, the other one waits", () => scene.isShared(first, second));
  const { position } = (await add(stage.store, 1, [SLOW_ACTOR]))[0]!;
  await until("it is in the middle of both", () => first.count("dwells", position) === 2);
  const owners = await scene.owners();
  first.signal("SIGSTOP");
  await scene.caughtUp();
  assert.equal(second.count("dwelt", position), 2, "the other one has done it");
  const successors = await scene.owners();
  assert.ok(owners.every((owner) => !successors.includes(owner)));
  first.signal("SIGCONT");
  await until("it has gone on", () => first.count("dwelt", position) === 2);
  await until("it has noticed", () => scene.isShared(second, first));
  await add(stage.store, 5);
  await scene.assertDone();
  assert.deepEqual(await scene.owners(), successors);
}

/** A worker that is killed is taken over within its lease. */
async function killed(stage: Stage): Promise<void> {
  await using scene = new Scene(stage, ["sums"], SHORT_LEASE);
  const first = await scene.start();
  await until("it works", () => first.works("sums"));
  const second = await scene.start();
  await add(stage.store, 5);
  await scene.caughtUp();
  assert.ok(scene.isShared(first, second));
  await scene.workers.end(first, "SIGKILL");
  const killed = performance.now();
  await add(stage.store, 5);
  await scene.assertDone();
  assert.ok(performance.now() - killed < 10 * SHORT_LEASE);
  assert.equal((await scene.workers.end(second, "SIGTERM")).code, 0);
}

/** A worker that ends in order is taken over at once. */
async function ended(stage: Stage): Promise<void> {
  await using scene = new Scene(stage, ["sums"], LONG_LEASE);
  let working = await scene.start();
  await until("it works", () => working.works("sums"));
  for (let handOver = 0; handOver < 2; handOver++) {
    const waiting = await scene.start();
    assert.ok(scene.isShared(working, waiting));
    await add(stage.store, 3);
    assert.equal((await scene.workers.end(working, "SIGTERM")).code, 0);
    const ended = performance.now();
    await add(stage.store, 3);
    await until("the other one works", () => waiting.works("sums"));
    assert.ok(performance.now() - ended < LONG_LEASE / 2);
    await scene.assertDone();
    working = waiting;
  }
}

for (const [name, open] of Object.entries(STAGES)) {
  Deno.test(`${name}: a worker that is suspended, killed or ended in order is taken over, and a suspended one that wakes up writes nothing`, async () => {
    await using stage = await open();
    const scenarios = Object.entries({ suspended, killed, ended }).map(([name, run]) => {
      const alone = async (): Promise<void> => {
        await using own = await stage.another(name);
        await run(own);
      };
      return [name, alone] as const;
    });
    await sideBySide(Object.fromEntries(scenarios));
  });
}
