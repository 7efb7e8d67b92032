/**
 * A message as a consumer delivers it, and what its reply subject says about it.
 *
 * @module
 */
import type { NatsMessage } from "../../nats/connection.ts";

const DOT = 46;
const DIGIT_0 = 48;
const DIGIT_9 = 57;

/** A message that a consumer delivered. What costs time to decode is decoded when it is asked for. */
export class Delivery {
  readonly #message: NatsMessage;
  /** Its sequence in the stream. */
  readonly sequence: number;
  /** Its sequence among the consumer's deliveries, from 1 on without gaps. */
  readonly consumerSequence: number;
  /** How many more matching messages the stream had when this one was sent: 0 is the end of the history. */
  readonly pending: number;

  /** See {@linkcode readDelivery}. */
  constructor(message: NatsMessage, sequence: number, consumerSequence: number, pending: number) {
    this.#message = message;
    this.sequence = sequence;
    this.consumerSequence = consumerSequence;
    this.pending = pending;
  }

  /** Its subject, encoded. */
  get subject(): string {
    return this.#message.subject;
  }

  /** Its payload. */
  get data(): Uint8Array {
    return this.#message.data;
  }

  /** When the stream's leader took it, in nanoseconds since 1970: as text, being too large for a number. */
  get timestamp(): string {
    return (this.#message.reply ?? "").split(".").at(-2) ?? "";
  }

  /** The value of a header; undefined if it is absent. */
  header(name: string): string | undefined {
    return this.#message.headers?.get(name) || undefined;
  }
}

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp>.<pending>` from its right end,
 * since the opt-in v2 format of server 2.14 has more levels on the left. Undefined if it is something else.
 */
export function readDelivery(message: NatsMessage): Delivery | undefined {
  const { reply } = message;
  if (!reply) return undefined;
  let index = reply.length - 1;
  const number = (): number => {
    let value = 0;
    const last = index;
    for (let scale = 1; index >= 0; index--, scale *= 10) {
      const digit = reply.charCodeAt(index);
      if (digit < DIGIT_0 || digit > DIGIT_9) break;
      value += (digit - DIGIT_0) * scale;
    }
    return index === last || reply.charCodeAt(index--) !== DOT ? NaN : value;
  };
  const pending = number();
  const timestamp = number();
  const consumerSequence = number();
  const sequence = number();
  if (!(pending >= 0 && timestamp >= 0 && consumerSequence > 0 && sequence > 0)) return undefined;
  return new Delivery(message, sequence, consumerSequence, pending);
}
