/**
 * A message as a consumer delivers it, and what its reply subject contains.
 *
 * @module
 */
import type { WireMessage } from "../wire.ts";
import { headerOf, KnownSubject, type MessageBytes, payloadOf } from "./stored_message.ts";

const DOT = 46;
const DIGIT_0 = 48;
const DIGIT_9 = 57;
const NANOSECONDS = 1_000_000;

/** A message that a consumer delivered. Many of them wait for a reader: it holds nothing that can be read from its bytes. */
export class Delivery implements MessageBytes {
  readonly known: KnownSubject;
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly headerLength: number;
  /** Its sequence among the consumer's deliveries, from 1 on without gaps. */
  readonly consumerSequence: number;
  /** When the stream's leader took it, in milliseconds since 1970. */
  readonly time: number;
  /** How many more matching messages the stream had when this one was sent: 0 is the end of the history. */
  readonly pending: number;

  /** See {@linkcode readDelivery}. */
  constructor(
    known: KnownSubject,
    sequence: number,
    bytes: Uint8Array,
    headerLength: number,
    consumerSequence: number,
    time: number,
    pending: number,
  ) {
    this.known = known;
    this.sequence = sequence;
    this.bytes = bytes;
    this.headerLength = headerLength;
    this.consumerSequence = consumerSequence;
    this.time = time;
    this.pending = pending;
  }

  /** Its subject, encoded. */
  get subject(): string {
    return this.known.text;
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

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp>.<pending>` from its right end,
 * since the opt-in v2 format of server 2.14 has more levels on the left. `undefined` if it is something else.
 */
export function readDelivery(message: WireMessage, subjects: Subjects): Delivery | undefined {
  const { subject, reply, bytes, headerLength } = message;
  let index = reply.length;
  let valid = true;
  /** The number before the place, and then the place of the dot before it. */
  const number = (): number => {
    let value = 0;
    const last = --index;
    for (let scale = 1; index >= 0; index--, scale *= 10) {
      const digit = reply[index]!;
      if (digit < DIGIT_0 || digit > DIGIT_9) break;
      value += (digit - DIGIT_0) * scale;
    }
    valid &&= index < last && reply[index] === DOT;
    return value;
  };
  const pending = number();
  const timestamp = number();
  const consumerSequence = number();
  const sequence = number();
  if (!valid || consumerSequence === 0 || sequence === 0) return undefined;
  const time = timestamp / NANOSECONDS;
  const known = subjects.of(subject);
  return new Delivery(known, sequence, bytes, headerLength, consumerSequence, time, pending);
}

/** How many subjects are kept, at first and at most. */
const FIRST_SLOTS = 1_024;
const MOST_SLOTS = 64 * 1_024;

/**
 * Turns the bytes of subjects into what is known of them, those that are repeated into the same object:
 * comparing bytes costs a fraction of decoding them. Each has two places, so that few replace one another.
 */
export class Subjects {
  #slots: (KnownSubject | undefined)[] = new Array(FIRST_SLOTS).fill(undefined);
  readonly #maxSlots: number;
  /** How many were not found, since it has grown. */
  #missed = 0;

  /** @param repeat Whether subjects come again: if not, few are kept. */
  constructor(repeat = true) {
    this.#maxSlots = repeat ? MOST_SLOTS : FIRST_SLOTS;
  }

  /** A subject. */
  of(bytes: Uint8Array): KnownSubject {
    let hash = 0;
    for (let index = 0; index < bytes.length; index++) hash = Math.imul(hash, 31) + bytes[index]! | 0;
    const slot = (hash ^ hash >>> 15) & this.#slots.length - 1;
    const kept = this.#slots[slot];
    if (kept && isSame(kept.text, bytes)) return kept;
    const other = this.#slots[slot ^ 1];
    if (other && isSame(other.text, bytes)) return other;
    if (++this.#missed * 2 > this.#slots.length && this.#slots.length < this.#maxSlots) {
      this.#slots = new Array(this.#slots.length * 2).fill(undefined);
      this.#missed = 0;
      return this.of(bytes);
    }
    const known = new KnownSubject(decoder.decode(bytes));
    return this.#slots[kept && !other ? slot ^ 1 : slot] = known;
  }
}

/** Whether a string has these bytes; subjects of ours are ASCII, and others are never found to be the same. */
function isSame(text: string, bytes: Uint8Array): boolean {
  if (text.length !== bytes.length) return false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]!;
    if (byte > 0x7f || text.charCodeAt(index) !== byte) return false;
  }
  return true;
}

const decoder = new TextDecoder();
