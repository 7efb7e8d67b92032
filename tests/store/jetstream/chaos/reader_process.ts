/**
 * A process that follows the log by a subscription, and reads pieces of it again and again, until SIGTERM, or until it
 * is killed. The next one in its place goes on behind the last event that it has written down.
 *
 * Argument: a {@linkcode ReaderArguments} as JSON.
 */
import { DamagedHistoryError, JetStreamEventStore } from "@flowmade-one/aether/jetstream";
import { seededRandom } from "../../../support/event_log.ts";
import { openSharedClock } from "../../../support/monotonic.ts";
import { endWithParent } from "../../../support/programs/end_with_parent.ts";
import { Journal, readJournals } from "./history.ts";

/** What the process is told. */
export interface ReaderArguments {
  readonly urls: readonly string[];
  readonly folder: string;
  readonly name: string;
  /** How often it was started before. */
  readonly incarnation: number;
  readonly seed: number;
}

const { urls, folder, name, incarnation, seed } = JSON.parse(Deno.args[0]!) as ReaderArguments;
const PIECE = 300;
endWithParent();
using clock = openSharedClock();
const mine = readJournals(folder).readings.filter(({ process, how }) =>
  process.startsWith(`${name}.`) && how === "subscription"
).sort((a, b) => a.begun - b.begun).at(-1);
const journal = new Journal(`${folder}/${name}.${incarnation}.journal`, clock);
const pieces = new Journal(`${folder}/${name}-pieces.${incarnation}.journal`, clock);
const random = seededRandom(seed + incarnation);
const store = await JetStreamEventStore.open(urls, {
  replicas: 3,
  heartbeat: 300,
  answerTimeout: 1_000,
  readTimeout: 60_000,
  onWarning: ({ code }) => pieces.warning(code),
  connect: { client: { timeout: 1_000, pingInterval: 1_000, maxPingOut: 2, reconnectTimeWait: 50 } },
});
let after = mine?.events.at(-1)?.[0] ?? mine?.after;
const places: string[] = [];
let stopped = false;

async function follow(): Promise<void> {
  journal.reading({ how: "subscription", after, limit: 0, begun: journal.now() });
  for await (const { position, id } of subscription) {
    journal.event(position, id);
    places.push(position);
  }
}

/** Follows again after damage: the copy of one server may be damaged, and another server may lead later. */
async function followAlways(): Promise<void> {
  while (!stopped) {
    try {
      await follow();
    } catch (error) {
      if (!(error instanceof DamagedHistoryError)) throw error;
      journal.damage(error);
      await new Promise((resolve) => setTimeout(resolve, 200));
      after = places.at(-1) ?? after;
      subscription = subscribe();
    }
  }
}

async function readPieces(): Promise<void> {
  while (!stopped) {
    const from = random() < 0.2 ? undefined : places[Math.floor(random() * places.length)];
    const begun = pieces.now();
    const events: (readonly [string, string])[] = [];
    const options = { limit: PIECE, ...(from === undefined ? {} : { after: from }) };
    try {
      for await (const { position, id } of store.readAll(options)) events.push([position, id]);
      pieces.reading({ how: "read", after: from, limit: PIECE, begun }, events);
    } catch (error) {
      if (error instanceof DamagedHistoryError) pieces.damage(error);
      // No server could be reached, which is no answer; no other error is allowed.
      else if (!(error instanceof Error) || error.name !== "BackendError") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const subscribe = (): ReturnType<typeof store.subscribe> =>
  store.subscribe(after === undefined ? {} : { after });
let subscription = subscribe();
Deno.addSignalListener("SIGTERM", () => {
  stopped = true;
  void subscription.close();
});
console.log("ready");
await Promise.all([followAlways(), readPieces()]);
await store.close();
Deno.exit(0); // the signal's listener would keep it alive
