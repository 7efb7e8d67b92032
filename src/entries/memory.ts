/**
 * All parts in memory, for tests and prototypes: the event store, the bus of one process, checkpoints of projections, and
 * leases. And what every program needs: events, errors, `replay` and `execute`.
 *
 * @example Save and read
 * ```ts
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-123", [{ eventType: "OrderPlaced", data: { total: 99.99 } }], { expectedVersion: 0 });
 * const [placed] = await store.getEvents("order-123");
 * assert.equal(placed?.version, 1);
 * ```
 *
 * @module
 */

export * from "../store/memory/mod.ts";
export { LocalEventBus } from "../bus/local.ts";
export type { EventBusOptions } from "../bus/types.ts";
export { InMemoryLeases } from "../cluster/in_memory_leases.ts";
export { InMemoryCheckpoints } from "../projection/memory_checkpoints.ts";
