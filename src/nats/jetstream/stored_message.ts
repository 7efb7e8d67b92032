/**
 * A message as the stream keeps it, however it was read.
 *
 * @module
 */
import { registerClass } from "../../copies.ts";
import { AetherError } from "../../errors.ts";
import { headerIn, headerLine, headerText, lastHeaderIn, statusOf, type WireMessage } from "../wire.ts";
import { type Bytes, type TextRun, TextRuns } from "./text_run.ts";

/** A message of a stream, as the bytes that the server sent. */
export interface MessageBytes extends Bytes {
  /** Its subject, encoded. */
  readonly subject: string;
  /** Its stream sequence. */
  readonly sequence: number;
  /** The text that it was decoded into with others. */
  readonly run?: TextRun | undefined;
  /** Its subject, if one object is shared by its messages. */
  readonly known?: KnownSubject | undefined;
}

/**
 * A subject that is delivered again and again to one reader, and what the reader has found out about it: a lookup with
 * each message would be in memory that is too large for the processor's caches.
 */
export class KnownSubject {
  readonly text: string;
  /** What the reader has decoded the subject to; `undefined` before that. */
  decoded: string | undefined = undefined;
  /** How far the reader has come with the messages of the subject; `undefined` before the first. */
  link: { version: number } | undefined = undefined;

  constructor(text: string) {
    this.text = text;
  }
}

/** A message of a stream. */
export class StoredMessage implements MessageBytes {
  readonly subject: string;
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly headerLength: number;
  readonly run: TextRun | undefined;
  readonly #time: string | undefined;

  /** @param time When it was stored; without it, the time is read from its own header. */
  constructor({ subject, sequence, bytes, headerLength, run }: MessageBytes, time?: string) {
    this.subject = subject;
    this.sequence = sequence;
    this.bytes = bytes;
    this.headerLength = headerLength;
    this.run = run;
    this.#time = time;
  }

  /** When the stream's leader stored it, RFC 3339 with nanoseconds. */
  get time(): string {
    if (this.#time !== undefined) return this.#time;
    const text = headerText(this);
    return lastHeaderIn(text, text.length, TIME) ?? "";
  }

  /** Its payload. */
  get data(): Uint8Array {
    return payloadOf(this);
  }

  /** The value of a header; undefined if it is absent. */
  header(name: string): string | undefined {
    return headerOf(this, name);
  }
}

/** The payload of a message. */
export function payloadOf({ bytes, headerLength }: Bytes): Uint8Array {
  // A plain view: `subarray` of what a socket delivers makes a Buffer of Node's, at several times the cost.
  return new Uint8Array(bytes.buffer, bytes.byteOffset + headerLength, bytes.length - headerLength);
}

/** The value of a header of a message; undefined if it is absent. */
export function headerOf(message: Bytes, name: string): string | undefined {
  const text = headerText(message);
  return headerIn(text, text.length, headerLine(name));
}

/** The server's answer is not what the protocol promises. */
export class UnreadableAnswerError extends AetherError {
  static {
    registerClass(this, "UnreadableAnswerError");
  }

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

/** Reads the leader's answer. @throws {UnreadableAnswerError} If it holds no message. */
export function readLeaderMessage({ message }: LeaderMessage): StoredMessage {
  if (!message) throw new UnreadableAnswerError("The answer of STREAM.MSG.GET holds no message");
  const { subject, seq: sequence, time, hdrs = "", data = "" } = message;
  const bytes = new Uint8Array(base64Length(hdrs) + base64Length(data));
  const { written: headerLength } = bytes.setFromBase64(hdrs);
  bytes.subarray(headerLength).setFromBase64(data);
  return new StoredMessage({ subject, sequence, bytes, headerLength }, time);
}

function base64Length(text: string): number {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return text.length / 4 * 3 - padding;
}

const SUBJECT = headerLine("Nats-Subject");
const SEQUENCE = headerLine("Nats-Sequence");
const TIME = headerLine("Nats-Time-Stamp");

/** The status of an answer to a direct get; 0 if it is a message, which may have been stored with a status of its own. */
export function directStatus(answer: WireMessage): number {
  const status = statusOf(answer);
  return status !== 0 && headerText(answer).includes(SEQUENCE) ? 0 : status;
}

/**
 * Reads the answers of direct gets.
 *
 * @param answers What the server sent.
 * @throws {UnreadableAnswerError} If one lacks the stream's own headers.
 */
export function readDirectMessages(answers: readonly Bytes[]): StoredMessage[] {
  const runs = new TextRuns(answers);
  return answers.map((answer, index) => readDirectMessage(answer, runs.of(index)));
}

function readDirectMessage(answer: Bytes, run: TextRun | undefined): StoredMessage {
  const { bytes, headerLength } = answer;
  const text = run ? run.text : headerText(answer);
  const start = run ? bytes.byteOffset - run.start : 0;
  const end = run ? start + headerLength : text.length;
  const sequence = Number(lastHeaderIn(text, end, SEQUENCE, start));
  const subject = lastHeaderIn(text, end, SUBJECT, start);
  if (!subject || !Number.isSafeInteger(sequence) || sequence < 1) {
    throw new UnreadableAnswerError("The answer of DIRECT.GET lacks Nats-Sequence or Nats-Subject");
  }
  return new StoredMessage({ subject, sequence, bytes, headerLength, run });
}
