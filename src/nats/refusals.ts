/**
 * Credentials that are refused while a connection is open: it goes on trying, and this remembers why it is down.
 *
 * @module
 */

import { warner } from "../warning.ts";
import type { NatsConnection } from "./connection.ts";
import type { BackendError } from "../errors.ts";
import { credentialsRefused } from "./errors.ts";

const refused = new WeakMap<NatsConnection, BackendError>();
const warn = warner(undefined);

/** The refusal that keeps a connection away now; `undefined` if there is none. */
export function refusalOf(connection: NatsConnection): BackendError | undefined {
  return refused.get(connection);
}

/** Whether the server refused the credentials. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error &&
    (error.name === "AuthorizationError" || error.name === "UserAuthenticationExpiredError");
}

/** Watches a connection until it is closed. */
export async function watchRefusals(connection: NatsConnection, servers: readonly string[]): Promise<void> {
  for await (const { type, error } of connection.status()) {
    if (type === "reconnect") refused.delete(connection);
    if (type !== "error" || !isRefusal(error)) continue;
    const refusal = credentialsRefused(servers, error);
    refused.set(connection, refusal);
    warn({
      code: "credentials-refused",
      message: `${refusal.message} The connection is tried again until the server takes them.`,
    });
  }
}
