/**
 * The read models and reactions of the whole-system test.
 *
 * @module
 */

import type {
  CheckpointStore,
  DenoKvCheckpoints,
  JetStreamCheckpoints,
  KvTransaction,
  Projection,
} from "@flowmade-one/aether";
import { carrierOf, type ShopEvent } from "./shop.ts";

/** The key of the turnover of orders that are paid, and how many they are. */
export const TURNOVER: Deno.KvKey = ["turnover"];

/** What was paid. */
export interface Turnover {
  /** Orders. */
  readonly orders: number;
  /** Their totals. */
  readonly total: number;
}

/** Where read models and checkpoints are kept. */
export interface Places {
  /** The database of the read models. */
  readonly kv: Deno.Kv;
  /** Checkpoints beside them. */
  readonly beside: DenoKvCheckpoints;
  /** Checkpoints in NATS. */
  readonly away: JetStreamCheckpoints;
}

/** Exactly once: sums, in the transaction of the checkpoint. */
export function turnover({ beside }: Pick<Places, "beside">): Projection<ShopEvent, KvTransaction> {
  return {
    name: "turnover",
    checkpoints: beside,
    handle: {
      OrderPlaced: ({ actorId, data }, { transaction }) => transaction.set(["total", actorId], data.total),
      OrderPaid: async ({ actorId }, { transaction }) => {
        const total = await transaction.get<number>(["total", actorId]);
        const { orders, total: sum } = await transaction.get<Turnover>(TURNOVER) ?? { orders: 0, total: 0 };
        transaction.set(TURNOVER, { orders: orders + 1, total: sum + total! });
      },
    },
  };
}

/** At least once: a record a position, which can be written twice. */
export function journal({ kv, away }: Omit<Places, "beside">): Projection<ShopEvent> {
  return {
    name: "journal",
    checkpoints: away,
    handle: async ({ position, id }) => void await kv.set(["journal", position], id),
  };
}

/** A reaction: an order that is paid is to be shipped, and a parcel is to be booked for what is to be shipped. */
export function fulfilment({ away }: Pick<Places, "away">): Projection<ShopEvent> {
  return {
    name: "fulfilment",
    checkpoints: away as CheckpointStore,
    handle: {
      OrderPaid: ({ actorId: order }) => [
        { actorId: `shipment-of-${order}`, events: [{ eventType: "ShipmentRequested", data: { order } }] },
      ],
      ShipmentRequested: ({ data: { order } }) => [
        { actorId: carrierOf(order), events: [{ eventType: "ParcelBooked", data: { order } }] },
      ],
    },
  };
}
