/**
 * How a failure ends. Every part of a projection (taking it over, reading the checkpoint, reading the log, calling a
 * handler, saving, parking, waiting, the status) asks this one table.
 *
 * | what failed | its end | what follows |
 * | --- | --- | --- |
 * | another worker wrote or took the lease | `superseded` | the checkpoint is read again |
 * | the store was closed by its owner | `closed` | what was handled is committed, and the run ends normally |
 * | an event that its schema or upcaster refuses | `handler` | retries, then the failure policy |
 * | the log: damaged, truncated, replaced, newer than the program | `log` | what was handled is committed, and the run stops |
 * | a handle or connection that is closed | `final` | the run stops |
 * | a bucket or table that is missing, credentials or permissions that are refused | `bounded` | as `momentary`, for a limited time |
 * | a server that does not answer, a database that is busy | `momentary` | another try after a growing wait |
 *
 * What a handler throws is the handler's failure; it does not come here.
 *
 * @module
 */

import { LeaseLostError } from "../cluster/errors.ts";
import { ClosedError } from "../errors.ts";
import { EventSchemaError, SchemaVersionError } from "../event/errors.ts";
import { NotConnectedError } from "../nats/errors.ts";
import { backoff } from "../sleep.ts";
import {
  BackendError,
  DamagedHistoryError,
  HistoryTruncatedError,
  InvalidPositionError,
  LogReplacedError,
  OutcomeUnknownError,
  StoreClosedError,
} from "../store/errors.ts";
import {
  CheckpointConflictError,
  disconnected,
  type DisconnectionReason,
  isDisconnected,
  type ProjectionId,
} from "./errors.ts";

/** How a failure ends. */
export type End = "superseded" | "closed" | "handler" | "log" | "final" | "bounded" | "momentary";

type Condition = (error: unknown) => boolean;

/** How long a `bounded` failure may last, in milliseconds. */
const BOUND = 60_000;
/** The bound of the random wait after the first failure, and after many, in milliseconds. */
const FIRST_WAIT = 100;
const LONGEST_WAIT = 5_000;
/** The same after another worker came first. */
const FIRST_CONFLICT_WAIT = 5;

const TABLE: readonly (readonly [End, Condition])[] = [
  ["superseded", (error) => error instanceof LeaseLostError || error instanceof CheckpointConflictError],
  ["closed", (error) => error instanceof StoreClosedError],
  ["handler", (error) => error instanceof EventSchemaError],
  ["bounded", isBucketMissing],
  ["log", isOfLog],
  ["final", isHandleClosed],
  ["bounded", isRefused],
  ["momentary", isMachinery],
];

/** How a failure ends; `undefined` if nothing is known about it, such as an error of the user's own code. */
export function knownEnd(error: unknown): End | undefined {
  return TABLE.find(([, holds]) => holds(error))?.[0];
}

/** How a failure outside a handler ends: what is not known cannot pass by itself. */
export function endOf(error: unknown): End {
  return knownEnd(error) ?? "final";
}

/**
 * Whether an actor's history cannot be read as it is. Of the actor that a reaction appends to, this is the handler's
 * failure.
 */
export function isOfHistory(error: unknown): boolean {
  return error instanceof DamagedHistoryError || error instanceof HistoryTruncatedError ||
    error instanceof EventSchemaError || error instanceof SchemaVersionError;
}

/** The error that a call rejects with: what is disconnected for good gets the projection's type. */
export function outcomeOf(projection: ProjectionId, error: unknown): unknown {
  if (isDisconnected(error)) return error;
  const reason = disconnection(error);
  return reason ? disconnected(projection, reason, error) : error;
}

function disconnection(error: unknown): DisconnectionReason | undefined {
  switch (knownEnd(error)) {
    case "final":
      return "closed";
    case "bounded":
      return isBucketMissing(error) ? "bucket-missing" : "credentials-refused";
    default:
      return undefined;
  }
}

/** How long to wait before another try: longer each time, until there is progress. */
export class Patience {
  readonly #projection: ProjectionId;
  readonly #bound: number;
  #failures = 0;
  #boundedSince: number | undefined;

