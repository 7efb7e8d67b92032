import assert from "node:assert/strict";
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { kvFolder } from "../support/kv_file.ts";
import { startNatsServer } from "../support/nats_server.ts";
import { type Answer, PENS, type Service, startWebService } from "./service_process.ts";

const key = (name: string): Record<string, string> => ({ "idempotency-key": name });
const match = (tag: string): Record<string, string> => ({ "if-match": tag });

/** Takes an order through its life, and every wrong turn on the way. */
async function walkThrough(service: Service): Promise<void> {
  const placed = await service.ask("POST", "/orders", PENS, key("first"));
  assert.equal(placed.status, 201);
  assert.equal(placed.etag, '"1"');
  const path = placed.location!;
  const order = { id: path.slice("/orders/".length), version: 1, status: "placed", ...PENS, total: 450 };
  assert.deepEqual(placed.body, order);
  assert.deepEqual(await service.ask("POST", "/orders", PENS, key("first")), placed);

  const shown = await service.ask("GET", path);
  assert.deepEqual([shown.status, shown.etag, shown.body], [200, '"1"', order]);
  assert.equal((await service.ask("GET", path, undefined, { "if-none-match": '"1"' })).status, 304);

  const pay = { amount: 450 };
  const paid = await service.ask("POST", `${path}/payment`, pay, { ...match('"1"'), ...key("pay") });
  assert.deepEqual([paid.status, paid.etag, paid.body], [200, '"2"', {
    ...order,
    version: 2,
    status: "paid",
  }]);
  const late = await service.ask("POST", `${path}/cancellation`, { reason: "late" }, match('"1"'));
  assert.deepEqual([late.status, late.etag, late.type], [409, '"2"', "application/problem+json"]);
  const early = await service.ask("POST", `${path}/cancellation`, { reason: "early" }, match('"9"'));
  assert.deepEqual([early.status, early.etag], [409, '"2"']);

  const shipped = await service.ask("POST", `${path}/shipment`, { tracking: "FS1" }, match('"2"'));
  assert.deepEqual([shipped.status, shipped.etag, shipped.body?.["tracking"]], [200, '"3"', "FS1"]);
  // The answer to a repetition is the first one, whatever has come since.
  assert.deepEqual(
    await service.ask("POST", `${path}/payment`, pay, { ...match('"1"'), ...key("pay") }),
    paid,
  );
  assert.deepEqual(await service.ask("POST", `${path}/payment`, pay, key("pay")), paid);
  const refused = await service.ask("POST", `${path}/cancellation`, { reason: "late" });
  assert.deepEqual([refused.status, refused.body?.["detail"]], [
    409,
    "an order that is shipped cannot be cancelled",
  ]);

  const item = PENS.items[0]!;
  const wrong: [status: number, detail: RegExp, ...Parameters<Service["ask"]>][] = [
    [400, /customer: must be/, "POST", "/orders", { items: PENS.items }],
    [400, /items: must be/, "POST", "/orders", { customer: "Ada", items: [] }],
    [400, /items\[1\]\.quantity: must be/, "POST", "/orders", {
      customer: "Ada",
      items: [item, { ...item, quantity: 0.5 }],
    }],
    [400, /a JSON object/, "POST", "/orders", "{"],
    [400, /a JSON object/, "POST", "/orders", []],
    [400, /Idempotency-Key/, "POST", "/orders", PENS, key("x".repeat(256))],
    [400, /If-Match/, "POST", `${path}/payment`, pay, match("2")],
    [413, /bytes/, "POST", "/orders", { ...PENS, customer: "x".repeat(100_000) }],
    [415, /application\/json/, "POST", "/orders", "x", { "content-type": "text/plain" }],
    [422, /another request/, "POST", "/orders", { ...PENS, customer: "Bob" }, key("first")],
    [422, /another request/, "POST", `${path}/payment`, pay, { ...match('"3"'), ...key("pay") }],
    [404, /no such order/, "GET", "/orders/none"],
    [404, /no such order/, "POST", "/orders/none/payment", pay],
    [404, /nothing at/, "POST", `${path}/refund`, pay],
    [404, /nothing at/, "POST", `${path}/constructor`, pay],
    [404, /nothing at/, "GET", "/"],
    [405, /DELETE/, "DELETE", path],
    [405, /GET/, "GET", "/orders"],
  ];
  for (const [status, detail, ...request] of wrong) {
    const answer = await service.ask(...request);
    const { title, ...problem } = answer.body as { title: string; status: number; detail: string };
    assert.deepEqual([answer.status, answer.type, problem.status], [
      status,
      "application/problem+json",
      status,
    ]);
    assert.match(problem.detail, detail);
    assert.match(title, /^[A-Z]/);
  }
  assert.equal((await service.ask("GET", path)).etag, '"3"');
}

