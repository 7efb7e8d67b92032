/**
 * A real server and connections to it, for the tests of the bus over NATS.
 *
 * @module
 */

import { connect, type NatsConnection, type NodeConnectionOptions } from "@nats-io/transport-node";

/** Connects as an application would, and reconnects without waiting long. */
export function connectTo(
  url: string,
  options: Partial<NodeConnectionOptions> = {},
): Promise<NatsConnection> {
  return connect({
    servers: url,
    reconnectTimeWait: 20,
    maxReconnectAttempts: -1,
    ignoreClusterUpdates: true,
    ...options,
  });
}

/** Waits until a condition holds, generously. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
