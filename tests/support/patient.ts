/** Connections and requests of a test's own, which wait for a busy server. */
import { connect, type NatsConnection } from "@nats-io/transport-node";

/** Without it nats.js gives a request up after a second, and a busy server takes longer. */
export const PATIENT = { timeout: 60_000 };

/** Connects to a server, whose URL may have a user and a password. */
export function connectPatiently(url: string): Promise<NatsConnection> {
  const { host, username, password } = new URL(url);
  const credentials = username === "" ? {} : { user: username, pass: password };
  return connect({
    servers: host,
    ...credentials,
    ...PATIENT,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 10,
  });
}
