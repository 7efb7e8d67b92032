/**
 * The domain of the web service: what can happen to an order. It knows neither HTTP nor stores.
 *
 * @module
 */
import type { Decider, Event, NewEvent } from "@flowmade-one/aether/memory";

/** Something that is ordered; the price of one piece is in cents. */
export interface Item {
  readonly article: string;
  readonly quantity: number;
  readonly price: number;
}

/** What happens to orders. */
export type OrderEvent =
  | Event<"OrderPlaced", { customer: string; items: readonly Item[] }>
  | Event<"OrderPaid", { amount: number }>
  | Event<"OrderShipped", { tracking: string }>
  | Event<"OrderCancelled", { reason: string }>;

/** What can be asked of an order. */
export type OrderCommand =
  | { readonly do: "place"; readonly customer: string; readonly items: readonly Item[] }
  | { readonly do: "pay"; readonly amount: number }
  | { readonly do: "ship"; readonly tracking: string }
  | { readonly do: "cancel"; readonly reason: string };

/** An order as it is after its events. */
export interface Order {
  readonly status: "unknown" | "placed" | "paid" | "shipped" | "cancelled";
  readonly customer: string;
  readonly items: readonly Item[];
  readonly total: number;
  readonly tracking?: string;
}

/** The order is not in a state in which this can be done. */
export class OrderRefusal extends Error {
  override readonly name = "OrderRefusal";
}

/** No such order has been placed. */
export class OrderNotFound extends Error {
  override readonly name = "OrderNotFound";
}

/** What items cost together, in cents. */
export function totalOf(items: readonly Item[]): number {
  return items.reduce((sum, { quantity, price }) => sum + quantity * price, 0);
}

function require(condition: boolean, otherwise: string): void {
  if (!condition) throw new OrderRefusal(otherwise);
}

/** Orders: the state they have, and what commands lead to. */
export const order: Decider<Order, OrderCommand, OrderEvent> = {
  initialState: () => ({ status: "unknown", customer: "", items: [], total: 0 }),

  evolve(state, { eventType, data }): Order {
    switch (eventType) {
      case "OrderPlaced":
        return { status: "placed", ...data, total: totalOf(data.items) };
      case "OrderPaid":
        return { ...state, status: "paid" };
      case "OrderShipped":
        return { ...state, status: "shipped", tracking: data.tracking };
      case "OrderCancelled":
        return { ...state, status: "cancelled" };
    }
  },

  decide(command, { status, total }): readonly NewEvent<OrderEvent>[] {
    if (status === "unknown" && command.do !== "place") throw new OrderNotFound("there is no such order");
    switch (command.do) {
      case "place": {
        require(status === "unknown", "the order has been placed already");
        const { customer, items } = command;
        return [{ eventType: "OrderPlaced", data: { customer, items } }];
      }
      case "pay": {
        const { amount } = command;
        require(status === "placed", `an order that is ${status} cannot be paid`);
        require(amount === total, `the order costs ${total}, and not ${amount}`);
        return [{ eventType: "OrderPaid", data: { amount } }];
      }
      case "ship":
        require(status === "paid", `an order that is ${status} cannot be shipped`);
        return [{ eventType: "OrderShipped", data: { tracking: command.tracking } }];
      case "cancel":
        require(status === "placed" || status === "paid", `an order that is ${status} cannot be cancelled`);
        return [{ eventType: "OrderCancelled", data: { reason: command.reason } }];
    }
  },
};
