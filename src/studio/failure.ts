/**
 * What the studio answers if something cannot be shown or done.
 *
 * @module
 */

import { AetherError, BackendError, ClosedError, InvalidArgumentError } from "../errors.ts";
import { EventSchemaError, SchemaVersionError } from "../event/errors.ts";
import {
  CheckpointConflictError,
  DamagedCheckpointError,
  ProjectionStoppedError,
} from "../projection/errors.ts";
import {
  DamagedHistoryError,
  HistoryTruncatedError,
  InvalidPositionError,
  LogReplacedError,
} from "../store/errors.ts";
import type { ApiError } from "./api/mod.ts";

/** The HTTP status of each code. */
const STATUS: Readonly<Record<ApiError["code"], number>> = {
  "invalid": 400,
  "unauthorized": 401,
  "read-only": 403,
  "forbidden": 403,
  "not-found": 404,
  "method": 405,
  "failed-again": 409,
  "busy": 409,
  "decider-failed": 422,
  "too-many-streams": 429,
  "damaged": 500,
  "internal": 500,
  "unavailable": 503,
};

/** Something cannot be shown or done. Its message is what is answered. */
export class ApiFailure extends Error {
  readonly code: ApiError["code"];

  constructor(code: ApiError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** The status of the answer. */
  get status(): number {
    return STATUS[this.code];
  }

  /** The body of the answer. */
  get body(): ApiError {
    return { code: this.code, message: this.message };
  }
}

/** What is answered for an error, without a stack. */
export function failureOf(error: unknown): ApiFailure {
  if (error instanceof ApiFailure) return error;
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return new ApiFailure("unavailable", "The store did not answer in time. Try again.");
  }
  if (error instanceof ProjectionStoppedError && error.event && error.reason === "handler-failed") {
    const { event: { actorId, eventVersion }, cause } = error;
    const message = `The handler failed again, on event ${eventVersion} of "${actorId}": ${textOf(cause)}`;
    return new ApiFailure("failed-again", message, { cause: error });
  }
  if (error instanceof AetherError) return new ApiFailure(codeOf(error), error.message);
  return new ApiFailure("internal", `It failed, and this may be a fault of the program: ${textOf(error)}`);
}

/** The name and the message of an error. */
export function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function codeOf(error: AetherError): ApiError["code"] {
  if (error instanceof InvalidArgumentError || error instanceof InvalidPositionError) return "invalid";
  if (error instanceof BackendError || error instanceof ClosedError) return "unavailable";
  if (error instanceof ProjectionStoppedError) {
    return error.reason === "parked-list-full" ? "failed-again" : "unavailable";
  }
  if (error instanceof CheckpointConflictError) return "busy";
  const isDamaged = [
    DamagedHistoryError,
    HistoryTruncatedError,
    LogReplacedError,
    EventSchemaError,
    SchemaVersionError,
    DamagedCheckpointError,
  ].some((kind) => error instanceof kind);
  return isDamaged ? "damaged" : "internal";
}
