/**
 * Positions in a stream: a message's sequence, and an event's place in the message.
 *
 * @module
 */

import { DIGITS, LogPositions } from "../../position.ts";

/** Hexadecimal digits of a stream sequence (up to 2^53), and of the index of an event in its message. */
const SEQUENCE_WIDTH = 14;
const INDEX_WIDTH = 4;
/** The last digits of a sequence, whose texts are prepared: most sequences differ only in them from the one before. */
const LOW_WIDTH = 3;
const LOW_SEQUENCES = 16 ** LOW_WIDTH;
/** The last digits of each sequence, followed by the index of its first event. */
const FIRST_OF: readonly string[] = DIGITS.map((low) => low + "0".repeat(INDEX_WIDTH));
/** The index after every event of a message. */
export const LAST_INDEX = 0xffff;

/** A place in a stream. */
export interface Place {
  /** The stream sequence of a message. */
  readonly sequence: number;
  /** The index of an event in it. */
  readonly index: number;
}

/** The positions of one log. */
export class StreamPositions {
  /** Their text form. */
  readonly positions: LogPositions;
  /** The first digits of the sequence of the last position, as a number and as text. */
  #high = -1;
  #highText = "";

  constructor(logId: string) {
    this.positions = new LogPositions(logId, SEQUENCE_WIDTH + INDEX_WIDTH);
  }

  /**
   * The position of an event of a message.
   *
   * @param proof The proof of the message.
   */
  position(sequence: number, index: number, proof: string): string {
    const low = sequence % LOW_SEQUENCES;
    const high = sequence - low;
    if (high !== this.#high) {
      this.#high = high;
      const digits = (high / LOW_SEQUENCES).toString(16).padStart(SEQUENCE_WIDTH - LOW_WIDTH, "0");
      this.#highText = this.positions.of(digits);
    }
    if (index === 0) return this.#highText + (FIRST_OF[low]! + proof);
    return this.#highText + (DIGITS[low]! + index.toString(16).padStart(INDEX_WIDTH, "0") + proof);
  }

  /**
   * The place that a position names. It does not check the proof.
   *
   * @throws {InvalidPositionError} If it is malformed or of another log.
   */
  place(position: string): Place {
    const body = this.positions.bodyOf(position);
    return {
      sequence: parseInt(body.slice(0, SEQUENCE_WIDTH), 16),
      index: parseInt(body.slice(SEQUENCE_WIDTH), 16),
    };
  }
}
