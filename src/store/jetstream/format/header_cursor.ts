/**
 * Reads the fields of a commit's header from its bytes, without text in between.
 *
 * @module
 */

const DIGIT_0 = 48;
export const DASH = 45;
export const LETTER_U = 117;
export const BLANK = 32;
export const CARRIAGE_RETURN = 13;

/** A message cannot be read as a commit; the error's message is the reason. */
export class Unreadable extends Error {}

/** A message is a commit whose bytes have changed. */
export class ChangedCommit extends Unreadable {}

/** Reads fields that end with a space or a line break. */
export class Cursor {
  readonly #bytes: Uint8Array;
  /** The index of the next field. */
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  /** Takes a field that is this text, or takes nothing. */
  takes(text: string): boolean {
    const { at } = this;
    this.skip();
    if (this.at - 1 - at !== text.length) return false;
    for (let index = 0; index < text.length; index++) {
      if (this.#bytes[at + index] !== text.charCodeAt(index)) return false;
    }
    return true;
  }

  /**
   * A field that is a number.
   *
   * @param end The character after it.
   * @param mark A character that may be between the digits and the end.
   * @throws {Unreadable} If it is not a number, or above 2^53 - 1.
   */
  number(end: number, mark = end): number {
    const value = this.tryNumber(end, mark);
    if (value === undefined) throw new Unreadable("a field of its header is not a number");
    return value;
  }

  /** The same; `undefined` if it is not a number, or above 2^53 - 1. */
  tryNumber(end: number, mark = end): number | undefined {
    const bytes = this.#bytes;
    const from = this.at;
    let { at } = this;
    let value = 0;
    for (;; at++) {
      const digit = bytes[at]! - DIGIT_0;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
    }
    const isNumber = at > from && value <= Number.MAX_SAFE_INTEGER;
    if (mark !== end && bytes[at] === mark) at++;
    if (!isNumber || bytes[at] !== end) return undefined;
    this.at = at + 1;
    return value;
  }

  /** Goes to the next field. */
  skip(): void {
    const bytes = this.#bytes;
    let { at } = this;
    while (at < bytes.length && bytes[at] !== BLANK && bytes[at] !== CARRIAGE_RETURN) at++;
    this.at = at + 1;
  }
}
