/**
 * A web service that takes orders. It keeps them in a file of Deno KV; with `NATS_URL`, in JetStream. Start it:
 *
 * ```sh
 * deno run --unstable-kv --allow-net=127.0.0.1:8000 --allow-read=orders.kv --allow-write=orders.kv \
 *   --allow-env=NATS_URL,PORT examples/web_service/main.ts
 *
 * NATS_URL=nats://127.0.0.1:4222 deno run --allow-net=127.0.0.1:8000,127.0.0.1:4222 --allow-env=NATS_URL,PORT \
 *   examples/web_service/main.ts
 * ```
 *
 * and order something, as often as you like: it is ordered once.
 *
 * ```sh
 * curl -i http://127.0.0.1:8000/orders -H 'Content-Type: application/json' -H 'Idempotency-Key: my first order' \
 *   -d '{ "customer": "Ada", "items": [{ "article": "pen", "quantity": 3, "price": 150 }] }'
 * ```
 *
 * What it answers to is written in `orders.ts`. Ctrl+C ends it when the last request is answered; `kill -9` loses
 * nothing that was answered.
 *
 * @module
 */
import { DenoKvEventStore, JetStreamEventStore } from "@flowmade-one/aether";
import type { OrderEvent } from "./order.ts";
import { serveOrders } from "./orders.ts";

const natsUrl = Deno.env.get("NATS_URL");
await using store = natsUrl === undefined
  ? await DenoKvEventStore.open<OrderEvent>("orders.kv")
  : await JetStreamEventStore.open<OrderEvent>(natsUrl, { retention: "forever" });

const server = Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT") ?? 8000) },
  serveOrders(store),
);
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => server.shutdown());
await server.finished;
