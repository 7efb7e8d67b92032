/**
 * Messages that are read by sequence together. They share one reply subject, because the server looks up the
 * subscriptions of each new one; each answer names its message.
 *
 * @module
 */

import type { NatsMessage } from "../connection.ts";
import { wireMessage } from "../wire.ts";
import type { NoAnswer, Waiter } from "./reply_inbox.ts";
import { directStatus, readDirectMessages, type StoredMessage } from "./stored_message.ts";
import type { Bytes } from "./text_run.ts";

const STATUS_NOT_FOUND = 404;

/**
 * How many bytes may be on their way: the server cuts off a connection for which more than its `max_pending` waits. What it has
 * just sent counts until all that it sends together is sent, so that twice as much may wait as is on its way.
 */
const MAX_BYTES_IN_FLIGHT = 2 * 1_024 * 1_024;

/** What a message is taken for before any was read, in bytes. */
const FIRST_GUESS = 256 * 1_024;

/** How many messages a series asks for before it has seen the size of one. */
const FIRST_READS = 64;

/** What is left of the estimated size after each series of smaller messages. */
const DECAY = 0.5;

/** How many direct reads may be on their way together over a connection, by the size of what was read before. */
export class DirectReadBudget {
  /** The size of the largest messages of late, in bytes. */
  #size = FIRST_GUESS;
  #inFlight = 0;
  readonly #waiting: (() => void)[] = [];
  #isStarting = false;

  /** Starts a series, now or when there is room for it. */
  start(begin: () => void): void {
    this.#waiting.push(begin);
    this.#startWaiting();
  }

  /** Takes room for up to `wanted` more reads. A series that waits for no answer always gets room for one. */
  take(wanted: number, isWaiting: boolean): number {
    const room = Math.floor(MAX_BYTES_IN_FLIGHT / this.#size) - this.#inFlight;
    const taken = Math.min(wanted, Math.max(room, isWaiting ? 0 : 1));
    this.#inFlight += taken;
    return taken;
  }

  /** Gives back the room of reads that have ended. */
  give(count: number): void {
    this.#inFlight -= count;
    if (this.#waiting.length > 0) this.#startWaiting();
  }

  /** A message of this size was read. */
  saw(bytes: number): void {
    if (bytes > this.#size) this.#size = bytes;
  }

  /** A series has ended whose largest message had this size. */
  sawLargest(bytes: number): void {
    this.#size = Math.max(1, bytes, this.#size * DECAY);
  }

  get #hasRoom(): boolean {
    return this.#inFlight === 0 || (this.#inFlight + 1) * this.#size <= MAX_BYTES_IN_FLIGHT;
  }

  #startWaiting(): void {
    if (this.#isStarting) return; // what is started may end at once
    this.#isStarting = true;
    while (this.#waiting.length > 0 && this.#hasRoom) this.#waiting.shift()!();
    this.#isStarting = false;
  }
}

/** Sends the requests for these sequences. */
export type AskDirect = (sequences: readonly number[]) => void;

/** Why the reads failed, as the caller of {@linkcode DirectReads} puts it. */
export interface DirectFailures {
  /** The server answered with another status. */
  readonly refused: (status: number, description: string) => Error;
  /** It does not answer. */
  readonly unanswered: (why: NoAnswer, description?: string) => Error;
}

/** A series of reads, which waits for all of their answers. */
export class DirectReads implements Waiter {
  readonly subject: string;
  readonly isSeries = true;
  readonly #sequences: readonly number[];
  readonly #maxInFlight: number;
  readonly #budget: DirectReadBudget;
  readonly #failures: DirectFailures;
  readonly #signal: AbortSignal | undefined;
  readonly #answers: Bytes[] = [];
  readonly #done: PromiseWithResolvers<(StoredMessage | undefined)[]> = Promise.withResolvers();
  #ask: AskDirect = () => {};
  #sent = 0;
  #answered = 0;
  /** How many were on their way after the last ones were asked for. */
  #inFlight = 0;
  #largest = 0;
  #failed = false;

  /**
   * @param maxInFlight How many may be asked for at once.
   * @param budget What it shares with all other reads of the connection.
   * @param signal Ends them with the signal's reason, when the next answer comes.
   */
  constructor(
    subject: string,
    sequences: readonly number[],
    maxInFlight: number,
    budget: DirectReadBudget,
    failures: DirectFailures,
    signal?: AbortSignal,
  ) {
    this.subject = subject;
    this.#sequences = sequences;
    this.#maxInFlight = maxInFlight;
    this.#budget = budget;
    this.#failures = failures;
    this.#signal = signal;
  }

  /** Reads them. */
  run(ask: AskDirect): Promise<(StoredMessage | undefined)[]> {
    this.#ask = ask;
    this.#budget.start(() => this.#send());
    return this.#done.promise;
  }

  onAnswer(message: NatsMessage): boolean {
    if (this.#signal?.aborted) this.fail(this.#signal.reason);
    if (this.#failed) return true;
    const wire = wireMessage(message);
    const code = directStatus(wire);
    if (code === 0) this.#keep(wire);
    else if (code !== STATUS_NOT_FOUND) {
      this.fail(this.#failures.refused(code, message.headers?.description ?? ""));
      return true;
    }
    this.#answered++;
    this.#budget.give(1);
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
    if (this.#failed) return;
    this.#failed = true;
    this.#done.reject(error);
    this.#budget.give(this.#sent - this.#answered);
  }

  #keep({ bytes, headerLength }: Bytes): void {
    this.#answers.push({ bytes, headerLength });
    if (bytes.length <= this.#largest) return;
    this.#largest = bytes.length;
    this.#budget.saw(bytes.length);
  }

  #send(): void {
    if (this.#signal?.aborted) return this.fail(this.#signal.reason);
    const open = this.#sent - this.#answered;
    const maxInFlight = this.#answered === 0 ? Math.min(FIRST_READS, this.#maxInFlight) : this.#maxInFlight;
    const wanted = Math.min(this.#sequences.length - this.#sent, maxInFlight - open);
    const count = wanted > 0 ? this.#budget.take(wanted, open > 0) : 0;
    if (count === 0) return;
    const sequences = this.#sequences.slice(this.#sent, this.#sent + count);
    this.#sent += count;
    this.#inFlight = open + count;
    this.#ask(sequences);
  }

  #finish(): void {
    this.#budget.sawLargest(this.#largest);
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
