/**
 * Decoding messages together: what a socket delivers at once is in one piece of memory, and decoding all of it costs
 * little more than decoding one message.
 *
 * @module
 */

/** A message as bytes. */
export interface Bytes {
  /** Its header block, if it has one, and after it its payload. */
  readonly bytes: Uint8Array;
  /** How many of the bytes are the header block; 0 without one. */
  readonly headerLength: number;
}

/** The text of messages that are in the same memory, one character for each byte. */
export interface TextRun {
  /** The text. */
  readonly text: string;
  /** Where in the memory it begins. */
  readonly start: number;
}

const decoder = new TextDecoder();

/** Decodes a list of messages, run by run, while it is read in order. */
export class TextRuns {
  readonly #messages: readonly (Bytes | undefined)[];
  #run: TextRun | undefined;
  /** The first message that was not looked at. */
  #next = 0;

  constructor(messages: readonly (Bytes | undefined)[]) {
    this.#messages = messages;
  }

  /** The run of a message; undefined if it has to be decoded alone. */
  of(index: number): TextRun | undefined {
    if (index >= this.#next) this.#decode(index);
    return this.#run;
  }

  #decode(index: number): void {
    const { buffer, byteOffset: start } = this.#messages[index]!.bytes;
    let end = start;
    let next = index;
    for (; next < this.#messages.length; next++) {
      const bytes = this.#messages[next]?.bytes;
      if (bytes?.buffer !== buffer || bytes.byteOffset < end) break;
      end = bytes.byteOffset + bytes.length;
    }
    this.#next = next;
    this.#run = undefined;
    if (next === index + 1) return;
    const text = decoder.decode(new Uint8Array(buffer, start, end - start));
    // A character for every byte: then the places in both are the same. Otherwise there is a character of several bytes.
    if (text.length === end - start) this.#run = { text, start };
  }
}
