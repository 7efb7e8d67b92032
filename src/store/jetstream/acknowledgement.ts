/**
 * What is known about a publication, and how it is read from the stream's answer.
 *
 * @module
 */
import type { NoAnswer } from "./reply_inbox.ts";

/** The stream has it: an acknowledgement with a sequence above 0. */
export interface Stored {
  /** Tells the outcomes apart. */
  readonly status: "stored";
  /** The stream sequence of the message, of the last one of a batch. */
  readonly sequence: number;
  /** The stream had this message id before: `sequence` is that of the first copy, and nothing was stored now. */
  readonly duplicate: boolean;
}

/** The stream, or the server, said no: it was not stored. */
export interface Refused {
  /** Tells the outcomes apart. */
  readonly status: "refused";
  /** JetStream's error code, such as 10071 (wrong last sequence); 0 if the server denied the publication. */
  readonly code: number;
  /** The server's words. */
  readonly description: string;
}

/** It was sent, and nobody said what became of it: it may be stored already, or later, or never. */
export interface Unknown {
  /** Tells the outcomes apart. */
  readonly status: "unknown";
  /** Why there was no answer. */
  readonly cause: Exclude<NoAnswer, "denied">;
}

/** What is known about a publication that was sent. */
export type PublishOutcome = Stored | Refused | Unknown;

const decoder = new TextDecoder();
const DIGIT_0 = 48;
const DIGIT_9 = 57;
const BRACE = 125;
const COLON = 58;
const QUOTE = 34;
const LETTER_E = 101;
const LETTER_Q = 113;
const LETTER_S = 115;

/**
 * Reads a publish acknowledgement; undefined if it is none. The usual one ends in `"seq":<digits>}`, which is read
 * backwards without parsing JSON. An error answer ends in `"seq":0}`, so that only a sequence above 0 counts there.
 */
export function readAcknowledgement(data: Uint8Array): PublishOutcome | undefined {
  let index = data.length - 1;
  if (data[index] === BRACE) {
    let sequence = 0;
    let scale = 1;
    for (index--; index >= 0; index--) {
      const digit = data[index] as number;
      if (digit < DIGIT_0 || digit > DIGIT_9) break;
      sequence += (digit - DIGIT_0) * scale;
      scale *= 10;
    }
    const afterKey = data[index] === COLON && data[index - 1] === QUOTE && data[index - 2] === LETTER_Q &&
      data[index - 3] === LETTER_E && data[index - 4] === LETTER_S && data[index - 5] === QUOTE;
    if (sequence > 0 && afterKey) {
      return { status: "stored", sequence, duplicate: false };
    }
  }
  return parseAcknowledgement(data);
}

interface AcknowledgementJson {
  readonly error?: { readonly err_code?: number; readonly code?: number; readonly description?: string };
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
}

function parseAcknowledgement(data: Uint8Array): PublishOutcome | undefined {
  let answer: AcknowledgementJson | null;
  try {
    answer = JSON.parse(decoder.decode(data));
  } catch {
    return undefined;
  }
  if (answer === null || typeof answer !== "object") return undefined;
  if (answer.error !== undefined) {
    const { err_code, code, description } = answer.error;
    return { status: "refused", code: err_code ?? code ?? 0, description: description ?? "" };
  }
  if (typeof answer.stream !== "string" || !Number.isSafeInteger(answer.seq) || !answer.seq) return undefined;
  return { status: "stored", sequence: answer.seq, duplicate: answer.duplicate === true };
}
