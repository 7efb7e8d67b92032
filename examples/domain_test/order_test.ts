/**
 * The tests of a domain: what has happened, what is asked for, what follows. They need no store, no server and no clock.
 *
 * ```sh
 * deno test --unstable-kv examples/domain_test
 * ```
 *
 * @module
 */
import type { NewEvent } from "@flowmade-one/aether/memory";
import { DenoKvCheckpoints } from "@flowmade-one/aether/projection";
import { specifyDecider, specifyProjection } from "@flowmade-one/aether/testing";
import { demandProjection, readDemand } from "../deploy/demand.ts";
import { type Item, order, type OrderEvent, OrderNotFound, OrderRefusal } from "../web_service/order.ts";

const items: readonly Item[] = [
  { article: "pen", quantity: 3, price: 150 },
  { article: "paper", quantity: 1, price: 400 },
];

const placed: NewEvent<OrderEvent> = { eventType: "OrderPlaced", data: { customer: "Ada", items } };
const paid: NewEvent<OrderEvent> = { eventType: "OrderPaid", data: { amount: 850 } };
const shipped: NewEvent<OrderEvent> = { eventType: "OrderShipped", data: { tracking: "FS123" } };
const cancelled: NewEvent<OrderEvent> = { eventType: "OrderCancelled", data: { reason: "too late" } };

const given = (...events: NewEvent<OrderEvent>[]) => specifyDecider(order).given(events);

Deno.test("an order is placed once", () => {
  given().when({ do: "place", customer: "Ada", items })
    .thenEvents([placed])
    .thenState({ status: "placed", customer: "Ada", items, total: 850 });
  given(placed).when({ do: "place", customer: "Bob", items }).thenThrows(OrderRefusal);
});

Deno.test("an order is paid in full, and once", () => {
  given(placed).when({ do: "pay", amount: 850 }).thenEvents([paid]);
  given(placed).when({ do: "pay", amount: 849 }).thenThrows(/costs 850, and not 849/);
  given(placed, paid).when({ do: "pay", amount: 850 }).thenThrows(OrderRefusal);
});

Deno.test("an order is shipped when it is paid", () => {
  given(placed, paid).when({ do: "ship", tracking: "FS123" }).thenEvents([shipped]);
  given(placed).when({ do: "ship", tracking: "FS123" }).thenThrows(/that is placed cannot be shipped/);
});

Deno.test("an order is cancelled until it is shipped", () => {
  given(placed).when({ do: "cancel", reason: "too late" }).thenEvents([cancelled]);
  given(placed, paid).when({ do: "cancel", reason: "too late" }).thenEvents([cancelled]);
  given(placed, paid, shipped).when({ do: "cancel", reason: "too late" }).thenThrows(OrderRefusal);
});

Deno.test("nothing can be done with an order that was never placed", () => {
  given().when({ do: "pay", amount: 0 }).thenThrows(OrderNotFound);
});

Deno.test("the demand for an article is what all orders ask for together", async () => {
  using kv = await Deno.openKv(":memory:");
  await using checkpoints = await DenoKvCheckpoints.open(kv);
  const outcome = await specifyProjection(demandProjection(checkpoints))
    .given([{ actorId: "order.1", ...placed }, { actorId: "order.1", ...paid }])
    .when([{ actorId: "order.2", ...placed }]);
  await outcome.thenReads(() => readDemand(kv), { paper: 2, pen: 6 });
});
