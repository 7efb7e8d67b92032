/**
 * Why a request to the JetStream API failed.
 *
 * @module
 */
import { registerClass } from "../../copies.ts";
import { AetherError } from "../../errors.ts";
import { isPassing } from "./error_codes.ts";
import type { NoAnswer } from "./reply_inbox.ts";

/** The server answered a request with an error that has no class of its own. */
export class JetStreamApiError extends AetherError {
  static {
    registerClass(this, "JetStreamApiError");
  }

  /** The name of the error's class. */
  override readonly name: string = "JetStreamApiError";

  /** The subject of the request. */
  readonly subject: string;
  /** JetStream's error code. */
  readonly code: number;
  /** The description that the server gives. */
  readonly description: string;

  /** Keeps the request's subject, JetStream's error code, and the server's description. */
  constructor(subject: string, code: number, description: string) {
    super(`JetStream refused "${subject}": ${description} (${code}).`);
    this.subject = subject;
    this.code = code;
    this.description = description;
  }
}

/** The stream does not exist (any more). */
export class StreamNotFoundError extends JetStreamApiError {
  static {
    registerClass(this, "StreamNotFoundError");
  }

  /** The name of the error's class. */
  override readonly name = "StreamNotFoundError";
}

/** The server gave no answer to a request: it can be repeated, if what it asks for can happen twice. */
export class NoAnswerError extends AetherError {
  static {
    registerClass(this, "NoAnswerError");
  }

  /** The name of the error's class. */
  override readonly name = "NoAnswerError";

  /** The subject of the request. */
  readonly subject: string;
  /** Why there was no answer. */
  readonly why: NoAnswer;

  /** Keeps the request's subject and why there was no answer. */
  constructor(subject: string, why: NoAnswer, description?: string, options?: ErrorOptions) {
    super(`No answer to "${subject}": ${description || EXPLANATIONS[why]}.`, options);
    this.subject = subject;
    this.why = why;
  }
}

const EXPLANATIONS: Readonly<Record<NoAnswer, string>> = {
  "timeout": "the server did not answer in time",
  "no responders":
    "nothing listens there; is JetStream enabled, does the stream exist, and does it have a leader?",
  "disconnected": "the connection was lost",
  "closed": "the connection is closed",
  "denied": "the server denied it; check the permissions",
  "inbox denied": "the server denied the subscription to the inbox; check the permissions",
};

/** Whether the server denied a request, or its answer. */
export function isDenied({ why }: NoAnswerError): boolean {
  return why === "denied" || why === "inbox denied";
}

/** Whether a request that failed may succeed later: an election, a lost connection or a lost answer pass; a stream that is gone or a denial do not. */
export function isTransient(error: unknown): boolean {
  if (error instanceof StreamNotFoundError) return false;
  if (error instanceof JetStreamApiError) return error.code === 0 || isPassing(error.code);
  return error instanceof NoAnswerError && !isDenied(error) && error.why !== "closed";
}
