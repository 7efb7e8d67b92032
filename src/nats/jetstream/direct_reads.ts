/**
 * Messages that are read by sequence together. They share one reply subject, since the server looks up for each new one
 * who listens there; an answer says itself which message it is.
 *
 * @module
 */

import type { NatsMessage } from "../connection.ts";
import { statusOf, wireMessage } from "../wire.ts";
import type { NoAnswer, Waiter } from "./reply_inbox.ts";
import { readDirectMessages, type StoredMessage } from "./stored_message.ts";
import type { Bytes } from "./text_run.ts";

const STATUS_NOT_FOUND = 404;

/** Sends the requests for these sequences. */
export type AskDirect = (sequences: readonly number[]) => void;

/** Why the reads failed, as the caller of {@linkcode DirectReads} puts it. */
export interface DirectFailures {
  /** The server answered with another status. */
  readonly refused: (status: number, description: string) => Error;
  /** It does not answer. */
  readonly unanswered: (why: NoAnswer, description?: string) => Error;
}

/** The reads, as the one who waits for all of their answers. */
export class DirectReads implements Waiter {
  readonly subject: string;
  readonly isSeries = true;
  readonly #sequences: readonly number[];
  readonly #inFlight: number;
  readonly #failures: DirectFailures;
  readonly #signal: AbortSignal | undefined;
  readonly #answers: Bytes[] = [];
  readonly #done: PromiseWithResolvers<(StoredMessage | undefined)[]> = Promise.withResolvers();
  #ask: AskDirect = () => {};
  #sent = 0;
  #answered = 0;
  #failed = false;

  /**
   * @param inFlight How many may be asked for at once.
   * @param signal Ends them with the signal's reason, when the next answer comes.
   */
  constructor(
    subject: string,
    sequences: readonly number[],
    inFlight: number,
    failures: DirectFailures,
    signal?: AbortSignal,
  ) {
    this.subject = subject;
    this.#sequences = sequences;
    this.#inFlight = inFlight;
    this.#failures = failures;
    this.#signal = signal;
  }

  /** Reads them. */
  run(ask: AskDirect): Promise<(StoredMessage | undefined)[]> {
    this.#ask = ask;
    this.#send();
    return this.#done.promise;
  }

  onAnswer(message: NatsMessage): boolean {
    if (this.#signal?.aborted) this.fail(this.#signal.reason);
    if (this.#failed) return true;
    const wire = wireMessage(message);
    const code = statusOf(wire);
    if (code === 0) this.#answers.push({ bytes: wire.bytes, headerLength: wire.headerLength });
    else if (code !== STATUS_NOT_FOUND) {
      this.fail(this.#failures.refused(code, message.headers?.description ?? ""));
      return true;
    }
    this.#answered++;
    if (this.#answered === this.#sequences.length) {
      this.#finish();
      return true;
    }
    // Half of them at a time, so that requests leave together.
    if ((this.#sent - this.#answered) * 2 <= this.#inFlight) this.#send();
    return this.#failed;
  }

  onNoAnswer(why: NoAnswer, description?: string): void {
    this.fail(this.#failures.unanswered(why, description));
  }

  /** Gives up: the others are not waited for. */
  fail(error: unknown): void {
    this.#failed = true;
    this.#done.reject(error);
  }

  #send(): void {
    const end = Math.min(this.#sequences.length, this.#answered + this.#inFlight);
    if (end === this.#sent) return;
    const sequences = this.#sequences.slice(this.#sent, end);
    this.#sent = end;
    this.#ask(sequences);
  }

  #finish(): void {
    try {
      this.#done.resolve(inOrder(readDirectMessages(this.#answers), this.#sequences));
    } catch (error) {
      this.fail(error);
    }
  }
}

/** The messages with these sequences: replicas answer in any order, and not where they have none. */
function inOrder(
  messages: readonly StoredMessage[],
  sequences: readonly number[],
): (StoredMessage | undefined)[] {
  if (
    messages.length === sequences.length &&
    messages.every(({ sequence }, index) => sequence === sequences[index])
  ) return [...messages];
  const found = new Map<number, StoredMessage>();
  for (const message of messages) found.set(message.sequence, message);
  return sequences.map((sequence) => found.get(sequence));
}
