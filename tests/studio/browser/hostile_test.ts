/** Data that is made to harm the one who looks at it, and more of it than a page can hold. */

import assert from "node:assert/strict";
import { InMemoryCheckpoints, InMemoryEventStore, projectOnce } from "../../../mod.ts";
import { startBrowser, type TestBrowser } from "./browser.ts";
import type { OrderEvent } from "./orders.ts";
import { placeOrders } from "./orders.ts";
import { serve } from "./places.ts";

Deno.test("a page of the studio is not harmed by what it shows", async (t) => {
  await using browser = await startBrowser("the studio with hostile data");
  if (!browser) return;
  await t.step(
    "HTML in an id, a type, data, metadata and an error is shown as text",
    () => checkHtml(browser),
  );
  await t.step(
    "100,000 events of one actor scroll, slide and fold in a small page",
    () => checkMany(browser),
  );
  await t.step("nested and long data is cut, and can be shown further", () => checkLarge(browser));
  await t.step("the first page is small", () => checkSize(browser));
});

const HTML = [
  `<img src=x onerror="alert(1)">`,
  `"><script>alert(2)</script>`,
  `'};alert(3);//</title><svg/onload=alert(4)>`,
  "javascript:alert(5)",
  `\u202e<b>gnp.exe\u0000`,
];

