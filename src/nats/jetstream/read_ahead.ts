/**
 * What a consumer has received and its reader has not taken yet.
 *
 * @module
 */

import type { Delivery } from "./delivery.ts";

/** What a buffered message costs besides its bytes: its objects (estimated). */
const OVERHEAD_BYTES = 256;

/** The messages that wait for one reader, and the reader that waits for them. */
export class ReadAhead {
  #messages: Delivery[] = [];
  #bytes = 0;
  /** What the reader took last and still works on: it counts until the reader comes back. */
  #takenBytes = 0;
  #reader: PromiseWithResolvers<void> | undefined;

  /** How many bytes wait for the reader, or are with it, estimated. */
  get bytes(): number {
    return this.#bytes + this.#takenBytes;
  }

  /** The message that the reader gets next. */
  get first(): Delivery | undefined {
    return this.#messages[0];
  }

  /** Whether the reader has taken all that has arrived. */
  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Takes a message for the reader, and wakes it. */
  push(message: Delivery): void {
    this.#messages.push(message);
    this.#bytes += message.bytes.length + OVERHEAD_BYTES;
    this.wake();
  }

  /** The reader is done with what it took last. */
  release(): void {
    this.#takenBytes = 0;
  }

  /** Hands all messages to the reader. */
  take(): readonly Delivery[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#takenBytes = this.#bytes;
    this.#bytes = 0;
    return messages;
  }

  /** Drops what waits. */
  clear(): void {
    this.#messages = [];
    this.#bytes = 0;
  }

  /** Waits until the reader is woken. */
  wait(): Promise<void> {
    this.#reader ??= Promise.withResolvers();
    return this.#reader.promise;
  }

  /** Lets a reader that waits look again. */
  wake(): void {
    this.#reader?.resolve();
    this.#reader = undefined;
  }
}
