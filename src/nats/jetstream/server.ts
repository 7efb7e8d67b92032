/**
 * What a NATS server must be like.
 *
 * @module
 */

import type { NatsConnection } from "../connection.ts";
import type { JetStreamAddress } from "./address.ts";
import { jetStreamDisabled, serverOutdated } from "../errors.ts";

/** The oldest nats-server that works: 2.12.0 never completes an atomic batch. */
export const OLDEST_SERVER = "2.12.1";

/**
 * Checks the server of a connection; while the connection is down, there is nothing to check. A server on the way to the
 * JetStream of another domain or account need not run one.
 *
 * @throws {BackendError} If it does not run JetStream for the account, or is too old.
 */
export function checkServer({ info }: NatsConnection, { writePrefix }: JetStreamAddress): void {
  if (!info) return;
  if (isOlder(info.version, OLDEST_SERVER)) {
    throw serverOutdated(info.server_name, info.version, OLDEST_SERVER);
  }
  if (!info.jetstream && writePrefix === "") {
    throw jetStreamDisabled(info.server_name);
  }
}

function isOlder(version: string, required: string): boolean {
  const parts = version.split(".").map((part) => parseInt(part));
  for (const [index, least] of required.split(".").map(Number).entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part < least;
  }
  return false;
}