/** Lets clients come at once. */
async function compete(service: Service): Promise<void> {
  const clients = Array.from({ length: 12 }, (_, client) => client);
  const sorted = (answers: Answer[]): number[] => answers.map(({ status }) => status).sort();
  const oneOf12 = [200, ...Array(11).fill(409)];

  const placed = await Promise.all(clients.map(() => service.ask("POST", "/orders", PENS, key("at once"))));
  const [first] = placed;
  for (const answer of placed) assert.deepEqual(answer, first);
  const path = first!.location!;

  const paid = await Promise.all(
    clients.map(() => service.ask("POST", `${path}/payment`, { amount: 450 }, match('"1"'))),
  );
  assert.deepEqual(sorted(paid), oneOf12);
  for (const { etag } of paid) assert.equal(etag, '"2"');

  const reasons = clients.map((client) => ({ reason: `client ${client}` }));
  const cancelled = await Promise.all(
    reasons.map((reason) => service.ask("POST", `${path}/cancellation`, reason)),
  );
  assert.deepEqual(sorted(cancelled), oneOf12);
  assert.equal((await service.ask("GET", path)).etag, '"3"');
}

Deno.test("examples/web_service on Deno KV: commands, conflicts, repetitions and problems", async () => {
  await using folder = await kvFolder();
  await using service = await startWebService(folder.path);
  await walkThrough(service);
  await compete(service);
});

Deno.test("examples/web_service on JetStream: commands, conflicts, repetitions and problems", async () => {
  await using folder = await kvFolder();
  await using server = await startNatsServer();
  await using service = await startWebService(folder.path, server.url);
  await walkThrough(service);
  await compete(service);
});

Deno.test("examples/web_service, killed again and again, has done each request once", async () => {
  await using folder = await kvFolder();
  const orders = 120;
  const answers = new Map<number, Answer>();
  for (let round = 0; answers.size < orders; round++) {
    await using service = await startWebService(folder.path);
    const goal = round < 3 ? Math.min(orders, answers.size + 30) : orders;
    let next = 0;
    // Each client goes on until it gets no answer any more: then the service is dead, and all is asked again.
    const clients = Array.from({ length: 6 }, async () => {
      while (next < orders) {
        const number = next++;
        const order = { ...PENS, customer: `customer ${number}` };
        const answer = await service.ask("POST", "/orders", order, key(`order ${number}`)).catch(() => {});
        if (!answer) return;
        assert.equal(answer.status, 201);
        assert.deepEqual(answer, answers.get(number) ?? answer);
        answers.set(number, answer);
        if (answers.size === goal && goal < orders) await service.end("SIGKILL");
      }
    });
    await Promise.all(clients);
  }
  await using store = await DenoKvEventStore.open(`${folder.path}/orders.kv`);
  const stored = await Array.fromAsync(store.readAll());
  assert.equal(stored.length, orders);
  const customers = stored.map(({ data }) => (data as { customer: string }).customer);
  assert.equal(new Set(customers).size, orders);
  assert.equal((await store.verify()).ok, true);
});

Deno.test("examples/web_service, asked to end, ends well, and what it answered is kept", async () => {
  await using folder = await kvFolder();
  const place = (service: Service, number: number): Promise<Answer> =>
    service.ask("POST", "/orders", { ...PENS, customer: `customer ${number}` }, key(`order ${number}`));
  const numbers = Array.from({ length: 60 }, (_, number) => number);
  let answers: (Answer | void)[];
  {
    await using service = await startWebService(folder.path);
    let code: Promise<number> | undefined;
    answers = await Promise.all(numbers.map(async (number) => {
      const answer = await place(service, number).catch(() => {});
      code ??= service.end("SIGTERM");
      return answer;
    }));
    assert.equal(await code, 0);
  }
  assert(answers.some((answer) => answer?.status === 201));
  await using service = await startWebService(folder.path);
  for (const number of numbers) {
    const before = answers[number];
    const answer = await place(service, number);
    assert.equal(answer.status, 201);
    if (before?.status === 503) continue; // its body came too late to be read
    assert.deepEqual(answer, before ?? answer);
  }
});
