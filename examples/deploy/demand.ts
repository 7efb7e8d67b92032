/**
 * A read model: how many pieces of each article have been ordered.
 *
 * @module
 */
import type { CheckpointStore, KvTransaction, Projection } from "@flowmade-one/aether/projection";
import type { OrderEvent } from "../web_service/order.ts";

const KEY = "demand";

/** Counts. What it counts is committed together with its checkpoint: every order counts exactly once. */
export function demandProjection(
  checkpoints: CheckpointStore<KvTransaction>,
): Projection<OrderEvent, KvTransaction> {
  return {
    name: "demand",
    checkpoints,
    handle: {
      async OrderPlaced({ data }, { transaction }): Promise<void> {
        for (const { article, quantity } of data.items) {
          const pieces = await transaction.get<number>([KEY, article]) ?? 0;
          transaction.set([KEY, article], pieces + quantity);
        }
      },
    },
  };
}

/** What has been counted. */
export async function readDemand(kv: Deno.Kv): Promise<Record<string, number>> {
  const entries = await Array.fromAsync(kv.list<number>({ prefix: [KEY] }));
  return Object.fromEntries(entries.map(({ key, value }) => [String(key[1]), value]));
}
