/**
 * The outcome of a publication, and how it is read from the stream's answer.
 *
 * @module
 */
import type { NoAnswer } from "./reply_inbox.ts";

/** The stream has it: an acknowledgement with a sequence above 0. */
export interface Stored {
  /** The kind of the outcome. */
  readonly status: "stored";
  /** The stream sequence of the message, of the last one of a batch. */
  readonly sequence: number;
  /** The stream had this message id before: `sequence` is that of the first copy, and nothing was stored now. */
  readonly duplicate: boolean;
}

/** The stream or the server refused it: it was not stored. */
export interface Refused {
  /** The kind of the outcome. */
  readonly status: "refused";
  /** JetStream's error code, such as 10071 (wrong last sequence); 0 if the server denied the publication. */
  readonly code: number;
  /** The description that the server gives. */
  readonly description: string;
}

/** It was sent and there is no answer: it may be stored already, or later, or never. */
export interface Unknown {
  /** The kind of the outcome. */
  readonly status: "unknown";
  /** Why there was no answer. */
  readonly cause: Exclude<NoAnswer, "denied">;
}

/** What is known about a publication that was sent. */
export type PublishOutcome = Stored | Refused | Unknown;

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const BRACE = 125;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Which stream of which JetStream domain has answered. */
export interface Answerer {
  /** The stream's name. */
  readonly stream: string;
  /** The domain of its server, if it has one and names it: a refusal does not. */
  readonly domain: string | undefined;
}

/**
 * Reads the answers to publications for one stream. Any stream that captures the subject acknowledges the message, also one
 * of another JetStream domain, and any subscriber may answer: only the stream that was asked counts, in its domain.
 */
export class AcknowledgementReader {
  readonly #stream: string;
  readonly #domain: string | undefined;
  readonly #onForeign: (answerer: Answerer) => void;
  /** How an acknowledgement of the stream begins, before the digits of its sequence. */
  readonly #beginning: Uint8Array;

  /**
   * @param stream The stream's name.
   * @param domain The JetStream domain of its server, if it has one.
   * @param onForeign Called with every other stream that answers.
   */
  constructor(
    stream: string,
    domain: string | undefined,
    onForeign: (answerer: Answerer) => void = () => {},
  ) {
    this.#stream = stream;
    this.#domain = domain;
    this.#onForeign = onForeign;
    const inDomain = domain === undefined ? "" : `"domain":"${domain}",`;
    this.#beginning = encoder.encode(`{"stream":"${stream}",${inDomain}"seq":`);
  }

  /**
   * Reads an answer; undefined if it is none of the stream's. The usual one is compared byte by byte, without parsing
   * JSON. An error answer ends in `"seq":0}`, so that only a sequence above 0 counts there.
   */
  read(data: Uint8Array): PublishOutcome | undefined {
    const sequence = this.#sequenceOf(data);
    return sequence > 0 ? { status: "stored", sequence, duplicate: false } : this.#parse(data);
  }

  /** The sequence in an acknowledgement of the usual form; 0 if it has another form. */
  #sequenceOf(data: Uint8Array): number {
    const beginning = this.#beginning;
    const { length } = beginning;
    for (let index = 0; index < length; index++) if (data[index] !== beginning[index]) return 0;
    const end = data.length - 1;
    if (data[end] !== BRACE) return 0;
    let sequence = 0;
    for (let index = length; index < end; index++) {
      const digit = data[index]!;
      if (digit < DIGIT_0 || digit > DIGIT_9) return 0;
      sequence = sequence * 10 + (digit - DIGIT_0);
    }
    return sequence;
  }

  #parse(data: Uint8Array): PublishOutcome | undefined {
    let answer: AcknowledgementJson | null;
    try {
      answer = JSON.parse(decoder.decode(data));
    } catch {
      return undefined;
    }
    if (answer === null || typeof answer !== "object") return undefined;
    const { error, stream, domain, seq, duplicate } = answer;
    if (typeof stream !== "string") return undefined;
    // A refusal names its stream, and no domain.
    if (stream !== this.#stream || (domain !== this.#domain && error === undefined)) {
      this.#onForeign({ stream, domain });
      return undefined;
    }
    if (error !== undefined) {
      const { err_code, code, description } = error;
      return { status: "refused", code: err_code ?? code ?? 0, description: description ?? "" };
    }
    if (seq === undefined || !Number.isSafeInteger(seq) || seq < 1) return undefined;
    return { status: "stored", sequence: seq, duplicate: duplicate === true };
  }
}

interface AcknowledgementJson {
  readonly error?: { readonly err_code?: number; readonly code?: number; readonly description?: string };
  readonly stream?: string;
  readonly domain?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
}
