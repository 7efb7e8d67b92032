/** Each view of the studio in a real browser, on each store, with a real cluster. */

import assert from "node:assert/strict";
import type { HTTPRequest } from "puppeteer-core";
import { InMemoryEventStore, projectOnce } from "../../../mod.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { startBrowser, type TestBrowser, type TestPage } from "./browser.ts";
import { order, type OrderEvent, placeOrders, Shipments } from "./orders.ts";
import { kvPlace, memoryPlace, natsPlace, type Place, serve, type Served } from "./places.ts";

Deno.test("each view shows what is stored, and goes on by itself, on each store", async (t) => {
  await using browser = await startBrowser("the studio's pages");
  if (!browser) return;
  await using nats = await startNatsServer();
  await t.step("in memory", () => checkViews(browser, memoryPlace));
  await t.step("Deno KV", () => checkViews(browser, kvPlace));
  await t.step("NATS JetStream", () => checkViews(browser, () => natsPlace(nats)));
});

Deno.test("what is answered for a list that is no longer shown changes nothing", async (t) => {
  await using browser = await startBrowser("the studio's late answers");
  if (!browser) return;
  await using store = new InMemoryEventStore<OrderEvent>();
  for (let index = 0; index < 120; index++) {
    await store.append(`a-${index}`, [{ eventType: "OrderCancelled", data: { reason: "none" } }], {
      expectedVersion: 0,
    });
  }
  await placeOrders(store, 0, 1);
  await using served = serve(store);
  await t.step("of actors", () => checkLateActors(browser, served));
  await t.step("of the log", () => checkLateLog(browser, served, store));
});

/** Keeps the next request of an address from the server; the function that is returned sends it, and waits until it is handled. */
async function holdNext({ page }: TestPage, address: RegExp): Promise<() => Promise<void>> {
  const held = Promise.withResolvers<HTTPRequest>();
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    if (address.test(request.url())) held.resolve(request);
    else void request.continue();
  });
  return async () => {
    const request = await held.promise;
    const answered = page.waitForResponse((response) => response.request() === request);
    await request.continue();
    await answered;
    await page.evaluate(async () => {
      await (await fetch("api/session")).json();
      await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    });
  };
}

async function checkLateActors(browser: TestBrowser, { url }: Served): Promise<void> {
  await using page = await browser.open(`${url}#/actors?prefix=a-`);
  await page.see("More actors");
  const release = await holdNext(page, /api\/actors\?.*after=/);
  await page.click("More actors");
  await page.go("#/actors?prefix=order-");
  await page.see(/^(?!.*a-1).*order-0/, "table");
  await release();
  assert.equal((await page.page.$$("tbody tr")).length, 1);
  assert.deepEqual(page.faults, []);
}

async function checkLateLog(
  browser: TestBrowser,
  { url }: Served,
  store: InMemoryEventStore<OrderEvent>,
): Promise<void> {
  await using page = await browser.open(`${url}#/log?type=OrderCancelled`);
  await page.see("Earlier events");
  const release = await holdNext(page, /api\/log\?.*before=/);
  await page.click("Earlier events");
  await page.go("#/log?type=OrderPlaced");
  await page.see(/Live.*order-0/);
  await placeOrders(store, 1, 2);
  await page.see("order-1", ".log-list");
  await release();
  assert.match(await page.text(".log-list"), /order-1 .*order-0 /);
  assert.deepEqual(page.faults, []);
}

async function checkViews(browser: TestBrowser, open: () => Promise<Place>): Promise<void> {
  await using place = await open();
  const { store, checkpoints } = place;
  await placeOrders(store, 0, 40);
  const shipments = new Shipments(checkpoints);
  await projectOnce(store, shipments.projection);
  await using node = await place.join?.("node-a");
  await using served = serve(store, {
    ...{ name: "shop", deciders: { order }, projections: [shipments.projection], write: true },
    ...(node && { coordinator: node }),
  });
  await using page = await browser.open(served.url);
  await checkLog(page, place);
  await checkActor(page, place);
  await checkProjections(page, shipments);
  await checkCluster(page, place);
  await checkHealth(page);
  assert.deepEqual(page.faults, []);
}

async function checkLog(page: TestPage, { store }: Place): Promise<void> {
  await page.see(/Live.*order-39/);
  await placeOrders(store, 40, 41);
  await page.see("order-40", ".log-list");
  await page.see(/OrderPlaced\s+41/, ".histogram");

  await page.click("Pause");
  await page.see("Paused");
  await placeOrders(store, 41, 42);
  await page.click("Show 4 new events");
  await page.see(/Live.*order-41/);

  await page.click("Earlier events");
  await page.see("order-0", ".log-list");

  await page.page.locator(".histogram-row ::-p-text(OrderCancelled)").click();
  await page.see(/^(?!.*OrderPlaced).*order-39.*order-4/, ".log-list");
  await page.page.locator(".log-list tbody .toggle").click();
  await page.see(/"reason": "out of stock"/, ".details");
  await page.page.locator(".details a").click();
  await page.page.waitForFunction(() => location.hash.startsWith("#/log?position="));
  await page.see(/OrderPlaced.*order-39 .*"reason": "out of stock"/, ".log-list");
}

