/**
 * What the refusals of a NATS server mean.
 *
 * @module
 */

import { AetherError, ClosedError } from "../../errors.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import { ErrorCode, isConflict, isNotEnabled, isOverLimit } from "../../nats/jetstream/error_codes.ts";
import { BackendError, DamagedHistoryError, InvalidPositionError, StoreOpenError } from "../errors.ts";
import { NotConnectedError, PayloadTooLargeError } from "../../nats/errors.ts";
import type { PublishOutcome, Stored } from "../../nats/jetstream/acknowledgement.ts";
import {
  isDenied,
  isTransient,
  JetStreamApiError,
  NoAnswerError,
  StreamNotFoundError,
} from "../../nats/jetstream/api_errors.ts";

/** Whether JetStream is not enabled for this account. */
export function isDisabled(error: unknown): boolean {
  return error instanceof JetStreamApiError && isNotEnabled(error.code);
}

/** The typed error for an error of the server, with what to do about it. */
export function backendError(operation: string, error: unknown): unknown {
  if (error instanceof AetherError && !isWire(error)) return error;
  return new BackendError(operation, advice(error), { reason: reasonOf(error), cause: error });
}

function reasonOf(error: unknown): BackendError["reason"] {
  if (error instanceof Error && error.cause instanceof BackendError) return error.cause.reason;
  if (error instanceof NoAnswerError) return isDenied(error) ? "denied" : "unreachable";
  if (error instanceof NotConnectedError) return "unreachable";
  if (error instanceof PayloadTooLargeError) return "too-large";
  return error instanceof JetStreamApiError && error.code === 0 ? "denied" : "refused";
}

/** The connection was down, and nothing was sent. */
export interface NotSent {
  /** Distinguishes it from the outcome of a message that was sent. */
  readonly status: "not sent";
  /** Why the connection was not usable. */
  readonly error: NotConnectedError;
}

/** Why a commit could not be stored. */
export function failureOf(subject: string, outcome: Exclude<PublishOutcome | NotSent, Stored>): Error {
  if (outcome.status === "not sent") return outcome.error;
  if (outcome.status === "unknown") return new NoAnswerError(subject, outcome.cause);
  return new JetStreamApiError(subject, outcome.code, outcome.description);
}

/** Throws a `LogReplacedError` if the log is not the one that was opened: that may explain what was found. */
export type CheckLog = () => Promise<void>;

/** Gives the errors of a read a type. */
export async function reading<T>(operation: string, check: CheckLog, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw backendError(operation, await explained(error, check));
  }
}

/** Gives the errors of an iteration a type. */
export async function* iterating<T>(
  operation: string,
  check: CheckLog,
  items: AsyncIterable<T>,
): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    throw backendError(operation, await explained(error, check));
  }
}

/** If something looks damaged or is refused, the log was perhaps made again. */
async function explained(error: unknown, check: CheckLog): Promise<unknown> {
  const isSuspect = error instanceof DamagedHistoryError || error instanceof InvalidPositionError ||
    error instanceof JetStreamApiError;
  if (!isSuspect) return error;
  try {
    await check();
    return error;
  } catch (explanation) {
    return isTransient(explanation) ? error : explanation;
  }
}

/** The typed error for a store that cannot be opened. */
export function openError(connection: NatsConnection, stream: string, cause: unknown): unknown {
  if (cause instanceof AetherError && !isWire(cause)) return cause;
  if (connection.isClosed()) return new ClosedError("connection", { cause });
  const reason = reasonOf(cause);
  const message = `Cannot open the event store on stream "${stream}": ${advice(cause)}`;
  return reason === "refused"
    ? new StoreOpenError(message, { cause })
    : new BackendError("open", message, { reason, cause });
}

const WIRE_ERRORS: ReadonlySet<string> = new Set([
  "JetStreamApiError",
  "StreamNotFoundError",
  "NoAnswerError",
  "NotConnectedError",
  "PayloadTooLargeError",
  "UnreadableAnswerError",
]);

function isWire(error: AetherError): boolean {
  return WIRE_ERRORS.has(error.name);
}

/** What to do about an error of the server's or the connection's. */
export function advice(error: unknown): string {
  if (error instanceof StreamNotFoundError) return "the stream does not exist";
  if (error instanceof NoAnswerError && isDenied(error)) {
    return `the server denied it (${error.message}): give this user the permissions that the documentation lists`;
  }
  if (error instanceof JetStreamApiError) return `${adviceOn(error.code, error.description)} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}

function adviceOn(code: number, description: string): string {
  if (isOverLimit(code)) {
    return `the server's or the account's JetStream limits are reached: ${description}. Raise them, or make room`;
  }
  if (isConflict(code)) return "other writers came first for too long: try again";
  switch (code) {
    case 0:
      return `the server denied it: ${description}. Give this user the permissions that the documentation lists`;
    case ErrorCode.streamStoreFailed:
      return `the server could not store it: ${description}. Raise the stream's or the account's limits, or make room ` +
        "on the disk; what was stored before is safe";
    case ErrorCode.batchDisabled:
      return "the stream accepts no atomic batches: its settings were changed. Set allow_atomic again";
    case ErrorCode.streamSealed:
      return "the stream was sealed: it accepts no more events";
    default:
      return `the server refuses: ${description}`;
  }
}
