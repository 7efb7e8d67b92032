/**
 * The event bus: events for the present subscribers, kept apart by namespace, within one process or over NATS.
 *
 * @example React to what is stored
 * ```ts
 * import { INTERNAL_NAMESPACE, LocalEventBus } from "@flowmade-one/aether/bus";
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import assert from "node:assert/strict";
 *
 * await using bus = new LocalEventBus();
 * await using store = new InMemoryEventStore({ bus });
 * const stored = bus.subscribe(INTERNAL_NAMESPACE);
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: { total: 5 } }], { expectedVersion: 0 });
 * for await (const { data } of stored) {
 *   assert.equal(data.eventType, "OrderPlaced");
 *   break;
 * }
 * ```
 *
 * @module
 */

export * from "../event/mod.ts";
export { AetherError, BackendError, ClosedError, InvalidArgumentError } from "../errors.ts";
export type { Warning } from "../warning.ts";
export type {
  BusSubscribeOptions,
  BusSubscription,
  EventBus,
  EventBusOptions,
  Loss,
  NamespacedEvent,
  OverflowPolicy,
} from "./types.ts";
export { SubscriptionOverflowError } from "./errors.ts";
export { LocalEventBus } from "./local.ts";
export { NatsEventBus, type NatsEventBusOpenOptions, type NatsEventBusOptions } from "./nats.ts";
export type { ConnectOptions } from "../nats/connect.ts";
export type {
  NatsConnection,
  NatsMessage,
  NatsMessageHeaders,
  NatsPublishOptions,
  NatsRequestOptions,
  NatsServerInfo,
  NatsStatus,
  NatsStatusIterable,
  NatsSubscription,
  NatsSubscriptionOptions,
} from "../nats/connection.ts";
