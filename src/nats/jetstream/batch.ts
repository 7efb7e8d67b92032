/**
 * The atomic batch (ADR-50): several messages of one stream, all stored or none, in one round trip. Not the stock
 * `batch.commit()`, which hides the server's error.
 *
 * @module
 */
import { InvalidArgumentError } from "../../errors.ts";
import { randomToken } from "../connection.ts";
import { type EncodedHeaders, encodeHeaders, type HeaderField } from "../headers.ts";
import type { PublishOutcome } from "./acknowledgement.ts";
import type { OutgoingMessage } from "./publication.ts";
import type { Publisher, PublishOptions } from "./publisher.ts";

/** The most messages of a batch with the server's default limits (error 10199 beyond). */
export const MAX_BATCH_MESSAGES = 1_000;

/** The first line of a header block. */
const VERSION_LINE_BYTES = "NATS/1.0\r\n".length;

/**
 * Publishes messages as one atomic batch. If it is stored, `sequence` is that of the last message, and those before
 * it have the sequences right below, in order. A rejection means that nothing was stored.
 *
 * @param messages An expectation belongs on the first message of its subject, and is checked against the state before
 * the batch.
 * @throws {InvalidArgumentError} If there are no messages, or more than {@linkcode MAX_BATCH_MESSAGES}.
 * @throws {PayloadTooLargeError} If the server does not take a message of that size.
 * @throws {NotConnectedError} If the connection is closed, or stays away for longer than the timeout.
 */
export async function publishBatch(
  publisher: Publisher,
  messages: readonly OutgoingMessage[],
  options?: PublishOptions,
): Promise<PublishOutcome> {
  return await publisher.publishAll(batchOf(messages), options);
}

/**
 * Messages as they are sent as one atomic batch.
 *
 * @throws {InvalidArgumentError} If there are no messages, or more than {@linkcode MAX_BATCH_MESSAGES}.
 */
export function batchOf(messages: readonly OutgoingMessage[]): OutgoingMessage[] {
  if (messages.length < 1 || messages.length > MAX_BATCH_MESSAGES) {
    throw new InvalidArgumentError(
      "messages",
      `must be 1 to ${MAX_BATCH_MESSAGES}, but are ${messages.length}`,
    );
  }
  const id = randomToken(); // 64 characters at most
  return messages.map(({ subject, data, headers }, index): OutgoingMessage => {
    const commit: readonly HeaderField[] = index === messages.length - 1 ? [["Nats-Batch-Commit", "1"]] : [];
    const block = encodeHeaders([
      ["Nats-Batch-Id", id],
      ["Nats-Batch-Sequence", String(index + 1)],
      ...commit,
    ]);
    return { subject, data, headers: headers ? joined(block, headers) : block };
  });
}

/** The lines of two header blocks as one block. */
export function joined(first: EncodedHeaders, second: EncodedHeaders): EncodedHeaders {
  const lines = first.encode().subarray(0, -"\r\n".length);
  const further = second.encode().subarray(VERSION_LINE_BYTES);
  const block = new Uint8Array(lines.length + further.length);
  block.set(lines);
  block.set(further, lines.length);
  return { encode: () => block };
}
