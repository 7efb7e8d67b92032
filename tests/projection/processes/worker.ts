/**
 * A process that runs projections until it is killed, and says what it is doing.
 *
 * One argument: a {@linkcode WorkerOrder} as JSON. It ends by itself when its standard input ends.
 *
 * @module
 */

import {
  DenoKvCheckpoints,
  DenoKvEventStore,
  JetStreamCheckpoints,
  JetStreamEventStore,
  JetStreamLeases,
  type LeaseStore,
  ProjectionStoppedError,
  runProjection,
  type RunState,
} from "../../../mod.ts";
import type { Counted } from "../support.ts";
import { type Job, JOBS, type Say, type Site } from "./jobs.ts";
import { CONNECTION, EXPECTED_END, PoisonedRun, reached } from "./poison.ts";

/** What a worker is to do. */
export interface WorkerOrder {
  /** The servers that the events are on; where there are none, they are in the database of the read models. */
  readonly servers?: readonly string[];
  /** Names the log, the checkpoints and the leases on the servers. */
  readonly scope?: string;
  /** The database of the read models. */
  readonly file: string;
  readonly jobs: readonly Job[];
  readonly leaseTtl: number;
  /** Whether it also runs the projection of events that cannot be handled. */
  readonly withPoison?: boolean;
}

/** A line that a worker says. */
export type WorkerLine =
  | { readonly say: "closed" }
  | { readonly say: "state"; readonly job: Job; readonly state: RunState }
  | { readonly say: "dwells" | "dwelt"; readonly job: Job; readonly position: string };

if (import.meta.main) await work(JSON.parse(Deno.args[0]!));

async function work(
  { servers, scope = "default", file, jobs, leaseTtl, withPoison }: WorkerOrder,
): Promise<void> {
  const encoder = new TextEncoder();
  const say = (line: WorkerLine): void => {
    Deno.stdout.writeSync(encoder.encode(JSON.stringify(line) + "\n"));
  };
  void endWithInput();
  const model = await Deno.openKv(file);
  // The owner of the handle closes it under the projections.
  Deno.addSignalListener("SIGUSR2", () => model.close());
  const withModel = await DenoKvCheckpoints.open(model);
  const onServers = servers && await reached(() => openOnServers(servers, scope));
  const site: Site = {
    store: onServers?.store ?? await DenoKvEventStore.open<Counted>(file, { pollInterval: 5 }),
    beside: onServers?.beside ?? withModel,
    withModel,
    model,
  };
  const options = {
    leaseTtl,
    ...(onServers && { leases: onServers.leases }),
    onWarning: (): void => {}, // faults are what it is here for
  };
  const poisoned = withPoison ? [new PoisonedRun({ file, ...(servers && { servers }) }, site, options)] : [];
  const runs = jobs.map((job) => {
    const told: Say = (what, position) => say({ say: what, job, position });
    const run = job === "sums" || job === "rebuilt"
      ? runProjection(site.store, JOBS[job](site, told), options)
      : runProjection(site.store, JOBS[job](site, told), options);
    let last: RunState | undefined;
    const look = (): void => {
      if (run.state !== last) say({ say: "state", job, state: last = run.state });
    };
    setInterval(look, 2);
    return run;
  });
  const all = [...runs, ...poisoned];
  Deno.addSignalListener("SIGTERM", () => void Promise.all(all.map((run) => run.close())));
  try {
    await Promise.all(all.map(({ finished }) => finished));
  } catch (error) {
    if (!(error instanceof ProjectionStoppedError && error.reason === "closed")) throw error;
    Deno.exit(EXPECTED_END);
  }
  say({ say: "closed" });
  Deno.exit();
}

interface OnServers {
  readonly store: JetStreamEventStore<Counted>;
  readonly beside: JetStreamCheckpoints;
  readonly leases: LeaseStore;
}

async function openOnServers(servers: readonly string[], scope: string): Promise<OnServers> {
  const options = { ...CONNECTION, replicas: servers.length };
  return {
    store: await JetStreamEventStore.open<Counted>(servers, {
      ...CONNECTION,
      namespace: scope,
      answerTimeout: 1000,
    }),
    beside: await JetStreamCheckpoints.open(servers, { ...options, bucket: `checkpoints-${scope}` }),
    leases: await JetStreamLeases.open(servers, { ...options, bucket: `leases-${scope}` }),
  };
}

/** The process that started this one may be killed: then this one must not stay. */
async function endWithInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit(1);
}
