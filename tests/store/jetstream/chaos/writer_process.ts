/**
 * A process that writes until SIGTERM, or until it is killed. The next one in its place first repeats what it had begun.
 *
 * Argument: a {@linkcode WriterArguments} as JSON.
 */
import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { seededRandom } from "../../../support/event_log.ts";
import { openSharedClock } from "../../../support/monotonic.ts";
import { endWithParent } from "../../../support/programs/end_with_parent.ts";
import { Journal, readJournals } from "./history.ts";
import { type Repeatable, Worker } from "./work.ts";

/** What the process is told. */
export interface WriterArguments {
  readonly urls: readonly string[];
  readonly folder: string;
  readonly name: string;
  /** How often it was started before. */
  readonly incarnation: number;
  readonly seed: number;
  readonly lanes: number;
  /** How long each lane waits between saves on average, in milliseconds. */
  readonly pause: number;
  readonly timeout: number;
  readonly cachedActors: number;
}

const { urls, folder, name, incarnation, seed, lanes, pause, timeout, cachedActors } = JSON.parse(
  Deno.args[0]!,
) as WriterArguments;
const self = `${name}.${incarnation}`;
endWithParent();
using clock = openSharedClock();
const open = readJournals(folder).attempts.filter(({ process, answer, how, expected }) =>
  process === `${name}.${incarnation - 1}` && !answer && how === "append" && typeof expected === "number"
) as unknown as Repeatable[];
const journal = new Journal(`${folder}/${self}.journal`, clock);
const store = await JetStreamEventStore.open(urls, {
  replicas: 3,
  retention: "forever",
  answerTimeout: 1_000,
  saveTimeout: timeout,
  readTimeout: 60_000,
  cachedActors,
  onWarning: ({ code }) => journal.warning(code),
  connect: { client: { timeout: 1_000, pingInterval: 1_000, maxPingOut: 2, reconnectTimeWait: 50 } },
});
const worker = new Worker({ store, journal, name: self, timeout, random: seededRandom(seed + incarnation) });
Deno.addSignalListener("SIGTERM", () => worker.stop());
console.log("ready");
for (const repeatable of open) await worker.repeat(repeatable);
await Promise.all(Array.from({ length: lanes }, () => worker.run(pause)));
await store.close();
journal.close();
Deno.exit(0); // the signal's listener would keep it alive
