/**
 * What can be wrong with a connection to NATS.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError, BackendError } from "../errors.ts";

/** No NATS server could be reached, or none took the connection. */
export function serverUnreachable(servers: readonly string[], cause: unknown): BackendError {
  const where = servers.join(", ");
  return new BackendError(
    "connect",
    cause instanceof Deno.errors.NotCapable
      ? `Deno has no permission to reach ${where}: run with --allow-net=${servers.join(",")}.`
      : `No NATS server answers at ${where}. Check the URL, and that the server runs.`,
    { reason: "unreachable", cause },
  );
}

/** The server refused the credentials, or none were given to one that requires them. */
export function credentialsRefused(servers: readonly string[], cause: unknown, given = true): BackendError {
  const server = `The NATS server at ${servers.join(", ")}`;
  return new BackendError(
    "connect",
    given
      ? `${server} refused the credentials. Check the user, password, token or credentials file.`
      : `${server} requires credentials, and none were given: put a user and a password into the URL, or give user, ` +
        "token, credentials or nkey in the options of connect.",
    { reason: "denied", cause },
  );
}

/** The server does not offer TLS, its certificate is not trusted, or it requires one of the client. */
export function tlsFailed(servers: readonly string[], cause: unknown): BackendError {
  const reason = cause instanceof Error ? cause.message : "";
  return new BackendError(
    "connect",
    `The connection to the NATS server at ${
      servers.join(", ")
    } could not be encrypted: ${reason}. Check whether the ` +
      "server offers TLS, and name its authority with tls: { caFile } in the options of connect.",
    { reason: "untrusted", cause },
  );
}

/** The connection was down for too long, or is closed: the message was not sent. */
export class NotConnectedError extends AetherError {
  static {
    registerClass(this, "NotConnectedError");
  }

  /** Creates the error from the state of the connection. */
  constructor(message: string, options?: ErrorOptions) {
    super(`${message} Nothing was sent.`, options);
  }
}

/** A message is larger than the server's `max_payload`, headers included. Nothing was sent. */
export class PayloadTooLargeError extends AetherError {
  static {
    registerClass(this, "PayloadTooLargeError");
  }

  /** Names the size and the limit, headers included, in bytes. */
  constructor(size: number, limit: number, options?: ErrorOptions) {
    super(
      `The message takes ${size} bytes, more than the server's max_payload of ${limit}. Nothing was sent. ` +
        "Raise max_payload on every server of the cluster, or make it smaller.",
      options,
    );
  }
}

/** The server does not run JetStream for this account. */
export function jetStreamDisabled(server: string, options?: ErrorOptions): BackendError {
  return new BackendError(
    "open",
    `The NATS server "${server}" does not run JetStream for this account. Start it with --jetstream, and enable JetStream ` +
      "for the account.",
    { ...options, reason: "unsupported" },
  );
}

/** The server is too old. */
export function serverOutdated(server: string, version: string, needed: string): BackendError {
  return new BackendError(
    "open",
    `The NATS server "${server}" is of version ${version}, and ${needed} or newer is needed. Update it.`,
    { reason: "unsupported" },
  );
}

/** The server refused an operation to this user, who may not publish or subscribe to a subject. */
export function permissionDenied(operation: string, subject: string, cause: unknown): BackendError {
  return new BackendError(
    operation,
    `The NATS user has no permission for "${subject}". Allow it in the server's configuration.`,
    { reason: "denied", cause },
  );
}
