/** The studio without a mouse, without sight of colours, and on a narrow screen. */

import assert from "node:assert/strict";
import { projectOnce } from "../../../mod.ts";
import { startBrowser, type TestBrowser, type TestPage } from "./browser.ts";
import { order, placeOrders, Shipments } from "./orders.ts";
import { memoryPlace, serve, type Served } from "./places.ts";

/** The views, and what shows that they are complete. */
const VIEWS: readonly (readonly [hash: string, sign: string | RegExp])[] = [
  ["#/log", /Types.*OrderPlaced/],
  ["#/actors", "order-1"],
  ["#/actor/order-3?version=3", /Difference.*Caused by ItemAdded/],
  ["#/projections", "parked"],
  ["#/cluster", /Leases.*node-a/],
  ["#/health", "Findings"],
  ["#/actor/unknown", "There is no actor"],
];

Deno.test("the studio is for everyone", async (t) => {
  await using browser = await startBrowser("the studio's accessibility");
  if (!browser) return;
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  await placeOrders(store, 0, 6);
  const { projection } = new Shipments(checkpoints);
  await projectOnce(store, projection);
  await using node = await place.join!("node-a");
  await using served = serve(store, {
    deciders: { order },
    projections: [projection],
    coordinator: node,
    write: true,
  });
  await t.step("axe finds nothing, in light and dark", () => checkAxe(browser, served));
  await t.step("with the keyboard alone", () => checkKeyboard(browser, served));
  await t.step("on a narrow screen nothing is cut off", () => checkNarrow(browser, served));
  await using read = serve(store, { checkpoints });
  await t.step(
    "a studio that only reads offers no change, and shows how to start one that does",
    () => checkReadOnly(browser, read),
  );
});

async function checkAxe(browser: TestBrowser, { url }: Served): Promise<void> {
  for (const theme of ["light", "dark"] as const) {
    await using page = await browser.open(url, { theme });
    for (const [hash, sign] of VIEWS) {
      await page.go(hash);
      await page.see(sign);
      if (hash === "#/projections") await openParked(page);
      assert.deepEqual(await page.violations(), [], `${hash} ${theme}`);
    }
    await page.go("#/projections");
    await openParked(page);
    await page.page.locator(".parked button::-p-text(Discard)").click();
    await page.see("will never handle", "dialog");
    assert.deepEqual(await page.violations(), [], `a dialog, ${theme}`);
    assert.deepEqual(page.faults, []);
  }
}

async function openParked(page: TestPage): Promise<void> {
  await page.page.locator(".projection button::-p-text(parked events)").click();
  await page.see("no route to Porto");
}

/** The name of what has the focus. */
async function focused(page: TestPage): Promise<string> {
  return await page.page.evaluate(() =>
    document.activeElement?.getAttribute("aria-label") ?? (document.activeElement as HTMLElement).innerText
  );
}

/** Presses Tab until something has the focus. */
async function tabTo(page: TestPage, name: RegExp): Promise<void> {
  const passed: string[] = [];
  for (let presses = 0; presses < 60; presses++) {
    await page.page.keyboard.press("Tab");
    passed.push(await focused(page));
    if (name.test(passed.at(-1)!)) return;
  }
  assert.fail(`${name} is not among ${passed.join(", ")}`);
}

async function press(
  page: TestPage,
  ...keys: Parameters<TestPage["page"]["keyboard"]["press"]>[0][]
): Promise<void> {
  for (const key of keys) await page.page.keyboard.press(key);
}

async function checkKeyboard(browser: TestBrowser, { url }: Served): Promise<void> {
  await using page = await browser.open(url);
  await page.see("order-5");
  await press(page, "Tab");
  assert.equal(await focused(page), "Skip to the content");
  await press(page, "Enter");
  await page.see("Log", "h1:focus");
  await tabTo(page, /^Pause$/);
  await press(page, "Enter");
  await page.see("Paused");
  await tabTo(page, /^\d\d:\d\d/);
  await press(page, "Enter");
  await page.see("correlationId", ".details");

  await page.page.keyboard.down("Alt");
  await press(page, "Digit2");
  await page.page.keyboard.up("Alt");
  await page.see("Actors", "h1:focus");
  await tabTo(page, /^order-3$/);
  await press(page, "Enter");
  await page.see("Actor order-3");
  await tabTo(page, /^Version$/);
  await press(page, "Home");
  await page.see(/State at version 1 .*"status": "placed"/);
  await tabTo(page, /^Events of the actor$/);
  await press(page, "ArrowDown", "ArrowDown");
  await page.see(/State at version 3 .*"status": "paid"/);
  const active = await page.page.$eval(
    "[role=listbox]",
    (list) =>
      document.getElementById(list.getAttribute("aria-activedescendant") ?? "")?.getAttribute(
        "aria-selected",
      ),
  );
  assert.equal(active, "true");

  await page.page.keyboard.down("Alt");
  await press(page, "Digit3");
  await page.page.keyboard.up("Alt");
  await tabTo(page, /parked events$/);
  await press(page, "Enter");
  await tabTo(page, /^Discard$/);
  await press(page, "Enter");
  await page.see("will never handle", "dialog");
  await press(page, "Escape");
  await page.page.waitForFunction(() => document.querySelector("dialog") === null);
  await tabTo(page, /^system|^Theme/);
  await press(page, "Enter", "Enter");
  await page.page.waitForFunction(() => document.documentElement.dataset["theme"] === "dark");
  assert.deepEqual(page.faults, []);
}

async function checkNarrow(browser: TestBrowser, { url }: Served): Promise<void> {
  await using page = await browser.open(url, { width: 360, height: 700 });
  for (const [hash, sign] of VIEWS) {
    await page.go(hash);
    await page.see(sign);
    const width = await page.page.evaluate(() => document.documentElement.scrollWidth);
    assert(width <= 360, `${hash} is ${width} pixels wide`);
  }
  assert.deepEqual(page.faults, []);
}

async function checkReadOnly(browser: TestBrowser, { url }: Served): Promise<void> {
  await using page = await browser.open(`${url}#/projections`);
  await openParked(page);
  await page.see(/read-only.*To retry or discard events, start the studio with --write/);
  assert.deepEqual(
    await page.page.$$eval("main button", (buttons) => buttons.map(({ innerText }) => innerText)),
    [
      "Hide 2 parked events",
    ],
  );
  assert.deepEqual(page.faults, []);
}
