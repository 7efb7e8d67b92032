/**
 * The web service as a function on Deno Deploy, with a read model at `/demand`. It has no file system and nothing runs
 * in the background: everything is in Deno KV, and the read model catches up when it is asked for, and once a minute.
 *
 * Deploy it with this file as the entry point and a Deno KV database assigned. Here it runs without any permission:
 *
 * ```sh
 * deno serve --unstable-kv --unstable-cron --host 127.0.0.1 examples/deploy/main.ts
 *
 * curl http://127.0.0.1:8000/demand
 * ```
 *
 * @module
 */
import { DenoKvEventStore } from "@flowmade-one/aether/deno-kv";
import { DenoKvCheckpoints, projectOnce } from "@flowmade-one/aether/projection";
import type { OrderEvent } from "../web_service/order.ts";
import { serveOrders } from "../web_service/orders.ts";
import { demandProjection, readDemand } from "./demand.ts";

const kv = await Deno.openKv();
const store = await DenoKvEventStore.open<OrderEvent>(kv);
const demand = demandProjection(await DenoKvCheckpoints.open(kv));
const orders = serveOrders(store);

/** The time for the read model in a request, and in a call of the clock; what is left is for the next one. */
const REQUEST_BUDGET_MS = 100;
const CRON_BUDGET_MS = 20_000;

Deno.cron("demand", "* * * * *", async () => {
  await projectOnce(store, demand, { budgetMs: CRON_BUDGET_MS });
});

export default {
  async fetch(request: Request): Promise<Response> {
    if (new URL(request.url).pathname !== "/demand") return await orders(request);
    const { caughtUp } = await projectOnce(store, demand, { budgetMs: REQUEST_BUDGET_MS });
    return Response.json({ caughtUp, pieces: await readDemand(kv) });
  },
} satisfies Deno.ServeDefaultExport;
