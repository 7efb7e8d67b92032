/** The pictures of the guide. With AETHER_PICTURES=1 they are made again. */

import { fileURLToPath } from "node:url";
import { projectOnce } from "../../../mod.ts";
import { verifyPictures } from "../../support/pictures.ts";
import { startBrowser, type TestPage } from "./browser.ts";
import { fillShop, order, placeOrders, Shipments } from "./orders.ts";
import { memoryPlace, serve } from "./places.ts";

const FOLDER = new URL("../../../src/studio/", import.meta.url);

Deno.test("each picture of the guide exists, is small, and shows the studio as it is", async () => {
  await verifyPictures(FOLDER, makePictures);
});

async function makePictures(): Promise<void> {
  await using browser = await startBrowser("the pictures of the guide");
  if (!browser) return;
  await using place = await memoryPlace();
  const { store, checkpoints } = place;
  await fillShop(store);
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
