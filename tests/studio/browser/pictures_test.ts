/** The pictures of the guide. With AETHER_PICTURES=1 they are made again. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { projectOnce } from "../../../mod.ts";
import { startBrowser, type TestPage } from "./browser.ts";
import { eventsOf, order, type OrderEvent, placeOrders, Shipments } from "./orders.ts";
import { memoryPlace, type Place, serve } from "./places.ts";

const FOLDER = new URL("../../../src/studio/", import.meta.url);
const MAX_BYTES = 80_000;

Deno.test("each picture of the guide exists, is small, and shows the studio as it is", async () => {
  const guide = await Deno.readTextFile(new URL("README.md", FOLDER));
  const named = Array.from(guide.matchAll(/!\[[^\]]+\]\((pictures\/[^)]+)\)/g), ([, path]) => path!).sort();
  if (Deno.env.get("AETHER_PICTURES")) await makePictures();
  const found = Array.from(Deno.readDirSync(new URL("pictures/", FOLDER)), ({ name }) => `pictures/${name}`);
  assert.deepEqual(found.sort(), named);
  for (const path of found) {
    const { size } = await Deno.stat(new URL(path, FOLDER));
    assert(size > 1_000 && size <= MAX_BYTES, `${path} has ${size} bytes`);
  }
});

/** Orders of some days, the last of which has waited for long. */
async function fill({ store }: Place): Promise<void> {
  const hour = 3_600_000;
  const start = Date.now() - 30 * hour;
  for (let index = 0; index < 40; index++) {
    for (const [version, event] of eventsOf(index).entries()) {
      const timestamp = new Date(
        start + (index * 17 % 40) * hour / 2 + version * version * 47_000 + index * 331,
      );
      await store.append(`order-${index}`, [{ ...event, timestamp } as never], { expectedVersion: version });
    }
  }
  // One that was changed again and again, with a night in between.
  const begin: OrderEvent[] = eventsOf(3) as never;
  let version = 0;
  for (
    const [index, event] of [
      begin[0]!,
      ...eventsOf(4).slice(1, 2),
      ...eventsOf(5).slice(1, 2),
      ...begin.slice(1),
    ].entries()
  ) {
    const timestamp = new Date(start + 4 * hour + index * index * 61_000 + (index > 2 ? 14 * hour : 0));
    const metadata = { correlationId: "checkout-77", userId: "ann" };
    await store.append("order-77", [{ ...event, timestamp, metadata } as never], {
      expectedVersion: version++,
    });
  }
}

async function makePictures(): Promise<void> {
  await using browser = await startBrowser("the pictures of the guide");
  if (!browser) return;
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  await fill(place);
  const { projection } = new Shipments(checkpoints);
  await projectOnce(store, projection);
  await using first = await place.join!("node-a");
  await using _second = await place.join!("node-b");
  await using _third = await place.join!("node-c");
  const name = "shop";
  await using served = serve(store, {
    name,
    deciders: { order },
    projections: [projection],
    coordinator: first,
    write: true,
  });
  for (const theme of ["light", "dark"] as const) {
    await using page = await browser.open(served.url, { theme, width: 1200, height: 720 });
    const isDark = theme === "dark";
    if (!isDark) {
      await page.see("order-77");
      for (let index = 40; index < 60; index++) {
        await placeOrders(store, index, index + 1);
        await new Promise((resolve) => setTimeout(resolve, 150 + index % 7 * 90));
      }
      await page.see("order-59");
      await save(page, "log");
      await page.go("#/projections");
      await page.page.locator("button::-p-text(parked events)").click();
      await page.see("no route to Porto");
      await save(page, "projections");
      await page.go("#/cluster");
      await page.see(/3 nodes/);
      await using _fourth = await place.join!("node-d");
      await page.see(/4 nodes.*node-d 16.*Shard \d+: node-\w \S+ node-d/);
      await save(page, "cluster");
    } else {
      await page.go("#/actor/order-77?version=5");
      await page.see(/State at version 5.*Difference.*Caused by/);
      await save(page, "actor");
      await page.go("#/health");
      await page.see("Findings");
      await page.click("Verify");
      await page.see("The log is whole");
      await save(page, "health");
    }
  }
}

async function save({ page }: TestPage, name: string): Promise<void> {
  const path = fileURLToPath(new URL(`pictures/${name}.webp`, FOLDER));
  await page.screenshot({ path: path as `${string}.webp`, type: "webp", quality: 72 });
}
