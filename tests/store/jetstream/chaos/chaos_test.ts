/**
 * Processes write to a stream with three replicas and read it, while servers and processes are killed, suspended and cut
 * off, the copy of one server is damaged, and acknowledgements get lost. `AETHER_CHAOS_ROUNDS=n` goes on for n half minutes,
 * `AETHER_CHAOS_SEED=n` repeats the schedule of a run.
 */
import assert from "node:assert/strict";
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { seededRandom } from "../../../support/event_log.ts";
import { openSharedClock } from "../../../support/monotonic.ts";
import { type NatsCluster, startNatsCluster } from "../../../support/nats_server.ts";
import { startProxy } from "../../../support/proxy.ts";
import { sleep } from "../support.ts";
import { checkHistory } from "./checker.ts";
import { Faults } from "./faults.ts";
import { type KnownEvent, readJournals } from "./history.ts";
import { ProgramInPlace } from "./processes.ts";
import type { ReaderArguments } from "./reader_process.ts";
import { replica } from "./replicas.ts";
import { known } from "./work.ts";
import type { WriterArguments } from "./writer_process.ts";

const ROUNDS = Number(Deno.env.get("AETHER_CHAOS_ROUNDS") ?? 1);
/** Another one in each long run. */
const SEED = Number(
  Deno.env.get("AETHER_CHAOS_SEED") ?? (ROUNDS > 1 ? Math.floor(Math.random() * 2 ** 31) : 4_711),
);

/** Longer than all faults of a round together: a save with so much time has no reason to give up. */
const PATIENT_MS = 180_000;
/** Shorter than most faults at a leader: unknown outcomes come about, and are settled by who appends again. */
const IMPATIENT_MS = 3_000;

Deno.test("processes on three servers, with everything failing: every answer is true, and all see one log", async () => {
  const folder = await Deno.makeTempDir({ prefix: "aether-chaos-" });
  const programs: ProgramInPlace[] = [];
  try {
    await run(folder, programs);
  } catch (error) {
    console.error(`AETHER_CHAOS_SEED=${SEED} AETHER_CHAOS_ROUNDS=${ROUNDS}`);
    throw error;
  } finally {
    for (const program of programs) await program.end();
    await Deno.remove(folder, { recursive: true });
  }
});

async function run(folder: string, programs: ProgramInPlace[]): Promise<void> {
  const random = seededRandom(SEED);
  await using cluster = await startNatsCluster(3, { isolable: true });
  await (await JetStreamEventStore.open(cluster.urls, { replicas: 3, retention: "forever" })).close();
  using clock = openSharedClock();
  const proxies = cluster.servers.map((server) => startProxy(server.url));
  await using closing = new AsyncDisposableStack();
  for (const proxy of proxies) closing.use(proxy);

  const writers = [PATIENT_MS, PATIENT_MS, IMPATIENT_MS].map((timeout, index) => {
    const name = `writer-${index + 1}`;
    return new ProgramInPlace(name, "./writer_process.ts", (incarnation): WriterArguments => ({
      urls: rotated(proxies.map(({ url }) => url), index),
      folder,
      name,
      incarnation,
      seed: SEED + index * 1_000,
      lanes: 10,
      pause: 15,
      timeout,
      cachedActors: index === 1 ? 5 : 1_000,
    }));
  });
  const readers = [0, 1].map((index) => {
    const name = `reader-${index + 1}`;
    return new ProgramInPlace(name, "./reader_process.ts", (incarnation): ReaderArguments => ({
      urls: rotated(proxies.map(({ url }) => url), index + 1),
      folder,
      name,
      incarnation,
      seed: SEED + 100 + index,
    }));
  });
  programs.push(...writers, ...readers);
  await Promise.all(programs.map((program) => program.start()));

  const faults = new Faults({ cluster, proxies, random, now: () => clock.now() });
  let failing = true;
  const killing = killProcesses(programs, seededRandom(SEED + 1), () => failing);
  killing.catch(() => {}); // awaited below; a fault of the servers may come first
  try {
    for (let round = 0; round < ROUNDS; round++) await faults.round();
  } finally {
    failing = false;
    await killing;
  }
  faults.end();
  await Promise.all(cluster.servers.map((server) => server.ready()));
  await Promise.all(writers.map((writer) => writer.finish()));
  const logs = await finalLogs(cluster);
  await caughtUp(folder, readers, logs[0]!);
  await Promise.all(readers.map((reader) => reader.finish()));

  const journals = readJournals(folder);
  const { outages, stale, damaged } = faults;
  const [log, ...others] = logs;
  const violations = checkHistory({ ...journals, log: log!, outages, stale, damaged });
  const context = (): string =>
    JSON.stringify({ violations: violations.slice(0, 10), faults: faults.done, damaged }, null, 1);
  assert.equal(violations.length, 0, context());
  for (const other of others) assert.deepEqual(other, log);
  const copies: string[][] = [];
  for (const server of cluster.servers) copies.push(await replica(cluster, server, "aether_default"));
  assert.deepEqual(copies[1], copies[0]);
  assert.deepEqual(copies[2], copies[0]);
  await using store = await JetStreamEventStore.open(cluster.urls, { replicas: 3 });
  const report = await store.verify({ expectedPosition: log!.at(-1)!.position });
  assert.deepEqual(report.faults, []);
  assertSomethingHappened(journals);
  const warnings = Object.entries(Object.groupBy(journals.warnings, (code) => code));
  console.log(
    `chaos: ${damaged.length} events damaged on one server, ${journals.reports.length} reads reported it,`,
    `warnings: ${warnings.map(([code, all]) => `${code} ${all!.length}`).join(", ")}`,
  );
}