async function checkHtml(browser: TestBrowser): Promise<void> {
  await using store = new InMemoryEventStore();
  await using checkpoints = new InMemoryCheckpoints();
  for (const [index, html] of HTML.entries()) {
    const actorId = html.replaceAll("\u0000", "");
    const data = { [html]: html, $ref: html, style: `background:url(https://example.com/${index})` };
    await store.append(
      actorId,
      [{ eventType: html, data, metadata: { correlationId: html, [html]: html } }],
      {
        expectedVersion: 0,
      },
    );
  }
  const projection = {
    ...{ name: `views ${HTML[0]}`, checkpoints, failure: { retries: 0, then: "park" as const } },
    handle: ({ eventType }: { eventType: string }): void => {
      throw new Error(`no view of ${eventType}`);
    },
  };
  await projectOnce(store, projection);
  const deciders = {
    [HTML[0]!]: { initialState: () => ({}), evolve: (_: unknown, event: unknown) => event as object },
  };
  await using served = serve(store as never, {
    ...{ name: HTML[0]!, projections: [projection as never], deciders, write: true },
  });
  await using page = await browser.open(served.url);
  const elements = (): Promise<number> =>
    page.page.$$eval("main img, main script, main b, main svg[onload], iframe", (found) => found.length);
  const shown = /<img src=x onerror="alert\(1\)">/;

  await page.see(shown, ".log-list");
  await page.see(/\\u202e<b>gnp\.exe\\u0000/, ".log-list");
  await page.page.locator(".log-list tbody tr:last-child .toggle").click();
  await page.see(/correlationId <img/, ".details");
  assert.equal(await elements(), 0);
  for (const html of HTML) {
    const actorId = html.replaceAll("\u0000", "");
    await page.go(`#/actor/${encodeURIComponent(actorId)}`);
    await page.see(/State at version 1.*Difference/);
    assert.equal(await elements(), 0, html);
  }
  await page.go("#/actors");
  await page.see(shown, "main table");
  // Each link leads to the actor that it names.
  await page.page.locator("main table a::-p-text(javascript)").click();
  await page.see(/Actor javascript:alert\(5\)/, "h1");
  await page.go("#/projections");
  await page.page.locator("button::-p-text(parked event)").click();
  await page.see(/no view of <img/, ".parked");
  assert.equal(await elements(), 0);
  await page.page.locator(".parked button::-p-text(Discard)").click();
  await page.see(shown, "dialog");
  await page.go(
    `#/actor/${"%"}<img src=x onerror=alert(6)>?version=${HTML[1]}&decider=${HTML[0]}&compare=${HTML[1]}`,
  );
  await page.see(/There is no actor "%%3Cimg/);
  await page.go(`#/${HTML[0]}?position=${encodeURIComponent(HTML[1]!)}&type=${HTML[2]}`);
  await page.see(/position/i, "[role=alert]");
  assert.equal(await elements(), 0);
  assert.deepEqual(page.faults, []);
}

async function checkMany(browser: TestBrowser): Promise<void> {
  await using store = new InMemoryEventStore<OrderEvent>();
  const start = Date.parse("2026-01-01T00:00:00Z");
  for (let version = 0; version < 100_000; version += 1_000) {
    const events = Array.from({ length: 1_000 }, (_, index) => ({
      eventType: "PaymentReceived" as const,
      data: { amount: version + index + 1, method: "card" },
      // A day passes after each 100 events.
      timestamp: new Date(
        start + (version + index) * 1_000 + Math.floor((version + index) / 100) * 86_400_000,
      ),
    }));
    await store.append("busy", events, { expectedVersion: version });
  }
  await using served = serve(store);
  await using page = await browser.open(`${served.url}#/actor/busy`);
  await page.see(/100,000 PaymentReceived.*Latest|Latest.*100,000 PaymentReceived/);
  assert((await page.page.$$("*")).length < 1_500);
  await page.page.focus("[role=listbox]");
  await page.page.keyboard.press("Home");
  await page.see(/Version 1 of 100,000.*amount.*\b1\b/);
  await page.page.keyboard.press("PageDown");
  await page.see(/Version \d\d of 100,000/);
  await page.page.focus("input[type=range]");
  await page.page.$eval("input[type=range]", (slider) => {
    (slider as HTMLInputElement).value = "50101";
    slider.dispatchEvent(new InputEvent("input", { bubbles: true }));
  });
  await page.see(/Version 50,101 of 100,000/);
  await page.see(/50,101 PaymentReceived .* 1 d later/, ".timeline");
  await page.see(/1 long gap folded/, ".strip");
  await page.see(/"amount": 50101/, ".json");
  // Scrolled by hand, and from one end to the other.
  for (const share of [0.9, 0.1, 0.55]) {
    const first = Math.round(100_000 * share);
    await page.page.$eval(
      "[role=listbox]",
      (list, share) => void (list.scrollTop = list.scrollHeight * share),
      share,
    );
    await page.see(new RegExp(`${String(Math.floor(first / 1_000))},\\d{3} PaymentReceived`), ".timeline");
  }
  assert((await page.page.$$("*")).length < 1_500);
  assert((await page.page.$$("[role=option]")).length < 60);
  assert.deepEqual(page.faults, []);
}

async function checkLarge(browser: TestBrowser): Promise<void> {
  await using store = new InMemoryEventStore();
  let deep: unknown = "the bottom";
  for (let depth = 0; depth < 900; depth++) deep = { deep };
  const data = { text: "x".repeat(100_000), list: Array.from({ length: 5_000 }, (_, index) => index), deep };
  await store.append("large", [{ eventType: "Large", data }], { expectedVersion: 0 });
  await using served = serve(store as never);
  await using page = await browser.open(`${served.url}#/actor/large`);
  await page.see(/\(98,000 more characters\)/, ".json");
  assert.equal((await page.page.$$(".json .line")).length, 300);
  await page.page.locator(".json button::-p-text(Show more lines)").click();
  await page.page.waitForFunction(() => document.querySelectorAll(".json .line").length === 3_000);
  assert.deepEqual(page.faults, []);
}

async function checkSize(browser: TestBrowser): Promise<void> {
  await using store = new InMemoryEventStore<OrderEvent>();
  await placeOrders(store, 0, 1);
  await using served = serve(store);
  await using page = await browser.open(served.url);
  await page.see("order-0");
  const sizes = await page.page.evaluate(() =>
    performance.getEntries().flatMap((entry) =>
      entry instanceof PerformanceResourceTiming && /client\/|\/$/.test(entry.name)
        ? [entry.encodedBodySize]
        : []
    )
  );
  const sum = sizes.reduce((sum, size) => sum + size, 0);
  assert(sizes.length > 1 && sum > 20_000 && sum <= 60_000, `${sum} bytes in ${sizes.length} files`);
}
