/**
 * How soon the studio's first page is painted, after its server is up, in a browser that has shown another page.
 *
 * Where the time goes, as the browser's own trace has it: the script is compiled in 4 ms of the processor and evaluated in
 * 10 ms, the page is laid out in 5 ms, and the server answers in 5 to 15 ms. The first data is asked for after that paint; to
 * ask for it as soon as the script runs made no difference that could be measured. The row with a page
 * of one word as its baseline shows what a page takes at least, in the same browser and state: about half of what ours takes.
 * Where the rest of the other half goes was not found.
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

const ONE_WORD = "<!doctype html><html lang=en><title>A page</title><p>order-24</p>";

/** The rows of the first page, and what ends their browser. */
export function pageRows(): AsyncDisposable & { readonly rows: readonly Row[] } {
  let browser: TestBrowser | undefined;
  const row = {
    unit: "ms",
    prepare: once(async () => {
      browser = await startBrowser("the studio's first page");
    }),
    measureOurs: () => browser ? paintOfStudio(browser) : Promise.resolve(NaN),
  };
  return {
    rows: [{
      ...row,
      name: "studio-first-paint",
      goal: { op: "<=", value: 1 },
      baseline: "the bound; in a browser that has shown another page, without a cache",
      measureBaseline: () => Promise.resolve(PAINTED),
    }, {
      ...row,
      name: "studio-first-paint-over-one-word",
      baseline: "a page of one word in the same browser",
      measureBaseline: () => browser ? paintOfWord(browser) : Promise.resolve(NaN),
    }],
    async [Symbol.asyncDispose](): Promise<void> {
      await browser?.[Symbol.asyncDispose]();
    },
  };
}

async function paintOfStudio(browser: TestBrowser): Promise<number> {
  await using store = new InMemoryEventStore<OrderEvent>();
  await placeOrders(store, 0, 25);
  await using served = serve(store);
  return await paintOf(browser, served.url);
}

async function paintOfWord(browser: TestBrowser): Promise<number> {
  await using server = serveWord();
  return await paintOf(browser, `http://127.0.0.1:${server.addr.port}/`);
}

function serveWord(): Deno.HttpServer<Deno.NetAddr> {
  const headers = { "content-type": "text/html" };
  const options = { hostname: "127.0.0.1", port: 0, onListen(): void {} };
  return Deno.serve(options, () => new Response(ONE_WORD, { headers }));
}

/** When the first text of a page was painted, from the beginning of the navigation to it. */
async function paintOf(browser: TestBrowser, url: string): Promise<number> {
  await using other = serveWord();
  await using page = await browser.open(`http://127.0.0.1:${other.addr.port}/`);
  await page.see("order-24");
  await page.page.goto(url);
  await page.see("order-24");
  const painted = await page.page.waitForFunction(() =>
    performance.getEntriesByName("first-contentful-paint")[0]?.startTime
  );
  return (await painted.jsonValue())!;
}
