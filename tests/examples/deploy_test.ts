import assert from "node:assert/strict";
import { readDemand } from "../../examples/deploy/demand.ts";
import { kvFolder } from "../support/kv_file.ts";
import { startFunction } from "./function_process.ts";
import { PENS, placeOrder, type Service } from "./service_process.ts";

/** What the read model says once it has caught up. */
async function demandOf(service: Service): Promise<unknown> {
  for (;;) {
    const { status, body } = await service.ask("GET", "/demand");
    assert.equal(status, 200);
    if (body?.["caughtUp"]) return body["pieces"];
  }
}

Deno.test("examples/deploy needs no permission, and its read model exists when it is asked for", async () => {
  await using folder = await kvFolder();
  await using service = await startFunction(folder.path);
  assert.deepEqual(await demandOf(service), {});
  const path = await placeOrder(service, "one");
  await placeOrder(service, "two", { ...PENS, items: [{ article: "paper", quantity: 2, price: 400 }] });
  await placeOrder(service, "two", { ...PENS, items: [{ article: "paper", quantity: 2, price: 400 }] });
  assert.deepEqual(await demandOf(service), { paper: 2, pen: 3 });
  const paid = await service.ask("POST", `${path}/payment`, { amount: 450 }, { "if-match": '"1"' });
  assert.deepEqual([paid.status, paid.etag], [200, '"2"']);
  assert.deepEqual(await demandOf(service), { paper: 2, pen: 3 });
});

Deno.test("examples/deploy, many functions at once that come and are killed: each order counts once", async () => {
  await using folder = await kvFolder();
  let orders = 0;
  for (let round = 0; round < 3; round++) {
    await using survivor = await startFunction(folder.path, folder);
    await using victim = await startFunction(folder.path, folder);
    const place = async (service: Service): Promise<void> => {
      for (let number = 0; number < 10; number++) await placeOrder(service, `order ${orders++}`);
    };
    await Promise.all([survivor, victim].map(place));
    // Both work the read model off at once, and one of them does not come to its end.
    const asked = Promise.all(
      [survivor, victim, victim, survivor].map((service) => service.ask("GET", "/demand").catch(() => {})),
    );
    await victim.end("SIGKILL");
    await asked;
    assert.deepEqual(await demandOf(survivor), { pen: orders * 3 });
  }
});

Deno.test("examples/deploy brings its read model up to date once a minute, whether it is asked for or not", async () => {
  await using folder = await kvFolder();
  await using service = await startFunction(folder.path, folder);
  await placeOrder(service, "one");
  using kv = await Deno.openKv(folder.file);
  for (const deadline = performance.now() + 300_000;;) {
    const demand = await readDemand(kv);
    if (Object.keys(demand).length > 0) return assert.deepEqual(demand, { pen: 3 });
    assert(performance.now() < deadline, "the clock has not called");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
});
