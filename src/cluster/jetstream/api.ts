/**
 * Requests to JetStream, with its errors told apart.
 *
 * @module
 */
import { ClosedError } from "../../errors.ts";
import { BucketUnreachableError, JetStreamUnavailableError, PermissionDeniedError } from "../errors.ts";
import type { NatsConnection } from "../../nats/connection.ts";
import { encodeHeaders } from "../../nats/headers.ts";
import { refusalOf } from "../../nats/refusals.ts";

/** An error answer of JetStream. */
export interface ApiError {
  /** The HTTP-like code. */
  readonly code: number;
  /** The code that names the condition; see the server's `errors.json`. */
  readonly err_code: number;
  /** The server's words. */
  readonly description: string;
}

/** JetStream error codes that mean something here. */
export const ErrorCode = {
  /** 10037: no message found. */
  noMessage: 10037,
  /** 10039: JetStream is not enabled for the account. */
  notEnabledForAccount: 10039,
  /** 10059: stream not found. */
  streamNotFound: 10059,
  /** 10058: a stream of that name exists with another configuration. */
  streamNameInUse: 10058,
  /** 10071: wrong last sequence. */
  wrongLastSequence: 10071,
  /** 10076: JetStream is not enabled on this server. */
  notEnabled: 10076,
  /** 10164: the subject has a write in flight (replicated streams). */
  writeInFlight: 10164,
} as const;

const CODES_NOT_ENABLED: readonly number[] = [ErrorCode.notEnabled, ErrorCode.notEnabledForAccount];

/** How a request is sent. */
export interface RequestOptions {
  /** How long the answer may take, in ms. */
  readonly timeout: number;
  /** What is asked, for people. */
  readonly operation: string;
  /** Headers by name. */
  readonly headers?: Record<string, string>;
}

/** Sends a request and reads its JSON answer, which may be an error answer. */
export async function request<T>(
  connection: NatsConnection,
  subject: string,
  payload: string,
  options: RequestOptions,
): Promise<T & { readonly error?: ApiError }> {
  let answer: string;
  try {
    const message = await connection.request(subject, payload, {
      timeout: options.timeout,
      ...(options.headers === undefined ? {} : { headers: encodeHeaders(Object.entries(options.headers)) }),
    });
    answer = new TextDecoder().decode(message.data);
  } catch (error) {
    if (connection.isClosed()) throw new ClosedError("connection", { cause: error });
    throw translate(refusalOf(connection) ?? error, subject, options.operation);
  }
  const parsed = JSON.parse(answer) as T & { readonly error?: ApiError };
  if (parsed.error !== undefined && CODES_NOT_ENABLED.includes(parsed.error.err_code)) {
    throw new JetStreamUnavailableError(
      `JetStream is not enabled: ${parsed.error.description}. Enable it in the server`,
    );
  }
  return parsed;
}

/** Whether nothing listened to the request: the stream is missing, or has no leader at the moment. */
export function isUnheard(error: unknown): boolean {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if (inner.name.startsWith("NoResponders") || /no responders/i.test(inner.message)) return true;
  }
  return false;
}

function translate(error: unknown, subject: string, operation: string): Error {
  // nats.js wraps what the server said; names are compared because every transport brings classes of its own.
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    if (inner.name === "PermissionViolationError" || /permissions violation/i.test(inner.message)) {
      return new PermissionDeniedError(deniedSubject(error) ?? subject, { cause: error });
    }
  }
  return new BucketUnreachableError(operation, { cause: error });
}

/** The subject that the server denied, which may be that of the answer: the user may not subscribe to it. */
function deniedSubject(error: unknown): string | undefined {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    const [, subject] =
      /permissions violation for (?:publish|subscription) to "(\S+?)"/i.exec(inner.message) ?? [];
    if (subject !== undefined) return subject;
  }
  return undefined;
}

/** An answer that no code handles: the server did not do it. */
export function unexpected(operation: string, error: ApiError): BucketUnreachableError {
  return new BucketUnreachableError(operation, { cause: asError(error) });
}

/** An error answer as an error. */
export function asError({ err_code, description }: ApiError): Error {
  return new Error(`JetStream error ${err_code}: ${description}`);
}
