/** Stores and servers that go away and come back, and a tab that sleeps. */

import assert from "node:assert/strict";
import { InMemoryEventStore } from "../../../mod.ts";
import { startNatsServer } from "../../support/nats_server.ts";
import { startBrowser, type TestBrowser } from "./browser.ts";
import { type OrderEvent, placeOrders } from "./orders.ts";
import { natsPlace, serve } from "./places.ts";

Deno.test("a page shows that it was cut off, and goes on by itself", async (t) => {
  await using browser = await startBrowser("the studio without its store");
  if (!browser) return;
  await t.step("when the store goes away and comes back", () => checkStore(browser));
  await t.step("when the studio's server ends and is started again", () => checkServer(browser));
  await t.step("when the log was replaced meanwhile, by a click", () => checkReplaced(browser));
  await t.step("in a tab that has slept, nothing is missing", () => checkSleep(browser));
});

async function checkStore(browser: TestBrowser): Promise<void> {
  await using nats = await startNatsServer();
  await using place = await natsPlace(nats);
  await placeOrders(place.store, 0, 3);
  await using served = serve(place.store);
  await using page = await browser.open(served.url);
  await page.see(/Live.*order-2/);
  await nats.kill();
  await page.see(/Connection lost\..*Not connected/);
  await nats.restart();
  await page.see("The connection is back.");
  await page.see("Live");
  await placeOrders(place.store, 3, 4);
  await page.see("order-3", ".log-list");
  await page.go("#/actor/order-3");
  await page.see(/4 OrderShipped/, ".timeline");
  assert.deepEqual(page.faults, []);
}

async function checkServer(browser: TestBrowser): Promise<void> {
  await using store = new InMemoryEventStore<OrderEvent>();
  await placeOrders(store, 0, 3);
  const first = serve(store);
  await using page = await browser.open(first.url);
  try {
    await page.see(/Live.*order-2/);
  } finally {
    await first[Symbol.asyncDispose]();
  }
  await page.see(/Connection lost\..*Not connected/);
  await placeOrders(store, 3, 5);
  await page.go("#/actors");
  await page.see(/does not answer/, "[role=alert]");
  await page.go("#/log");
  await using _second = serve(store, {}, first.port);
  await page.see(/The connection is back.*Live.*order-4.*order-3.*order-2/);
  assert.deepEqual(page.faults, []);
}

async function checkReplaced(browser: TestBrowser): Promise<void> {
  await using before = new InMemoryEventStore<OrderEvent>();
  await placeOrders(before, 0, 3);
  const first = serve(before);
  await using page = await browser.open(first.url);
  await using actor = await browser.open(`${first.url}#/actor/order-1`);
  try {
    await page.see(/Live.*order-2/);
    await actor.see(/4 OrderShipped/, ".timeline");
  } finally {
    await first[Symbol.asyncDispose]();
  }
  await using after = new InMemoryEventStore<OrderEvent>();
  await placeOrders(after, 1, 2);
  await placeOrders(after, 7, 9);
  await using _second = serve(after, {}, first.port);
  await page.see("is of another log", "[role=alert]");
  await page.click("Try again");
  await page.see(/Live.*order-8/);
  assert.doesNotMatch(await page.text(".log-list"), /order-2/);
  await placeOrders(after, 9, 10);
  await page.see("order-9", ".log-list");
  await actor.see(/Latest.*4 OrderShipped/);
  assert.deepEqual([...page.faults, ...actor.faults], []);
}

async function checkSleep(browser: TestBrowser): Promise<void> {
  await using store = new InMemoryEventStore<OrderEvent>();
  await placeOrders(store, 0, 3);
  await using served = serve(store);
  await using page = await browser.open(served.url);
  await page.see(/Live.*order-2/);
  await page.lifecycle("frozen");
  await placeOrders(store, 3, 40);
  await page.lifecycle("active");
  await page.see("order-39", ".log-list");
  const text = await page.text(".log-list");
  for (let index = 3; index < 40; index++) assert.match(text, new RegExp(`order-${index}\\b`));

  await page.lifecycle("frozen");
  const event = { eventType: "PaymentReceived" as const, data: { amount: 1, method: "card" } };
  for (let version = 0; version < 20_000; version += 1_000) {
    await store.append("busy", new Array(1_000).fill(event), { expectedVersion: version });
  }
  await placeOrders(store, 40, 41);
  await page.lifecycle("active");
  await page.see(/order-40.*busy.* events came too fast to be shown.*busy/, ".log-list");
  assert((await page.page.$$(".log-list tr")).length < 600, "a page holds a bounded part of the log");
  assert.deepEqual(page.faults, []);
}
