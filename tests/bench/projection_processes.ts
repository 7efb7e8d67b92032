/**
 * Projections in processes of their own: how soon they see what another process saves, and how soon one takes over from
 * another that was killed. Run as a program it is the reading process: its arguments are how it reads, and a server's URL.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { JetStreamCheckpoints, JetStreamEventStore, runProjection, waitFor } from "../../mod.ts";
import type { SegmentOrder } from "../projection/processes/segment_worker.ts";
import { STAGES } from "../projection/processes/stages.ts";
import { Workers } from "../projection/processes/worker_process.ts";
import { add, until } from "../projection/support.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { median } from "./harness.ts";

/** How the other process reads. */
export type Reading = "projection" | "subscription";

/** One clock for both processes, in ms. */
const instant = (): number => performance.timeOrigin + performance.now();

if (import.meta.main) await read(...Deno.args as [Reading, string]);

async function read(reading: Reading, url: string): Promise<void> {
  const encoder = new TextEncoder();
  const handle = ({ position }: { readonly position: string }): void => {
    const now = instant();
    Deno.stdout.writeSync(encoder.encode(`${position} ${now}\n`));
  };
  await using store = await JetStreamEventStore.open(url);
  if (reading === "subscription") { for await (const event of store.subscribe()) handle(event); }
  else {
    await using checkpoints = await JetStreamCheckpoints.open(url);
    await using run = runProjection(store, { name: `lag ${crypto.randomUUID()}`, checkpoints, handle });
    await run.finished;
  }
}

/** The median time from a save to its being handled in another process, one at a time, in ms. */
export async function lagBetweenProcesses(url: string, saves: number, reading: Reading): Promise<number> {
  await using store = await JetStreamEventStore.open(url);
  const program = fileURLToPath(import.meta.url);
  const args = ["run", "--allow-all", "--no-check", program, reading, url];
  const reader = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "inherit" }).spawn();
  const handled = new Map<string, number>();
  const reported = (async () => {
    let rest = "";
    for await (const text of reader.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const [position, at] of lines.map((line) => line.split(" "))) handled.set(position!, Number(at));
    }
  })();
  const times: number[] = [];
  const actorId = crypto.randomUUID();
  for (let save = 0; save <= saves; save++) {
    const begun = instant();
    const [stored] = await store.append(actorId, [{ eventType: "Saved", data: {} }], {
      expectedVersion: save,
    });
    await until("it is handled", () => handled.has(stored!.position));
    // The first one waits until the reader has started.
    if (save > 0) times.push(handled.get(stored!.position)! - begun);
  }
  reader.kill("SIGKILL");
  await reader.status;
  await reported;
  return median(times);
}

/** From the death of a worker process with -9 until another one works in its place, in ms. */
export async function takeOverAfterCrash(stage: string, leaseTtl: number): Promise<number> {
  await using place = await STAGES[stage]!();
  await using workers = new Workers({ ...place.order, jobs: ["sums"], leaseTtl });
  const first = workers.start();
  await until("it works", () => first.works());
  const second = workers.start();
  await until("the other one waits", () => second.stateOf("sums") === "waiting");
  await add(place.store, 5);
  // At any moment between two renewals of the lease.
  await new Promise((resolve) => setTimeout(resolve, 500 + Math.random() * leaseTtl / 5));
  await workers.end(first, "SIGKILL");
  const begun = performance.now();
  await until("the other one works", () => second.works());
  return performance.now() - begun;
}

/**
 * Events a second whose handler waits 1 ms: of some processes that share segments, or of one that has all events. On a server of
 * its own: they begin with the first event of the log.
 */
export async function rateOfProcesses(
  events: number,
  processes: number,
  segments: number | undefined,
): Promise<number> {
  await using server = await startNatsServer();
  const { url } = server;
  await using store = await JetStreamEventStore.open(url);
  await using checkpoints = await JetStreamCheckpoints.open(url);
  const program = fileURLToPath(new URL("../projection/processes/segment_worker.ts", import.meta.url));
  const order: SegmentOrder = { file: "", url, wait: 1, ...(segments !== undefined && { segments }) };
  const workers = Array.from({ length: processes }, () =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--no-check", program, JSON.stringify(order)],
      stdout: "null",
      stderr: "inherit",
    }).spawn());
  try {
    const last = async (count: number): Promise<string> => {
      // Many actors: the hash divides them about evenly.
      for (let index = 0; index < count; index += 10) {
        await store.append(
          `actor-${index / 10 % 200}`,
          Array.from({ length: 10 }, () => ({ eventType: "Saved", data: {} })),
          { expectedVersion: "any" },
        );
      }
      return (await store.getLastPosition())!;
    };
    // All processes have begun.
    await waitFor(store, { name: "waiting", checkpoints }, await last(100), { timeout: 600_000 });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const end = await last(events);
    const begun = performance.now();
    await waitFor(store, { name: "waiting", checkpoints }, end, { timeout: 600_000 });
    return events / (performance.now() - begun) * 1_000;
  } finally {
    for (const worker of workers) worker.kill("SIGTERM");
    await Promise.all(workers.map((worker) => worker.status));
  }
}