async function checkActor(page: TestPage, { store }: Place): Promise<void> {
  await page.go("#/actors?prefix=order-3");
  await page.see("order-39", "table");
  await page.page.locator("table a::-p-text(order-3)").click();
  await page.see(/Actor order-3\b.*State at version 4.*"status": "shipped"/);
  const paid = /State at version 3.*"status": "paid".*Difference.*status.*"placed".*"paid".*PaymentReceived/;
  await page.page.focus("input[type=range]");
  await page.page.keyboard.press("ArrowLeft");
  await page.see(paid);
  assert(page.page.url().endsWith("#/actor/order-3?version=3"));
  await page.see(/Caused by\s+ItemAdded.*Has caused\s+OrderShipped/);
  await page.see(/changed: "status": "paid"/, ".json");

  await page.page.locator("input[type=number]").fill("1");
  await page.page.keyboard.press("Tab");
  await page.see(/total\s+\d+\s+\d+/, ".changes");

  await page.copied();
  await page.click("Copy as test");
  await page.see("Copied 3 events");
  assert.match(await page.copied(), /^given\(\[.*OrderPlaced.*ItemAdded.*PaymentReceived.*\]\)\s*$/s);

  await page.page.locator(".event ::-p-text(OrderShipped)").click();
  await page.see("Latest", ".live");
  await store.append("order-3", [{ eventType: "OrderCancelled", data: { reason: "returned" } }], {
    expectedVersion: 4,
  });
  await page.see(/State at version 5.*"status": "cancelled"/);

  await page.go("#/actor/order-3?version=3&compare=0");
  await page.see(/status\s+"none"\s+"paid"/, ".changes");
  await page.go("#/actor/order-3?version=3&compare=0&decider=none");
  await page.see("Version 0 has no event: only a decider has a state there.");
  await page.go("#/actor/order-3?version=1&decider=none");
  await page.see("This is the first version.");

  await page.go("#/actor/nobody");
  await page.see(/There is no actor "nobody"\..*Look for it/);
}

async function checkProjections(page: TestPage, shipments: Shipments): Promise<void> {
  await page.click("Projections", "link");
  await page.see(/shipments, version 1.*behind.*parked/);
  await page.click("Show 8 parked events");
  await page.see(/OrderShipped\s+event 4 of order-1\b.*no route to Porto/);
  const inFirst = (name: string): Promise<void> =>
    page.page.locator(`.parked li:first-child button::-p-text(${name})`).click();
  const inDialog = (name: string): Promise<void> =>
    page.page.locator(`dialog button::-p-text(${name})`).click();

  await inFirst("Retry");
  await page.see(/The handler of "shipments" is called with event 4/, "dialog");
  await inDialog("Cancel");
  await inFirst("Retry");
  await inDialog("Retry");
  await page.see("no route to Porto", "[role=alert]");
  shipments.acceptsPorto = true;
  await inFirst("Retry");
  await inDialog("Retry");
  await page.see(/The event was handled\..*event 4 of order-5/, ".projection");
  await page.see("Hide 7 parked events");
  await inFirst("Discard");
  await page.see(/will never handle event 4 \(OrderShipped\) of "order-5"/, "dialog");
  await inDialog("Discard");
  await page.see("Hide 6 parked events");
  await page.see(/^(?!.*order-[15]\b).*order-13\b/, ".parked");
}

async function checkCluster(page: TestPage, place: Place): Promise<void> {
  await page.click("Cluster", "link");
  if (!place.join) return await page.see("The studio does not know a cluster.");
  await page.see(/1 node\s.*node-a\s+leader\s+64.*64 shards.*Leases.*leader\s+node-a/);
  {
    await using _second = await place.join("node-b");
    await page.see(/2 nodes.*node-b\s+32/);
    await page.see(/Shard \d+: (node-a|no node) \S+ (node-b|no node)/, ".moves");
    await page.page.locator("th button::-p-text(node-b)").click();
    assert.equal((await page.page.$$(".cell.dim")).length, 32);
  }
  await page.see(/1 node\s.*node-a\s+leader\s+64/);
}

async function checkHealth(page: TestPage): Promise<void> {
  await page.click("Health", "link");
  await page.see(/Findings.*Limits\s+Actors of a commit.*Last seal/);
  await page.click("Verify");
  await page.see(/The log is whole: 161 events in 161 commits of 42 actors/);
}
