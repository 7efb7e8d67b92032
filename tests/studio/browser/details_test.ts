/** Segments and rebuilds, a seal, and a studio that is opened in a wrong way or has a wrong decider, in a real browser. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  DenoKvEventStore,
  InMemoryCheckpoints,
  InMemoryEventStore,
  type Projection,
  projectOnce,
  rebuildProjection,
  runProjection,
} from "../../../mod.ts";
import { generateSealKey, SealFolder, sealOnce } from "../../../src/evidence/mod.ts";
import { kvFolder } from "../../support/kv_file.ts";
import { Studio } from "../process.ts";
import { startBrowser, type TestBrowser } from "./browser.ts";
import { type OrderEvent, placeOrders } from "./orders.ts";
import { serve } from "./places.ts";

const DECIDERS = fileURLToPath(new URL("../../cli/programs/order.ts", import.meta.url));

Deno.test("the studio shows segments, a rebuild and a seal, and explains how it is opened", async (t) => {
  await using browser = await startBrowser("the studio's segments, rebuilds, seals and refusals");
  if (!browser) return;
  await t.step("segments, and a version that takes over", () => checkSegments(browser));
  await t.step("long lists, a page at a time", () => checkLists(browser));
  await t.step("a seal, and none", () => checkSeal(browser));
  await t.step("a wrong token, and another host name", () => checkRefusals(browser));
  await t.step("a decider that throws, loops or asks for a permission", () => checkDeciders(browser));
});

async function checkSegments(browser: TestBrowser): Promise<void> {
  await using store = new InMemoryEventStore<OrderEvent>();
  await using checkpoints = new InMemoryCheckpoints();
  await placeOrders(store, 0, 20);
  const gate = Promise.withResolvers<void>();
  const quiet = { onWarning: () => {} };
  const segmented = {
    ...{ name: "orders", checkpoints, segments: 4, checkpointInterval: 1 },
    handle: () => {},
  };
  const version = (version: number): Projection<OrderEvent, undefined> => ({
    ...{ name: "totals", version, checkpoints, checkpointInterval: 1 },
    handle: async ({ actorId }) => {
      if (version === 2 && actorId === "order-9") await gate.promise;
    },
  });
  const last = (await store.getLastPosition())!;
  await using orders = runProjection(store, segmented, quiet);
  await using old = runProjection(store, version(1), quiet);
  await Promise.all([orders.waitFor(last), old.waitFor(last)]);
  await using served = serve(store, { checkpoints });
  await using page = await browser.open(`${served.url}#/projections`);
  await page.see(/orders, version 1.*up to date.*totals, version 1.*up to date/);
  const rows = await page.page.$$eval(
    '[aria-label="Table of segments"] tbody tr',
    (rows) => rows.map(({ innerText }) => innerText.split(/\s+/)),
  );
  assert.deepEqual(rows.map(([index]) => index), ["0", "1", "2", "3"]);
  const handled = await page.page.$$eval(
    '[aria-label="Table of segments"] tbody tr td:nth-child(5)',
    (cells) => cells.reduce((sum, { textContent }) => sum + Number(textContent), 0),
  );
  assert.equal(handled, 76, "each event in one of the segments");
  await using rebuild = rebuildProjection(store, version(2), quiet);
  await page.see(/totals, version 2.*rebuilding.*Rebuilt to replace version 1 \d+ %/);
  gate.resolve();
  await rebuild.takenOver;
  await page.see(/totals, version 1.*Version 2 has taken over\..*totals, version 2.*up to date/);
  assert.deepEqual(await page.violations(), []);
  assert.deepEqual(page.faults, []);
  old.finished.catch(() => {});
}

async function checkLists(browser: TestBrowser): Promise<void> {
  await using store = new InMemoryEventStore<OrderEvent>();
  await using checkpoints = new InMemoryCheckpoints();
  const event = { eventType: "PaymentReceived" as const, data: { amount: 1, method: "card" } };
  for (let actor = 0; actor < 1_050; actor++) {
    await store.append(`payment-${actor}`, [event], { expectedVersion: 0 });
  }
  for (let index = 10; index < 62; index++) {
    await projectOnce(store, { name: `view-${index}`, checkpoints, handle: () => {} });
  }
  await using served = serve(store, { checkpoints });
  await using page = await browser.open(`${served.url}#/projections`);
  await page.see(/view-10, version 1.*view-59, version 1.*Next projections/);
  await page.click("Next projections", "link");
  await page.see(/view-60, version 1.*view-61, version 1.*First projections/);
  assert.equal((await page.page.$$(".projection")).length, 2);
  assert.deepEqual(await page.violations(), []);
  await page.click("First projections", "link");
  await page.see("view-10, version 1");

  await page.go("#/actors");
  for (let pages = 1; pages < 11; pages++) {
    await page.page.waitForFunction(
      (rows) => document.querySelectorAll(".actors tbody tr").length === rows,
      { polling: 30 },
      Math.min(pages, 10) * 100,
    );
    await page.page.$eval("main button.more", (button) => (button as HTMLElement).click());
  }
  await page.page.waitForFunction(
    () => document.querySelector(".actors tbody tr:last-child")?.textContent?.includes("payment-1049"),
    { polling: 30 },
  );
  assert(
    (await page.page.$$(".actors tbody tr")).length <= 1_000,
    "the page keeps a bounded part of the list",
  );
  await page.click("First actors");
  await page.page.waitForFunction(
    () => document.querySelectorAll(".actors tbody tr").length === 100,
    { polling: 30 },
  );
  assert.deepEqual(page.faults, []);
}

async function checkSeal(browser: TestBrowser): Promise<void> {
  await using store = new InMemoryEventStore<OrderEvent>();
  await placeOrders(store, 0, 3);
  const folder = await Deno.makeTempDir();
  try {
    const seal = new SealFolder(folder);
    await using served = serve(store, { seal });
    await using page = await browser.open(`${served.url}#/health`);
    await page.see("The log has not been sealed yet.");
    const { privateKey } = generateSealKey("example.com/orders");
    const { root } = await sealOnce(store, seal, { signer: { key: privateKey } });
    await page.page.reload();
    await page.see(/Last seal.*example\.com\/orders.*Sealed\s+12 events.*Up to/);
    await page.see(root);
    assert.deepEqual(await page.violations(), []);
    assert.deepEqual(page.faults, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A studio as a process, with the options that are given. */
