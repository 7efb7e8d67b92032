/**
 * The domain of the whole-system test: orders, their shipments and the parcels of a few carriers.
 *
 * @module
 */

import type { Decider, Event, NewEvent } from "@flowmade-one/aether";

/** What happens. Events of orders name the request that led to them. */
export type ShopEvent =
  | Event<"OrderPlaced", { readonly request: string; readonly total: number }>
  | Event<"OrderPaid", { readonly request: string }>
  | Event<"OrderCancelled", { readonly request: string }>
  | Event<"ShipmentRequested", { readonly order: string }>
  | Event<"ParcelBooked", { readonly order: string }>;

/** What a client may ask for. */
export type Step = "place" | "pay" | "cancel";

/** The shards that orders are divided into. */
export const SHARDS = 12;

/** A request for an order. */
export interface Command {
  /** What is asked for. */
  readonly step: Step;
  /** Names the request: the same again when it is repeated. */
  readonly request: string;
}

/** How an order stands. */
export interface Order {
  /** Its state. */
  readonly status: "unknown" | "placed" | "paid" | "cancelled";
  /** The requests that led to it, with the versions of their events. */
  readonly requests: Readonly<Record<string, number>>;
}

/** An order does not allow what is asked for. */
export class NotAllowedError extends Error {
  override readonly name = "NotAllowedError";
}

/** What each step leads to, and from where. */
export const STEPS = {
  place: { eventType: "OrderPlaced", from: "unknown", to: "placed" },
  pay: { eventType: "OrderPaid", from: "placed", to: "paid" },
  cancel: { eventType: "OrderCancelled", from: "placed", to: "cancelled" },
} as const;

const OUTCOMES: Readonly<Record<string, Order["status"]>> = {
  OrderPlaced: "placed",
  OrderPaid: "paid",
  OrderCancelled: "cancelled",
};

/** The total of an order, made from its name so that everybody knows it. */
export function totalOf(order: string): number {
  return Number(order.replace(/\D/g, "")) % 97 + 1;
}

/** An order's decider. A request that has led to an event already decides nothing. */
export function orderDecider(order: string, checkOwner: () => void): Decider<Order, Command, ShopEvent> {
  return {
    initialState: (): Order => ({ status: "unknown", requests: {} }),
    evolve: (state, event): Order => ({
      status: OUTCOMES[event.eventType] ?? state.status,
      requests: { ...state.requests, [(event.data as { request: string }).request]: event.version },
    }),
    decide({ step, request }, state): readonly NewEvent<ShopEvent>[] {
      checkOwner();
      if (request in state.requests) return [];
      const { eventType, from } = STEPS[step];
      if (state.status !== from) throw new NotAllowedError(`${step}: the order is ${state.status}`);
      return eventType === "OrderPlaced"
        ? [{ eventType, data: { request, total: totalOf(order) } }]
        : [{ eventType, data: { request } }];
    },
  };
}

/** The carrier of an order: a few carriers for all, so that shipments meet. */
export function carrierOf(order: string): string {
  return `carrier-${totalOf(order) % 3}`;
}
