/**
 * All parts on NATS JetStream, for production, on one server or on a cluster of three: the event store, the bus between
 * processes, checkpoints of projections, and leases. And what every program needs: events, errors, `replay` and `execute`.
 *
 * It needs nats-server 2.12.1 or newer. **Events are kept for one year by default**: open the store with
 * `{ retention: "forever" }` to keep them all.
 *
 * A program that connects to `nats://127.0.0.1:4222` needs `--allow-net=127.0.0.1:4222`, and no other permission; for a
 * cluster, the address of each server.
 *
 * @example Save and read
 * ```ts ignore
 * import { JetStreamEventStore } from "@flowmade-one/aether/jetstream";
 *
 * await using store = await JetStreamEventStore.open("nats://localhost:4222", { replicas: 3, retention: "forever" });
 * await store.append("order.123", [{ eventType: "OrderPlaced", data: { total: 99.99 } }], { expectedVersion: 0 });
 * const history = await store.getEvents("order.123");
 * ```
 *
 * @module
 */

export * from "../store/jetstream/mod.ts";
export { NatsEventBus, type NatsEventBusOpenOptions, type NatsEventBusOptions } from "../bus/nats.ts";
export { JetStreamLeases, type JetStreamLeasesOptions } from "../cluster/jetstream/leases.ts";
export {
  JetStreamCheckpoints,
  type JetStreamCheckpointsOptions,
} from "../projection/jetstream_checkpoints.ts";
