/**
 * Orders of a small shop, as the pages of a studio show them.
 *
 * @module
 */

import type { CheckpointStore, Event, EventStore, NewEvent, Projection } from "../../../mod.ts";

/** What happens to an order. */
export type OrderEvent =
  | Event<"OrderPlaced", { readonly customer: string; readonly items: readonly Item[] }>
  | Event<"ItemAdded", Item>
  | Event<"PaymentReceived", { readonly amount: number; readonly method: string }>
  | Event<"OrderShipped", { readonly carrier: string; readonly address: { readonly city: string } }>
  | Event<"OrderCancelled", { readonly reason: string }>;

/** What is ordered. */
interface Item {
  readonly sku: string;
  readonly quantity: number;
  readonly price: number;
}

/** What an order is like. */
interface Order {
  readonly status: string;
  readonly customer: string | null;
  readonly items: readonly Item[];
  readonly total: number;
  readonly paid: number;
}

const sum = (items: readonly Item[]): number =>
  items.reduce((total, { quantity, price }) => total + quantity * price, 0);

/** Folds an order. */
export const order = {
  initialState: (): Order => ({ status: "none", customer: null, items: [], total: 0, paid: 0 }),
  evolve(state: Order, { eventType, data }: OrderEvent): Order {
    switch (eventType) {
      case "OrderPlaced":
        return { ...state, status: "placed", ...data, total: sum(data.items) };
      case "ItemAdded": {
        const items = [...state.items, data];
        return { ...state, items, total: sum(items) };
      }
      case "PaymentReceived":
        return { ...state, status: "paid", paid: state.paid + data.amount };
      case "OrderShipped":
        return { ...state, status: "shipped" };
      case "OrderCancelled":
        return { ...state, status: "cancelled" };
    }
  },
};

const CITIES = ["Lyon", "Porto", "Ghent", "Graz"];
const item = (index: number): Item => ({
  sku: `sku-${index % 17}`,
  quantity: 1 + index % 3,
  price: 5 + index % 40,
});

/** The events of an order: 3 to 5 of them. */
export function eventsOf(index: number): NewEvent<OrderEvent>[] {
  const items = [item(index), item(index + 5)];
  const placed: NewEvent<OrderEvent> = {
    eventType: "OrderPlaced",
    data: { customer: `customer-${index % 7}`, items },
  };
  const added: NewEvent<OrderEvent> = { eventType: "ItemAdded", data: item(index + 11) };
  const cancelled: NewEvent<OrderEvent> = { eventType: "OrderCancelled", data: { reason: "out of stock" } };
  if (index % 5 === 4) return [placed, added, cancelled];
  const amount = sum([...items, item(index + 11)]);
  return [
    placed,
    added,
    { eventType: "PaymentReceived", data: { amount, method: index % 2 === 0 ? "card" : "invoice" } },
    {
      eventType: "OrderShipped",
      data: { carrier: "post", address: { city: CITIES[index % CITIES.length]! } },
    },
  ];
}

/** Appends some orders, each event in a commit of its own; each names the one before it as its cause. */
export async function placeOrders(store: EventStore<OrderEvent>, from: number, until: number): Promise<void> {
  for (let index = from; index < until; index++) {
    let causationId: string | undefined;
    for (const [version, event] of eventsOf(index).entries()) {
      const metadata = {
        correlationId: `checkout-${index}`,
        ...(causationId !== undefined && { causationId }),
      };
      const [stored] = await store.append(`order-${index}`, [{ ...event, metadata }], {
        expectedVersion: version,
      });
      causationId = stored?.id;
    }
  }
}

const HOUR_MS = 3_600_000;

/** Fills a store with the orders of some days, the last of which has waited for long. */
export async function fillShop(store: EventStore<OrderEvent>): Promise<void> {
  const start = Date.now() - 30 * HOUR_MS;
  for (let index = 0; index < 40; index++) {
    for (const [version, event] of eventsOf(index).entries()) {
      const timestamp = new Date(
        start + (index * 17 % 40) * HOUR_MS / 2 + version * version * 47_000 + index * 331,
      );
      await store.append(`order-${index}`, [{ ...event, timestamp }], { expectedVersion: version });
    }
  }
  // One that was changed again and again, with a night in between.
  const [placed, ...rest] = eventsOf(3);
  const changed = [placed!, eventsOf(4)[1]!, eventsOf(5)[1]!, ...rest];
  for (const [version, event] of changed.entries()) {
    const night = version > 2 ? 14 * HOUR_MS : 0;
    const timestamp = new Date(start + 4 * HOUR_MS + version * version * 61_000 + night);
    const metadata = { correlationId: "checkout-77", userId: "ann" };
    await store.append("order-77", [{ ...event, timestamp, metadata }], { expectedVersion: version });
  }
}

/** A projection of shipments that fails on orders to Porto until it is told not to, and parks them. */
export class Shipments {
  /** Whether the carrier accepts Porto. */
  acceptsPorto = false;
  /** The projection. */
  readonly projection: Projection<OrderEvent>;

  constructor(checkpoints: CheckpointStore<undefined>) {
    this.projection = {
      name: "shipments",
      checkpoints,
      failure: { retries: 0, then: "park" },
      handle: {
        OrderShipped: ({ data }) => {
          if (data.address.city !== "Porto" || this.acceptsPorto) return;
          throw new Error("The carrier refused the address: no route to Porto.");
        },
      },
    };
  }
}
