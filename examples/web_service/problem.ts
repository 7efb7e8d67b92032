/**
 * What goes wrong, in HTTP: a status, and a body of type `application/problem+json` (RFC 9457).
 *
 * @module
 */
import {
  BackendError,
  EventTooLargeError,
  InvalidEventError,
  OutcomeUnknownError,
  VersionConflictError,
} from "@flowmade-one/aether/deno-kv";
import { KeyReusedError } from "./execute_request.ts";
import { OrderNotFound, OrderRefusal } from "./order.ts";

/** A request that cannot be answered as it is. */
export class HttpProblem extends Error {
  constructor(readonly status: number, detail: string, readonly headers: Record<string, string> = {}) {
    super(detail);
  }
}

/** The answer to a request that failed. */
export function problemResponse(error: unknown): Response {
  const { status, message, headers } = problemOf(error);
  return Response.json({ title: TITLES[status], status, detail: message }, {
    status,
    headers: { ...headers, "content-type": "application/problem+json" },
  });
}

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

function problemOf(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error;
  if (error instanceof VersionConflictError) {
    const detail = `the order is at version ${error.currentVersion}: read it again, and decide again`;
    return new HttpProblem(409, detail, { etag: `"${error.currentVersion}"` });
  }
  if (error instanceof OrderNotFound) return new HttpProblem(404, error.message);
  if (error instanceof OrderRefusal) return new HttpProblem(409, error.message);
  if (error instanceof KeyReusedError) return new HttpProblem(422, error.message);
  if (error instanceof InvalidEventError) return new HttpProblem(400, error.message);
  if (error instanceof EventTooLargeError) return new HttpProblem(413, error.message);
  if (error instanceof OutcomeUnknownError || error instanceof BackendError) {
    console.error(error);
    return new HttpProblem(503, "try again, with the same Idempotency-Key", { "retry-after": "1" });
  }
  console.error(error);
  return new HttpProblem(500, "the server failed; it has written down why");
}
