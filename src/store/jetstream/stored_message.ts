/**
 * A message as the stream keeps it, however it was read.
 *
 * @module
 */
import { AetherError } from "../../errors.ts";
import type { NatsMessage } from "../../nats/connection.ts";
import { decodeHeaders } from "../../nats/headers.ts";

/** A message of a stream. */
export interface StoredMessage {
  /** Its subject, encoded. */
  readonly subject: string;
  /** Its stream sequence. */
  readonly sequence: number;
  /** When the stream's leader took it, RFC 3339 with nanoseconds. */
  readonly time: string;
  /** Its payload. */
  readonly data: Uint8Array;
  /** The value of a header; undefined if it is absent. */
  header(name: string): string | undefined;
}

/** The server's answer is not what the protocol promises. */
export class UnreadableAnswerError extends AetherError {
  /** The name of the error's class. */
  override readonly name = "UnreadableAnswerError";
}

/** The JSON answer of `STREAM.MSG.GET`. */
export interface LeaderMessage {
  /** The message, its headers and payload in base64. */
  readonly message?: {
    readonly subject: string;
    readonly seq: number;
    readonly time: string;
    readonly hdrs?: string;
    readonly data?: string;
  };
}

/** Reads the leader's answer. @throws {UnreadableAnswerError} if it holds no message. */
export function readLeaderMessage({ message }: LeaderMessage): StoredMessage {
  if (!message) throw new UnreadableAnswerError("The answer of STREAM.MSG.GET holds no message");
  let headers: ReadonlyMap<string, string> | undefined;
  return {
    subject: message.subject,
    sequence: message.seq,
    time: message.time,
    data: Uint8Array.fromBase64(message.data ?? ""),
    header(name): string | undefined {
      headers ??= decodeHeaders(Uint8Array.fromBase64(message.hdrs ?? ""));
      return headers.get(name);
    },
  };
}

/** Reads the answer of a direct get. @throws {UnreadableAnswerError} if it lacks the stream's own headers. */
export function readDirectMessage({ headers, data }: NatsMessage): StoredMessage {
  const sequence = Number(headers?.get("Nats-Sequence"));
  const subject = headers?.get("Nats-Subject");
  if (!headers || !subject || !Number.isSafeInteger(sequence) || sequence < 1) {
    throw new UnreadableAnswerError("The answer of DIRECT.GET lacks Nats-Sequence or Nats-Subject");
  }
  return {
    subject,
    sequence,
    time: headers.get("Nats-Time-Stamp"),
    data,
    header: (name) => headers.get(name) || undefined,
  };
}
