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
 *
 * @category Bus
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
