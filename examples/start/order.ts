/** The domain of the story: an order is placed, shipped, delivered. */

import type { Decider, Event, NewEvent } from "@flowmade-one/aether/deno-kv";

/** What happens to an order. */
export type OrderEvent =
  | Event<"OrderPlaced", { total: number; items: number }>
  | Event<"OrderShipped", { carrier: string; tracking: string }>
  | Event<"OrderDelivered", { signedBy: string }>;

/** What can be asked of an order. */
export type OrderCommand =
  | { readonly type: "place"; readonly total: number; readonly items: number }
  | { readonly type: "ship"; readonly carrier: string; readonly tracking: string }
  | { readonly type: "deliver"; readonly signedBy: string };

/** What an order is, after its events. */
export interface Order {
  readonly status: "new" | "placed" | "shipped" | "delivered";
  readonly total: number;
  readonly tracking: string;
}

/** Decides what a command leads to. It leads to nothing if another process was first. */
export const order: Decider<Order, OrderCommand, OrderEvent> = {
  initialState: () => ({ status: "new", total: 0, tracking: "" }),
  evolve(state, event): Order {
    switch (event.eventType) {
      case "OrderPlaced":
        return { ...state, status: "placed", total: event.data.total };
      case "OrderShipped":
        return { ...state, status: "shipped", tracking: event.data.tracking };
      case "OrderDelivered":
        return { ...state, status: "delivered" };
    }
  },
  decide(command, { status }): NewEvent<OrderEvent>[] {
    switch (command.type) {
      case "place": {
        const { total, items } = command;
        return status === "new" ? [{ eventType: "OrderPlaced", data: { total, items } }] : [];
      }
      case "ship": {
        const { carrier, tracking } = command;
        return status === "placed" ? [{ eventType: "OrderShipped", data: { carrier, tracking } }] : [];
      }
      case "deliver": {
        const { signedBy } = command;
        return status === "shipped" ? [{ eventType: "OrderDelivered", data: { signedBy } }] : [];
      }
    }
  },
};