  /** Has seen no failure yet. */
  constructor(projection: ProjectionId, bound: number = BOUND) {
    this.#projection = projection;
    this.#bound = bound;
  }

  /** The checkpoint has moved, or the log was followed for a while: the next failure is the first one again. */
  reset(): void {
    this.#failures = 0;
    this.#boundedSince = undefined;
  }

  /**
   * Returns how long to wait after a failure, in milliseconds.
   *
   * @throws What the projection ends with, if waiting does not help.
   */
  waitAfter(error: unknown): number {
    const end = endOf(error);
    if (end === "bounded") this.#boundedSince ??= performance.now();
    const isOver = performance.now() - (this.#boundedSince ?? Infinity) > this.#bound;
    if (end === "bounded" ? isOver : end !== "momentary" && end !== "superseded") {
      throw outcomeOf(this.#projection, error);
    }
    return backoff(++this.#failures, end === "superseded" ? FIRST_CONFLICT_WAIT : FIRST_WAIT, LONGEST_WAIT);
  }
}

/** The log itself cannot be read on. */
function isOfLog(error: unknown): boolean {
  return isOfHistory(error) || error instanceof InvalidPositionError ||
    some(
      error,
      (inner) =>
        inner instanceof LogReplacedError || LOG_NAMES.has(inner.name) ||
        DAMAGED_DATABASE.test(inner.message),
    );
}

/** The causes of a failed read of a log that was deleted, or that another one has replaced. */
const LOG_NAMES: ReadonlySet<string> = new Set(["StreamNotFoundError"]);
/** The texts of SQLite for SQLITE_CORRUPT and SQLITE_NOTADB. */
const DAMAGED_DATABASE = /database disk image is malformed|file is not a database/i;

function isHandleClosed(error: unknown): boolean {
  return some(
    error,
    (inner) =>
      inner instanceof Deno.errors.BadResource ||
      (inner instanceof ClosedError && inner.reason !== "store") ||
      CLOSED_NAMES.has(inner.name) || CLOSED_TEXT.test(inner.message),
  );
}

/** The classes of the NATS client, of which every transport brings its own. */
const CLOSED_NAMES: ReadonlySet<string> = new Set(["ClosedConnectionError", "DrainingConnectionError"]);
/** Deno KV, node:sqlite and NATS have no class for it. */
const CLOSED_TEXT = /database is (closed|not open)|connection (was|is) closed/i;

/** The stream of the bucket is not found. SQLite has no code for a table that was dropped. */
function isBucketMissing(error: unknown): boolean {
  if (!(error instanceof BackendError)) return false;
  return error.reason === "unreachable"
    ? some(error, ({ name }) => name === "StreamNotFoundError")
    : some(error, ({ message }) => /no such table: aether_projection/.test(message));
}

function isRefused(error: unknown): boolean {
  return some(error, (inner) => isDenied(inner) || REFUSED_NAMES.has(inner.name));
}

function isDenied(error: Error): boolean {
  return error instanceof BackendError && error.reason === "denied";
}

const REFUSED_NAMES: ReadonlySet<string> = new Set([
  "AuthorizationError",
  "UserAuthenticationExpiredError",
]);

/** A failure of what is around the handler, which may pass. */
function isMachinery(error: unknown): boolean {
  return (error instanceof BackendError && !LASTING.has(error.reason)) ||
    error instanceof OutcomeUnknownError || error instanceof NotConnectedError;
}

/** Why a backend fails that no wait will change. */
const LASTING: ReadonlySet<BackendError["reason"]> = new Set(["untrusted", "unsupported"]);

/** Whether a condition holds for an error, or for one of its causes, which may be circular. */
function some(error: unknown, holds: (error: Error) => boolean, depth = 0): boolean {
  if (!(error instanceof Error) || depth > MAX_CAUSES) return false;
  return holds(error) || some(error.cause, holds, depth + 1);
}

const MAX_CAUSES = 16;
