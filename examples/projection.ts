/**
 * A read model over an event log: cases open by week, lead times, and how many cases come through each activity.
 *
 * Import a log first, then run this on the same store as often as you like:
 *
 * ```sh
 * deno task start import permits.csv
 * deno run --unstable-kv --allow-read --allow-write examples/projection.ts aether-data/events.sqlite3
 * ```
 *
 * The read model is in the store's own file and is committed together with the projection's checkpoint. Kill this with
 * `kill -9` in the middle: the next run goes on behind the last commit, and the result is the same.
 *
 * @module
 */
import { DenoKvEventStore, type Event, type StoredEvent } from "@flowmade-one/aether/deno-kv";
import {
  DenoKvCheckpoints,
  type KvTransaction,
  type Projection,
  projectOnce,
} from "@flowmade-one/aether/projection";

const MS_PER_DAY = 86_400_000;
const DAYS_PER_WEEK = 7;
/** Lead times are counted below these bounds, in days. */
const LEAD_TIMES = [1, 7, 14, 28, 56, Infinity];

const [file, namespace = "default"] = Deno.args;
if (file === undefined) {
  console.error("usage: projection.ts STORE [NAMESPACE]");
  Deno.exit(2);
}

/** What is known of a case. */
interface Case {
  readonly first: number;
  readonly last: number;
  readonly activities: readonly string[];
}

/** Monday of an instant's week, as days since 1970-01-01, which was a Thursday. */
function weekOf(instant: number): number {
  const day = Math.floor(instant / MS_PER_DAY);
  return day - (day + 3) % DAYS_PER_WEEK;
}

function leadTimeOf({ first, last }: Case): number {
  return LEAD_TIMES.findIndex((bound) => last - first < bound * MS_PER_DAY);
}

const kv = await Deno.openKv(file);
await using store = await DenoKvEventStore.open(file, { namespace });
await using checkpoints = await DenoKvCheckpoints.open(kv, { namespace });

/** Adds to a number of the read model. */
async function count(model: KvTransaction, key: Deno.KvKey, by: number): Promise<void> {
  model.set(["overview", ...key], (await model.get<number>(["overview", ...key]) ?? 0) + by);
}

async function handle(
  { actorId, eventType, timestamp }: StoredEvent,
  { transaction: model }: { readonly transaction: KvTransaction },
): Promise<void> {
  const key = ["case", namespace, actorId];
  const before = await model.get<Case>(key);
  const instant = Date.parse(timestamp);
  const now: Case = {
    first: before?.first ?? instant,
    last: instant,
    activities: before?.activities.includes(eventType)
      ? before.activities
      : [...before?.activities ?? [], eventType],
  };
  model.set(key, now);
  // It was open in its first week, and is open in every week since its last event.
  const counted = before ? weekOf(before.last) + DAYS_PER_WEEK : weekOf(instant);
  for (let week = counted; week <= weekOf(instant); week += DAYS_PER_WEEK) {
    await count(model, ["week", week], 1);
  }
  if (before) await count(model, ["lead time", leadTimeOf(before)], -1);
  await count(model, ["lead time", leadTimeOf(now)], 1);
  if (now.activities !== before?.activities) await count(model, ["activity", eventType], 1);
}

const overview: Projection<Event, KvTransaction> = {
  name: "overview",
  checkpoints,
  checkpointEvents: 200,
  handle,
};

for (;;) {
  const { handled, caughtUp } = await projectOnce(store, overview, { budgetMs: 500 });
  if (handled > 0) console.error(`${handled} events`);
  if (caughtUp) break;
}

/** The numbers under a key. */
async function numbers(name: string): Promise<[string | number, number][]> {
  const entries = await Array.fromAsync(kv.list<number>({ prefix: ["overview", name] }));
  return entries.map(({ key, value }) => [key[2] as string | number, value]);
}

/** Prints a table, its numbers aligned. */
function print(title: string, rows: readonly (readonly [string, number])[]): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  console.log(`\n${title}`);
  for (const [name, value] of rows) console.log(`  ${name.padEnd(width)}  ${String(value).padStart(6)}`);
}

print(
  "Cases open by week",
  (await numbers("week")).map((
    [week, open],
  ) => [new Date(Number(week) * MS_PER_DAY).toISOString().slice(0, 10), open]),
);
print(
  "Lead times",
  (await numbers("lead time")).map(([index, cases]) => {
    const bound = LEAD_TIMES[Number(index)]!;
    return [bound === Infinity ? `${LEAD_TIMES.at(-2)} days or more` : `below ${bound} days`, cases];
  }),
);
print(
  "Cases by activity",
  (await numbers("activity"))
    // Names of activities come from a file: control characters must not reach the terminal.
    .map(([activity, cases]) => [String(activity).replace(/\p{Cc}/gu, "?"), cases] as const)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)),
);
kv.close();
