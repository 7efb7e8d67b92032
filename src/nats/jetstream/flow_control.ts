/**
 * How much the server may send ahead of a reader. At first these are 2 MiB: halfway the server asks for an answer, and each
 * answer doubles the amount, up to 32 MiB. What a reader does not take off its connection in time waits in the server, which
 * cuts off a connection for which more than `max_pending` waits (64 MiB, if no operator has lowered it). So the consumer is
 * made again instead, once all that it may send has arrived: it begins with 2 MiB again.
 *
 * @module
 */

import type { NatsConnection } from "../connection.ts";

/** What the server sends ahead before its first request is answered (`JsFlowControlMaxPending / 16` of nats-server). */
const FIRST_WINDOW_BYTES = 2 * 1_024 * 1_024;

/** How many requests are answered: the server then sends up to 8 MiB ahead. */
const MAX_ANSWERS = 2;

/** The share of what the server may send from which on the rest is not waited for: the server may count more bytes. */
const EXHAUSTED_SHARE = 63 / 64;

/** Connections that were lost while a reader was behind: perhaps the server has cut them off. */
const cutOff = new WeakSet<NatsConnection>();

/** The consumer whose server asks. */
export interface FlowSource {
  /** Whether the reader has room for more. */
  hasRoom(): boolean;
  /** Makes the consumer again where the reader is. */
  renew(): void;
}

/** Answers a server that asks whether to send more, or lets the consumer be made again instead. */
export class FlowControl {
  readonly #connection: NatsConnection;
  readonly #source: FlowSource;
  readonly #canRenew: boolean;
  /** The request that is not answered yet. */
  #request: string | undefined;
  #answers = 0;
  /** What has arrived since the last request that was answered, in bytes, and how much of it before the open request. */
  #received = 0;
  #beforeRequest = 0;
  /** What has arrived once the server cannot send more without an answer; infinite if it may be answered. */
  #exhaustedAt = Infinity;

  /** @param canRenew Whether the consumer can go on where it was: if not, every request is answered. */
  constructor(connection: NatsConnection, source: FlowSource, canRenew: boolean) {
    this.#connection = connection;
    this.#source = source;
    this.#canRenew = canRenew;
  }

  /** The consumer is given up: its requests are void. */
  end(): void {
    this.#request = undefined;
    this.#answers = 0;
    this.#received = 0;
    this.#exhaustedAt = Infinity;
  }

  /** The connection was lost while the server had more to deliver. */
  noteLoss(): void {
    cutOff.add(this.#connection);
  }

  /** Something was delivered. */
  took(bytes: number): void {
    this.#received += bytes;
    if (this.#received >= this.#exhaustedAt) this.proceed();
  }

  /**
   * The server asks; what is published to the subject is the answer.
   *
   * @param isStalled Whether it cannot send more without an answer.
   */
  ask(subject: string, isStalled: boolean): void {
    if (this.#request === undefined) {
      this.#beforeRequest = this.#received;
      if (!this.#mayAnswer()) {
        const window = FIRST_WINDOW_BYTES * 2 ** this.#answers;
        // The server asks after half of it, by its own count.
        this.#exhaustedAt = EXHAUSTED_SHARE * Math.min(window, 2 * this.#received);
      }
    }
    this.#request = subject;
    if (isStalled && this.#exhaustedAt < Infinity) this.#exhaustedAt = 0;
    this.proceed();
  }

  /** Lets the server go on, if it asks for it and the reader has room. */
  proceed(): void {
    if (this.#request === undefined || !this.#source.hasRoom()) return;
    if (this.#exhaustedAt === Infinity) this.#answer(this.#request);
    else if (this.#received >= this.#exhaustedAt) this.#source.renew();
  }

  #mayAnswer(): boolean {
    return !this.#canRenew || this.#answers < (cutOff.has(this.#connection) ? 0 : MAX_ANSWERS);
  }

  #answer(subject: string): void {
    this.#request = undefined;
    this.#answers++;
    this.#received -= this.#beforeRequest;
    if (!this.#connection.isClosed()) this.#connection.publish(subject);
  }
}
