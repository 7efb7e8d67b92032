/**
 * What the failures of a request to a bucket mean for its user.
 *
 * @module
 */
import { AetherError, BackendError, ClosedError } from "../../errors.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import { TOO_MANY_SUBSCRIPTIONS } from "../../nats/connection_state.ts";
import { jetStreamDisabled, PayloadTooLargeError, permissionDenied } from "../../nats/errors.ts";
import { isNotEnabled } from "../../nats/jetstream/error_codes.ts";
import { JetStreamApiError, NoAnswerError, StreamNotFoundError } from "../../nats/jetstream/api_errors.ts";
import { refusalOf } from "../../nats/refusals.ts";
import { bucketLost, unanswered } from "../errors.ts";

/** Whether nothing listens to a request: the stream is missing, or has no leader at the moment. */
export function isUnheard(error: unknown): boolean {
  return error instanceof NoAnswerError && error.why === "no responders";
}

/** The typed error for a bucket that cannot be opened. */
export function openError(connection: NatsConnection, operation: string, error: unknown): Error {
  if (!isUnheard(error) || connection.isClosed()) return bucketError(connection, operation, error);
  return jetStreamDisabled(connection.info?.server_name ?? "", { cause: error });
}

/** The typed error for one of the server's or the connection's. */
export function bucketError(connection: NatsConnection, operation: string, error: unknown): Error {
  if (connection.isClosed()) return new ClosedError("connection", { cause: error });
  if (isForWantOfSubscriptions(error)) {
    return new BackendError(operation, TOO_MANY_SUBSCRIPTIONS, { cause: error });
  }
  const denied = deniedSubject(error);
  if (denied !== undefined) return permissionDenied(operation, denied, error);
  if (error instanceof StreamNotFoundError) return bucketLost(operation, { cause: error });
  if (error instanceof JetStreamApiError && isNotEnabled(error.code)) {
    return jetStreamDisabled(connection.info?.server_name ?? "", { cause: error });
  }
  if (error instanceof PayloadTooLargeError) {
    return new BackendError(operation, error.message, { reason: "too-large", cause: error });
  }
  if (error instanceof AetherError && !WIRE_ERRORS.has(error.name)) return error;
  return unanswered(operation, { cause: refusalOf(connection) ?? error });
}

const WIRE_ERRORS: ReadonlySet<string> = new Set([
  "JetStreamApiError",
  "NoAnswerError",
  "NotConnectedError",
  "UnreadableAnswerError",
]);

/** Whether no answer can arrive, since the server takes no subscription for answers. */
function isForWantOfSubscriptions(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if (inner.message.includes(TOO_MANY_SUBSCRIPTIONS)) return true;
  }
  return false;
}

/** The subject that the server denied, which may be that of the answer: the user may not subscribe to it. */
function deniedSubject(error: unknown): string | undefined {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    const [, subject] =
      /permissions violation for (?:publish|subscription) to "(\S+?)"/i.exec(inner.message) ?? [];
    if (subject !== undefined) return subject;
  }
  return error instanceof NoAnswerError && error.why === "denied" ? error.subject : undefined;
}
