/**
 * What can go wrong on a bus.
 *
 * @module
 */

import { AetherError } from "../errors.ts";

/** The bus was closed: nothing was published or subscribed to. */
export class BusClosedError extends AetherError {
  /** Always `"BusClosedError"`. */
  override readonly name = "BusClosedError";

  /** Says what to do. */
  constructor() {
    super("The bus is closed: make a new one, or close it later");
  }
}

/** A subscription whose policy is `"error"` has fallen behind. What its buffer held was delivered before. */
export class SubscriptionOverflowError extends AetherError {
  /** Always `"SubscriptionOverflowError"`. */
  override readonly name = "SubscriptionOverflowError";
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

/** The connection under a bus was closed, or has been away for too long. What was to be published was not sent. */
export class BusDisconnectedError extends AetherError {
  /** Always `"BusDisconnectedError"`. */
  override readonly name = "BusDisconnectedError";

  /** Says what became of the connection. */
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
