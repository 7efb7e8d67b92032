/**
 * What telemetry records of publications and deliveries.
 *
 * @module
 */

import type { Event } from "../event/types.ts";
import { type Telemetry, telemetry } from "../telemetry.ts";
import type { Delivery } from "./publication.ts";
import type { Loss } from "./types.ts";

/** The kinds of buses. */
export type BusKind = "local" | "nats";

/** Publishes within a span, whose trace context goes with the event. */
export function observePublication(
  observed: Telemetry,
  bus: BusKind,
  namespace: string,
  event: Event,
  publish: (traceparent: string | undefined) => void,
): void {
  observed.count("aether.bus.published", 1, { "aether.namespace": namespace, "aether.bus": bus });
  const attributes = attributesOf(bus, namespace, event);
  observed.inSpan("aether.publish", { attributes }, ({ traceparent }) => publish(traceparent));
}

/** Runs a handler within a span that the publication has caused. */
export function observeHandler(
  observed: Telemetry,
  bus: BusKind,
  delivery: Delivery,
  handle: () => void | PromiseLike<void>,
): Promise<void> {
  observeLag(observed, delivery);
  const { namespace, event } = delivery;
  const traceparent = delivery.traceparent ?? event.metadata?.traceparent;
  const attributes = attributesOf(bus, namespace, event);
  return observed.inSpan("aether.handle", { attributes, traceparent }, async () => await handle());
}

/** Records how old an event is when it is taken. */
export function observeLag(observed: Telemetry, { namespace, event }: Delivery): void {
  const lag = Math.max(0, Date.now() - Date.parse(event.timestamp)) / 1_000;
  observed.record("aether.subscription.lag", lag, { "aether.namespace": namespace, "aether.source": "bus" });
}

/** Counts events that a subscriber did not get. */
export function countLoss(bus: BusKind, namespace: string, reason: Loss["reason"]): void {
  telemetry()?.count("aether.bus.lost", 1, {
    "aether.namespace": namespace,
    "aether.bus": bus,
    "aether.reason": reason,
  });
}

interface EventAttributes {
  readonly "aether.namespace": string;
  readonly "aether.bus": BusKind;
  readonly "aether.event_type": string;
  readonly "aether.actor_id": string;
}

function attributesOf(bus: BusKind, namespace: string, { eventType, actorId }: Event): EventAttributes {
  return {
    "aether.namespace": namespace,
    "aether.bus": bus,
    "aether.event_type": eventType,
    "aether.actor_id": actorId,
  };
}
