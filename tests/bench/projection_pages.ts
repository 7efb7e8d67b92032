/**
 * Pages of the log: a page of 100 events costs a page, however many events are stored, and however many a commit has.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { EventStore } from "../../mod.ts";
import { concurrently, median, once, type Row } from "./harness.ts";

/** Where the logs of a store are. */
export interface PagesPlace {
  readonly quick: boolean;
  /** Opens an empty log of each kind of store. */
  readonly stores: Readonly<Record<string, (log: string) => Promise<EventStore>>>;
}

/** Events of a page. */
const PAGE = 100;
/** Pages of a measurement: each begins at another place in the middle half of the log. */
const PAGES = 200;
const SMALL_LOG = 5_000;
/** Events a commit of the logs that differ in their length. */
const COMMIT = 100;
/** Events a commit of the log with large ones. */
const LARGE_COMMIT = 1_000;
const ACTORS = 50;

/** A log, and where its pages begin. */
interface Log {
  readonly store: EventStore;
  readonly after: readonly string[];
}

/** Fills a log with events of many actors, so many a commit. */
async function filled(store: EventStore, count: number, commit: number): Promise<Log> {
  const events = Array.from({ length: commit }, (_, index) => (
    { eventType: "OrderPlaced", data: { total: 99.99, items: 3, customer: `customer-${index}` } }
  ));
  await concurrently(
    count / commit,
    8,
    (index) => store.append(`order-${index % ACTORS}`, events, { expectedVersion: "any" }),
  );
  const after: string[] = [];
  let place = 0;
  for await (const { position } of store.readAll()) {
    place++;
    const isBeginning = place >= count / 4 && place < count * 3 / 4 &&
      place % Math.ceil(count / 2 / PAGES) === 0;
    if (isBeginning) after.push(position);
  }
  assert.equal(place, count);
  return { store, after };
}

/** The median time of a page, in microseconds. */
async function page({ store, after }: Log): Promise<number> {
  const times: number[] = [];
  for (const position of after) {
    const begun = performance.now();
    let events = 0;
    for await (const _ of store.readAll({ after: position, limit: PAGE })) events++;
    times.push(performance.now() - begun);
    assert.equal(events, PAGE);
  }
  return median(times) * 1_000;
}

/** The rows. Each fills its logs when it is run. */
export function pagesRows({ quick, stores }: PagesPlace): readonly Row[] {
  const long = quick ? 100_000 : 1_000_000;
  const commits = quick ? 20_000 : 100_000;
  return Object.entries(stores).flatMap(([name, open]): readonly Row[] => {
    const logs = new Map<string, Log>();
    const fill = (log: string, count: number, commit: number): () => Promise<void> =>
      once(async () => void logs.set(log, await filled(await open(log), count, commit)));
    const [small, large] = [fill("small", SMALL_LOG, COMMIT), fill("large", long, COMMIT)];
    const [alone, wide] = [fill("alone", SMALL_LOG, 1), fill("wide", commits, LARGE_COMMIT)];
    return [
      {
        name: `page-of-100-${name}`,
        unit: "us",
        goal: { op: "<=", value: 1.5 },
        baseline: `the same in a log of ${SMALL_LOG} events; ours in one of ${long}`,
        prepare: async () => {
          await small();
          await large();
        },
        measureOurs: () => page(logs.get("large")!),
        measureBaseline: () => page(logs.get("small")!),
      },
      {
        name: `page-of-100-of-large-commits-${name}`,
        unit: "us",
        goal: { op: "<=", value: 1.5 },
        baseline: `the same in a log whose commits have one event each, and not ${LARGE_COMMIT}`,
        prepare: async () => {
          await alone();
          await wide();
        },
        measureOurs: () => page(logs.get("wide")!),
        measureBaseline: () => page(logs.get("alone")!),
      },
    ];
  });
}