async function startStudio(path: string, file: string, options: readonly string[]): Promise<Studio> {
  {
    await using store = await DenoKvEventStore.open(file);
    const events = [{ eventType: "OrderPlaced", data: { total: 5 } }, {
      eventType: "OrderShipped",
      data: null,
    }];
    await store.append("order-1", events, { expectedVersion: 0 });
  }
  const allow = [`--allow-read=${path}`, `--allow-write=${path}`, "--allow-net=127.0.0.1"];
  return await Studio.start([file, "--port", "0", ...options], [...allow, `--allow-run=${Deno.execPath()}`]);
}

async function checkRefusals(browser: TestBrowser): Promise<void> {
  await using folder = await kvFolder();
  await using studio = await startStudio(folder.path, folder.file, []);
  const { url } = studio;
  const advice = /Open the address that was printed when it was started/;
  for (const path of ["/", "/?token=wrong"]) {
    await using page = await browser.open(url.origin + path);
    await page.see(/This studio is open to the address that was printed.*Open that address/);
    assert.deepEqual(await page.violations(), []);
    await page.page.goto(url.href);
    await page.see("order-1");
    assert.equal(page.page.url(), `${url.origin}/`, "the token does not stay in the address");
  }
  // Each name below "localhost" leads to this machine.
  await using page = await browser.open(`http://studio.localhost:${url.port}/${url.search}`);
  await page.see(/This studio is not "studio\.localhost:\d+"/);
  await page.see(advice);
  assert.equal((await studio.end())[0], 0);
}

async function checkDeciders(browser: TestBrowser): Promise<void> {
  await using folder = await kvFolder();
  const wrong: Readonly<Record<string, RegExp>> = {
    fails: /RangeError: no such total/,
    reads: /asked for a permission, and is run without any/,
    calls: /asked for a permission, and is run without any/,
    loops: /was ended: it did nothing for 5 s/,
  };
  const deciders = Object.keys(wrong).map((name) => `${DECIDERS}#${name}`);
  await using studio = await startStudio(
    folder.path,
    folder.file,
    deciders.flatMap((decider) => ["--decider", decider]),
  );
  await Promise.all(
    Object.entries(wrong).map(async ([name, text]) => {
      const query = encodeURIComponent(`${DECIDERS}#${name}`);
      await using page = await browser.open(studio.url.href);
      await page.see("order-1");
      await page.go(`#/actor/order-1?decider=${query}`);
      await page.see(text, "[role=alert]");
      const shown = await page.text("main");
      assert.match(shown, /OrderShipped/, "the events are shown");
      assert.doesNotMatch(shown, / at \S+:\d+/, "a stack is shown");
      assert.deepEqual(page.faults, []);
    }),
  );
  assert.equal((await studio.end())[0], 0);
}
