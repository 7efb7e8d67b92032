/**
 * One publication to a stream, and the wait for its acknowledgement.
 *
 * @module
 */
import type { NatsMessage } from "../connection.ts";
import type { EncodedHeaders } from "../headers.ts";
import type { AcknowledgementReader, PublishOutcome } from "./acknowledgement.ts";
import { ErrorCode } from "./error_codes.ts";
import type { NoAnswer, Waiter } from "./reply_inbox.ts";

/** How long the report of a denial may come after the answer that it has caused, in milliseconds. */
const DENIAL_DELAY = 50;

/** A message on its way to the stream. */
export interface OutgoingMessage {
  /** Its subject, encoded. */
  readonly subject: string;
  /** Its payload. */
  readonly data: Uint8Array;
  /** Its headers, if it has any. */
  readonly headers?: EncodedHeaders;
}

/** A publication, called with its outcome: once, and perhaps before `submit()` returns. */
export interface Publication {
  /** Whether it is no longer to be sent; asked before it leaves the queue, at a time on the clock of `performance.now()`. */
  isOver?(now: number): boolean;
  /** Called when it is sent. */
  onSent?(): void;
  /** It was sent, and this is known. */
  onOutcome(outcome: PublishOutcome): void;
  /** Nothing was sent. */
  onNotSent(error: unknown): void;
}

/** Waits for the acknowledgement of one publication. */
export class AcknowledgementWaiter implements Waiter {
  readonly subject: string;
  readonly #messages: readonly OutgoingMessage[];
  readonly #publication: Publication;
  readonly #answers: AcknowledgementReader;
  readonly #settled: () => void;
  #denial: ReturnType<typeof setTimeout> | undefined;
  #isSettled = false;

  constructor(
    messages: readonly OutgoingMessage[],
    publication: Publication,
    answers: AcknowledgementReader,
    settled: () => void,
  ) {
    this.subject = messages[messages.length - 1]!.subject;
    this.#messages = messages;
    this.#publication = publication;
    this.#answers = answers;
    this.#settled = settled;
  }

  /** A batch is denied with any of its messages. */
  isAbout(subject: string): boolean {
    return this.#messages.length > 1 && this.#messages.some((message) => message.subject === subject);
  }

  onAnswer(message: NatsMessage): boolean {
    const outcome = this.#answers.read(message.data);
    // Another stream, or any subscriber of the subject, may answer too: its answer is no success and no failure.
    if (!outcome) return false;
    if (
      this.#messages.length > 1 && outcome.status === "refused" && outcome.code === ErrorCode.batchIncomplete
    ) {
      // A message is missing. If the server has denied it, the client reports that a moment later than this answer.
      this.#denial = setTimeout(() => this.#settle(outcome), DENIAL_DELAY);
      return false;
    }
    this.#settle(outcome);
    return true;
  }

  onNoAnswer(why: NoAnswer, description = ""): void {
    if (this.#isSettled) return this.#settled();
    this.#settle(
      why === "denied" ? { status: "refused", code: 0, description } : { status: "unknown", cause: why },
    );
  }

  #settle(outcome: PublishOutcome): void {
    clearTimeout(this.#denial);
    this.#isSettled = true;
    this.#publication.onOutcome(outcome);
    this.#settled();
  }
}