/** Kills a process now and then, or suspends it. */
async function killProcesses(
  programs: readonly ProgramInPlace[],
  random: () => number,
  goOn: () => boolean,
): Promise<void> {
  while (goOn()) {
    await sleep(1_500 + random() * 3_000);
    const program = programs[Math.floor(random() * programs.length)]!;
    if (random() < 0.7) await program.killAndStart();
    else {
      program.signal("SIGSTOP");
      await sleep(random() * 3_000);
      program.signal("SIGCONT");
    }
  }
}

/** The log as each server hands it out. */
async function finalLogs(cluster: NatsCluster): Promise<KnownEvent[][]> {
  const logs: KnownEvent[][] = [];
  for (const url of cluster.urls) {
    await using store = await JetStreamEventStore.open(url, { replicas: 3 });
    logs.push((await Array.fromAsync(store.readAll())).map(known));
  }
  return logs;
}

/** Waits until the subscriptions have come to the end of the log. */
async function caughtUp(
  folder: string,
  readers: readonly ProgramInPlace[],
  log: readonly KnownEvent[],
): Promise<void> {
  const end = log.at(-1)?.position;
  for (const { name } of readers) {
    const reached = (): boolean => {
      const mine = readJournals(folder).readings.filter(({ process, how }) =>
        process.startsWith(`${name}.`) && how === "subscription"
      );
      return mine.some(({ events }) => events.at(-1)?.[0] === end);
    };
    const deadline = performance.now() + 60_000;
    // Who is not there in time is named by the checker.
    while (!reached() && performance.now() < deadline) await sleep(250);
  }
}

/** A run in which nothing went wrong proves nothing. */
function assertSomethingHappened({ attempts, looks, readings }: ReturnType<typeof readJournals>): void {
  const count = (kind: string | undefined): number =>
    attempts.filter(({ answer }) => answer?.kind === kind).length;
  const counts = {
    stored: count("stored"),
    conflicts: count("conflict"),
    unknown: count("unknown"),
    refused: count("refused"),
    damaged: count("damaged"),
    killed: count(undefined),
    looks: looks.length,
    readings: readings.length,
  };
  console.log(`chaos: seed ${SEED}, ${JSON.stringify(counts)}`);
  assert(counts.stored > 100 && counts.conflicts > 0 && readings.length > 2, JSON.stringify(counts));
}

function rotated<T>(values: readonly T[], by: number): T[] {
  return values.map((_, index) => values[(index + by) % values.length]!);
}
