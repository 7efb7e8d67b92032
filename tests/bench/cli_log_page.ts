/**
 * What a page of the studio's Log costs, next to a plain read of as many events from the same places: the rest is the last
 * position, which each page shows, the rows as JSON, and the request.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DenoKvEventStore } from "../../mod.ts";
import { studio } from "../../src/studio/mod.ts";
import { once, type Row } from "./harness.ts";

/** How many events a page has, and one of an actor, and how many pages are read at a time. */
const PAGE = 100;
const PAGE_OF_ACTOR = 50;
const PAGES = 50;

/** The pages of a file: the places that they begin behind. */
interface Pages {
  readonly store: DenoKvEventStore;
  readonly answer: (request: Request) => Promise<Response>;
  readonly places: readonly {
    readonly actorId: string;
    readonly version: number;
    readonly position: string;
  }[];
}

/**
 * The rows of the Log's pages, and what closes the store.
 *
 * @param fill Fills the file: its actors are `order-0`, `order-1` and so on, and each has so many events.
 */
export function logPageRows(
  file: string,
  perActor: number,
  fill: () => Promise<void>,
): AsyncDisposable & { readonly rows: readonly Row[] } {
  let pages: Pages | undefined;
  const ending = new AbortController();
  const prepare = once(async () => {
    await fill();
    const store = await DenoKvEventStore.open(file);
    const answer = studio(store, { signal: ending.signal });
    const places = [];
    for (let number = 0; number < PAGES; number++) {
      // Throughout the log, and with a page behind it.
      const fromVersion = 1 + Math.floor((perActor - PAGE_OF_ACTOR - 1) * number / PAGES);
      const [event] = await Array.fromAsync(store.readEvents(`order-${number}`, { fromVersion, limit: 1 }));
      places.push(event!);
    }
    pages = { store, answer, places };
  });
  const row = { unit: "ms a page", prepare };
  return {
    rows: [{
      ...row,
      name: "studio-log-page",
      baseline: `readAll() of ${PAGE} events from the same places`,
      measureOurs: () => timeOfPages(pages!, PAGE, ({ position }) => `after=${position}`),
      measureBaseline: () =>
        timeOf(pages!, PAGE, ({ store }, { position: after }) => store.readAll({ after, limit: PAGE })),
    }, {
      ...row,
      name: "studio-log-page-of-actor",
      baseline: `readEvents() of ${PAGE_OF_ACTOR} events from the same versions`,
      measureOurs: () =>
        timeOfPages(pages!, PAGE_OF_ACTOR, ({ position, actorId }) => `actor=${actorId}&after=${position}`),
      measureBaseline: () =>
        timeOf(
          pages!,
          PAGE_OF_ACTOR,
          ({ store }, { actorId, version }) =>
            store.readEvents(actorId, { fromVersion: version + 1, limit: PAGE_OF_ACTOR }),
        ),
    }],
    async [Symbol.asyncDispose](): Promise<void> {
      ending.abort();
      await pages?.store.close();
    },
  };
}

/** How long an answer takes, on average, to its last byte. */
async function timeOfPages(
  { answer, places }: Pages,
  limit: number,
  queryOf: (place: Pages["places"][number]) => string,
): Promise<number> {
  const begun = performance.now();
  const texts: string[] = [];
  for (const place of places) {
    const url = `http://127.0.0.1:4380/api/log?limit=${limit}&${queryOf(place)}`;
    texts.push(await (await answer(new Request(url))).text());
  }
  const time = performance.now() - begun;
  for (const text of texts) assert.equal(JSON.parse(text).events.length, limit);
  return time / PAGES;
}

async function timeOf(
  pages: Pages,
  limit: number,
  read: (pages: Pages, place: Pages["places"][number]) => AsyncIterable<unknown>,
): Promise<number> {
  const begun = performance.now();
  for (const place of pages.places) {
    assert.equal((await Array.fromAsync(read(pages, place))).length, limit);
  }
  return (performance.now() - begun) / PAGES;
}
