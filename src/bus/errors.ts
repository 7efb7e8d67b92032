/**
 * What can go wrong on a bus.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";

/**
 * A subscription whose policy is `"error"` has fallen behind. What its buffer held was delivered before.
 *
 * @example Rebuild a cache when events were lost
 * ```ts
 * import { LocalEventBus, SubscriptionOverflowError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using bus = new LocalEventBus();
 * await using prices = bus.subscribe("prices", { buffer: 1, overflow: "error" });
 * for (const version of [1, 2]) {
 *   await bus.publish("prices", { eventType: "PriceSet", actorId: "apple", version, data: version });
 * }
 * let isStale = false;
 * try {
 *   for await (const _event of prices);
 * } catch (error) {
 *   if (!(error instanceof SubscriptionOverflowError)) throw error;
 *   isStale = true;
 * }
 * assert(isStale);
 * ```
 */
export class SubscriptionOverflowError extends AetherError {
  static {
    registerClass(this, "SubscriptionOverflowError");
  }

  /** The namespace, or the pattern, that was subscribed to. */
  readonly namespace: string;
  /** How many events the buffer held. */
  readonly buffer: number;

  /** Names the subscription. */
  constructor(namespace: string, buffer: number) {
    super(
      `The subscription to "${namespace}" fell ${buffer} events behind: take events faster, give it a larger ` +
        'buffer, or let it lose some by the policy "drop-oldest"',
    );
    this.namespace = namespace;
    this.buffer = buffer;
  }
}

/**
 * The connection under a bus was closed, or has been away for too long. What was to be published was not sent.
 *
 * @example Publish what can be lost, and go on
 * ```ts
 * import { BusDisconnectedError, type EventBus } from "@flowmade-one/aether";
 *
 * async function announce(bus: EventBus, actorId: string, version: number) {
 *   try {
 *     await bus.publish("progress", { eventType: "Advanced", actorId, version, data: null });
 *   } catch (error) {
 *     if (!(error instanceof BusDisconnectedError)) throw error;
 *     console.warn(error.message); // not published: subscribers that must not miss it read the store
 *   }
 * }
 * ```
 */
export class BusDisconnectedError extends AetherError {
  static {
    registerClass(this, "BusDisconnectedError");
  }

  /** Creates the error from the state of the connection. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
