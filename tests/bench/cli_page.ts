/**
 * How soon the studio's first page is painted, after its server is up, in a browser that runs.
 *
 * Where the time goes, as the browser's own trace has it: the script is compiled in 4 ms of the processor and evaluated in
 * 10 ms, the page is laid out in 5 ms, and the server answers in 5 to 15 ms. The rest, most of it, is the browser's: a new
 * process commits the document, makes a script context and paints a frame. The first data is asked for after that paint.
 * To ask for it as soon as the script runs made no difference that could be measured.
 *
 * @module
 */

import { InMemoryEventStore } from "../../mod.ts";
import { startBrowser, type TestBrowser } from "../studio/browser/browser.ts";
import { type OrderEvent, placeOrders } from "../studio/browser/orders.ts";
import { serve } from "../studio/browser/places.ts";
import { once, type Row } from "./harness.ts";

/** What the first picture may take, in milliseconds. */
const PAINTED = 150;

/** The row of the first page, and what ends its browser. */
export function pageRow(): Row & AsyncDisposable {
  let browser: TestBrowser | undefined;
  return {
    name: "studio-first-paint",
    unit: "ms",
    goal: { op: "<=", value: 1 },
    baseline: "the bound; in a browser that runs, without a cache",
    prepare: once(async () => {
      browser = await startBrowser("the studio's first page");
    }),
    measureOurs: () => browser ? paintOf(browser) : Promise.resolve(NaN),
    measureBaseline: () => Promise.resolve(PAINTED),
    async [Symbol.asyncDispose](): Promise<void> {
      await browser?.[Symbol.asyncDispose]();
    },
  };
}

/** When the first text was painted, from the beginning of the navigation. */
async function paintOf(browser: TestBrowser): Promise<number> {
  await using store = new InMemoryEventStore<OrderEvent>();
  await placeOrders(store, 0, 25);
  await using served = serve(store);
  await using page = await browser.open(served.url);
  await page.see("order-24");
  return await page.page.evaluate(() =>
    performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity
  );
}
