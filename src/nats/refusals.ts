/**
 * Credentials that are refused while a connection is open: it goes on trying, and this remembers why it is down.
 *
 * @module
 */

import type { Warn } from "../warning.ts";
import type { NatsConnection } from "./connection.ts";
import type { BackendError } from "../errors.ts";
import { credentialsRefused } from "./errors.ts";

const refused = new WeakMap<NatsConnection, BackendError>();

/** The refusal that keeps a connection disconnected now; `undefined` if there is none. */
export function refusalOf(connection: NatsConnection): BackendError | undefined {
  return refused.get(connection);
}

/** The text of a refusal, without the operation. */
export function refusalText({ operation, message }: BackendError): string {
  return message.slice(`${operation}: `.length);
}

/** Whether the server refused the credentials. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error &&
    (error.name === "AuthorizationError" || error.name === "UserAuthenticationExpiredError");
}

/** Watches a connection until it is closed. Each time that its credentials are refused is reported once. */
export async function watchRefusals(
  connection: NatsConnection,
  servers: readonly string[],
  warn: Warn,
): Promise<void> {
  for await (const { type, error } of connection.status()) {
    if (type === "reconnect") refused.delete(connection);
    if (type !== "error" || !isRefusal(error) || refused.has(connection)) continue;
    const refusal = credentialsRefused(servers, error);
    refused.set(connection, refusal);
    warn({
      code: "credentials-refused",
      message: `${refusalText(refusal)} The connection is tried again until the server accepts them.`,
      cause: refusal,
    });
  }
}
