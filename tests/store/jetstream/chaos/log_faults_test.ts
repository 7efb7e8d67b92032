/**
 * Writers whose log is replaced, restored or written to by another program while they write: each answer is true, by the
 * checker.
 */
import assert from "node:assert/strict";
import { DamagedHistoryError, JetStreamEventStore, LogReplacedError } from "@flowmade-one/aether/jetstream";
import { Layout } from "../../../../src/store/jetstream/format/layout.ts";
import { seededRandom } from "../../../support/event_log.ts";
import { openSharedClock, type SharedClock } from "../../../support/monotonic.ts";
import { type NatsServer, startNatsServer } from "../../../support/nats_server.ts";
import { StreamCopy } from "../../../fuzz/jetstream_faults.ts";
import { bytes, client, sleep } from "../support.ts";
import { checkHistory, checkReplaced, type Fault } from "./checker.ts";
import { type Attempt, type History, Journal, readJournals } from "./history.ts";
import { known, Worker } from "./work.ts";

const STREAM = "aether_default";
const TIMEOUT_MS = 30_000;

/** Writers of one test, each with a journal of its own. */
class Writers implements AsyncDisposable {
  readonly clock: SharedClock = openSharedClock();
  readonly #folder = Deno.makeTempDirSync({ prefix: "aether-log-faults-" });
  readonly #journals: Journal[] = [];

  /** Lets a writer with a name work on a store, in four lanes; the lanes end at an error of this kind. */
  start(
    store: JetStreamEventStore,
    name: string,
    ending: new (...args: never[]) => Error,
  ): { stop(): Promise<void> } {
    const journal = new Journal(`${this.#folder}/${name}.0.journal`, this.clock);
    this.#journals.push(journal);
    const random = seededRandom(name.length + 4_711);
    const worker = new Worker({ store, journal, name, timeout: TIMEOUT_MS, random });
    const lanes = Array.from({ length: 4 }, () =>
      worker.run(2).catch((error: unknown) => {
        if (!(error instanceof ending)) throw error;
      }));
    return {
      async stop(): Promise<void> {
        worker.stop();
        await Promise.all(lanes);
      },
    };
  }

  /** What the writers with these names were answered. */
  historyOf(...names: readonly string[]): Pick<History, "attempts" | "looks" | "readings"> {
    const { attempts, looks } = readJournals(this.#folder);
    const isOf = ({ process }: { readonly process: string }): boolean =>
      names.includes(process.split(".")[0]!);
    return { attempts: attempts.filter(isOf), looks: looks.filter(isOf), readings: [] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const journal of this.#journals) journal.close();
    this.clock[Symbol.dispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Faults of an attempt that only say that it was refused. */
const EXCUSED: readonly Fault[] = ["damage without a cause", "refused though it could be stored"];

/** Checks what writers were answered against the log; an attempt that was refused for its actor's sake has no other reason. */
async function assertTrue(
  store: JetStreamEventStore,
  history: Pick<History, "attempts" | "looks" | "readings">,
  isExcused: (attempt: Attempt) => boolean = () => false,
): Promise<void> {
  const log = (await Array.fromAsync(store.readAll({ onDamage(): void {} }))).map(known);
  const violations = checkHistory({ ...history, log, outages: [], stale: [] }).filter(({ fault, what }) =>
    !(EXCUSED.includes(fault) && isExcused(what as Attempt))
  );
  assert.equal(violations.length, 0, JSON.stringify(violations.slice(0, 5), null, 1));
}

const open = (server: NatsServer): Promise<JetStreamEventStore> =>
  JetStreamEventStore.open(server.url, {
    retention: "forever",
    saveTimeout: TIMEOUT_MS,
    acceptLostTail: true,
  });

Deno.test("writers whose log is replaced while they write are acknowledged nothing more, and leave nothing in the new log", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  await using writers = new Writers();
  await using old = await open(server);
  const first = writers.start(old, "old", LogReplacedError);
  await sleep(700);
  await nats.requests.request(`STREAM.DELETE.${STREAM}`);
  const replacedAt = writers.clock.now();
  await using fresh = await open(server);
  const second = writers.start(fresh, "new", LogReplacedError);
  await sleep(1_000);
  await Promise.all([first.stop(), second.stop()]);
  assert.deepEqual(checkReplaced(writers.historyOf("old").attempts, replacedAt), []);
  await assertTrue(fresh, writers.historyOf("new"));
  assert.equal((await fresh.verify()).ok, true);
  await assert.rejects(
    old.append("hot.0", [{ eventType: "E", data: 1 }], { expectedVersion: "any" }),
    LogReplacedError,
  );
});

Deno.test("writers whose log is restored and grows again are acknowledged only what it holds", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  await using writers = new Writers();
  await using old = await open(server);
  const copy = new StreamCopy(nats, STREAM);
  const kept = writers.start(old, "kept", DamagedHistoryError);
  await sleep(500);
  await kept.stop();
  await copy.take();
  const lost = writers.start(old, "lost", DamagedHistoryError);
  await sleep(500);
  await lost.stop();
  await copy.putBack();
  await using fresh = await open(server);
  const regrown = [
    writers.start(fresh, "regrown", DamagedHistoryError),
    writers.start(old, "late", DamagedHistoryError),
  ];
  await sleep(1_000);
  for (const writer of regrown) await writer.stop();
  const history = writers.historyOf("kept", "regrown", "late");
  // A store that has seen what is lost refuses to go on where it was.
  await assertTrue(fresh, history, ({ process }) => process.startsWith("late"));
  const positions = writers.historyOf("lost").attempts.flatMap(({ answer }) =>
    answer?.kind === "stored" ? answer.events.map(({ position }) => position) : []
  );
  assert(positions.length > 10);
  for (const after of positions.slice(-5)) {
    await assert.rejects(Array.fromAsync(fresh.readAll({ after, limit: 1 })));
  }
  assert.equal((await fresh.verify()).ok, true);
});

Deno.test("writers go on while another program publishes to the subjects of their actors, and after a repair of these", async () => {
  await using server = await startNatsServer();
  await using nats = await client(server.url);
  await using writers = new Writers();
  await using store = await open(server);
  const { config } = await nats.requests.streamInfo(STREAM);
  const layout = new Layout("aether", "default", (config.metadata as Record<string, string>)["aether-log"]!);
  const spoiled = ["hot.0", "warm 3", "gap-1"];
  const first = writers.start(store, "first", DamagedHistoryError);
  await sleep(500);
  for (const actorId of spoiled) {
    await nats.connection.request(layout.subject(actorId), bytes("stray"), { timeout: 60_000 });
  }
  await sleep(500);
  await first.stop();
  const isSpoiled = ({ events, conditions = [] }: Attempt): boolean =>
    [...events, ...conditions].some(({ actorId }) => spoiled.includes(actorId));
  await assertTrue(store, writers.historyOf("first"), isSpoiled);
  for (const actorId of spoiled) await store.repairActor(actorId);
  const second = writers.start(store, "second", DamagedHistoryError);
  await sleep(500);
  await second.stop();
  await assertTrue(store, writers.historyOf("first", "second"), isSpoiled);
  const stored = writers.historyOf("second").attempts.filter(({ answer, events }) =>
    answer?.kind === "stored" && events.some(({ actorId }) => actorId === "hot.0")
  );
  assert(stored.length > 0, "nothing was stored after the repair");
});
