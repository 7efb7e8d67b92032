/**
 * A real server and connections to it, for the tests of the bus over NATS.
 *
 * @module
 */

import { connect, type NatsConnection, type NodeConnectionOptions } from "@nats-io/transport-node";

export { until } from "../support/until.ts";

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
