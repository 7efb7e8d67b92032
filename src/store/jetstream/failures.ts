/**
 * What the refusals of a NATS server mean.
 *
 * @module
 */

import { AetherError } from "../../errors.ts";
import { retryWhile } from "../../nats/patience.ts";
import { abortable } from "../buffered_iteration.ts";
import { BackendError, DamagedHistoryError, InvalidPositionError, StoreOpenError } from "../errors.ts";
import { type NotConnectedError, PayloadTooLargeError } from "../../nats/errors.ts";
import type { PublishOutcome, Stored } from "../../nats/jetstream/acknowledgement.ts";
import {
  isTransient,
  JetStreamApiError,
  NoAnswerError,
  StreamNotFoundError,
} from "../../nats/jetstream/requests.ts";

/** JetStream's error codes that the store has an answer to (server/errors.json of nats-server). */
export const WRONG_LAST_SEQUENCE = 10_071;
/** A replicated stream refuses a write while another one on its subject is under way. */
export const WRITE_IN_FLIGHT = 10_164;
/** A message of a batch is missing when its last one comes. */
export const BATCH_INCOMPLETE = 10_176;
const TOO_MANY_BATCHES = 10_210;
/** The server's queue of what it has not stored yet is full. */
const TOO_MANY_REQUESTS = 10_167;
const STREAM_STORE_FAILED = 10_077;
const INSUFFICIENT_RESOURCES = 10_023;
const STORAGE_EXCEEDED = 10_047;
const MEMORY_EXCEEDED = 10_028;
const ACCOUNT_EXCEEDED = 10_002;
const TOO_MANY_STREAMS = 10_027;
const NOT_ENABLED = 10_076;
const NOT_ENABLED_FOR_ACCOUNT = 10_039;
const BATCH_DISABLED = 10_174;
const STREAM_SEALED = 10_109;
const NO_LEADER: ReadonlySet<number> = new Set([10_008, 10_009, 10_118]);

/** Whether another write came before, or is under way. */
export function isConflict(code: number): boolean {
  return code === WRONG_LAST_SEQUENCE || code === WRITE_IN_FLIGHT;
}

/** Whether the very same publication may be taken later, and was certainly not stored now. */
export function isMomentary(code: number): boolean {
  return code === BATCH_INCOMPLETE || code === TOO_MANY_BATCHES || code === TOO_MANY_REQUESTS ||
    NO_LEADER.has(code);
}

/** Whether JetStream is not there for this account. */
export function isDisabled(error: unknown): boolean {
  return error instanceof JetStreamApiError &&
    (error.code === NOT_ENABLED || error.code === NOT_ENABLED_FOR_ACCOUNT || error.code === 503);
}

export { FIRST_WAIT, LONGEST_WAIT } from "../../nats/patience.ts";

/**
 * Repeats a read for as long as there is no leader, no connection, or no answer.
 *
 * @param isHopeless Returns true if there will never be one again.
 * @param signal Ends the wait: it rejects with the signal's reason.
 */
export async function retryTransient<T>(
  patience: number,
  read: () => Promise<T>,
  isHopeless?: () => boolean,
  signal?: AbortSignal,
): Promise<T> {
  const isMomentary = (error: unknown): boolean => isTransient(error) && !isHopeless?.();
  return await retryWhile({ patience, isMomentary, signal }, () => abortable(read(), signal));
}

/** The typed error for one of the server's, with what to do about it. */
export function backendError(operation: string, error: unknown): unknown {
  if (error instanceof AetherError && !isWire(error)) return error;
  return new BackendError(operation, advice(error), { cause: error });
}

/** The connection was down, and nothing was sent. */
export interface NotSent {
  /** Tells it from what becomes of a message that was sent. */
  readonly status: "not sent";
  /** What became of the connection. */
  readonly error: NotConnectedError;
}

/** Why a commit could not be stored. */
export function failureOf(subject: string, outcome: Exclude<PublishOutcome | NotSent, Stored>): Error {
  if (outcome.status === "not sent") return outcome.error;
  if (outcome.status === "unknown") return new NoAnswerError(subject, outcome.cause);
  const { code, description } = outcome;
  return isConflict(code)
    ? new BackendError("append", "other writers came first for too long: try again")
    : new JetStreamApiError(subject, code, description);
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

/** What looks damaged, or is refused, may be of another log, which was made in the place of this one. */
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
export function openError(stream: string, error: unknown): unknown {
  if (error instanceof AetherError && !isWire(error)) return error;
  return new StoreOpenError(`Cannot open the event store on stream "${stream}": ${advice(error)}`, {
    cause: error,
  });
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
  if (error instanceof PayloadTooLargeError) {
    return `the server takes messages of ${error.limit} bytes, and this one has ${error.size}: raise max_payload on ` +
      "every server of the cluster";
  }
  if (error instanceof NoAnswerError && error.why === "denied") {
    return `the server denied it (${error.message}): give this user the permissions that the documentation lists`;
  }
  if (error instanceof JetStreamApiError) return `${adviceOn(error.code, error.description)} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}

function adviceOn(code: number, description: string): string {
  switch (code) {
    case 0:
      return `the server denied it: ${description}. Give this user the permissions that the documentation lists`;
    case STREAM_STORE_FAILED:
      return `the server could not store it: ${description}. Raise the stream's or the account's limits, or make room ` +
        "on the disk; what was stored before is safe";
    case INSUFFICIENT_RESOURCES:
    case STORAGE_EXCEEDED:
    case MEMORY_EXCEEDED:
    case ACCOUNT_EXCEEDED:
    case TOO_MANY_STREAMS:
      return `the server's or the account's JetStream limits are reached: ${description}. Raise them, or make room`;
    case BATCH_DISABLED:
      return "the stream takes no atomic batches: its settings were changed. Set allow_atomic again";
    case STREAM_SEALED:
      return "the stream was sealed: it takes no more events";
    default:
      return `the server refuses: ${description}`;
  }
}
