/**
 * The atomic batch (ADR-50): several messages of one stream, all stored or none, in one round trip. Not the stock
 * `batch.commit()`, which hides the server's error.
 *
 * @module
 */
import { InvalidArgumentError } from "../../errors.ts";
import { randomToken } from "../../nats/connection.ts";
import { encodeHeaders, type HeaderField } from "../../nats/headers.ts";
import type { Publisher, PublishOptions, PublishOutcome } from "./publisher.ts";

/** The most messages of a batch with the server's default limits (error 10199 beyond). */
export const MAX_BATCH_MESSAGES = 1_000;

/** One message of a batch. */
export interface BatchMessage {
  /** Its subject, encoded. */
  readonly subject: string;
  /** Its payload. */
  readonly data: Uint8Array;
  /**
   * Its headers. An expectation belongs on the first message of its subject, and is checked against the state before
   * the batch.
   */
  readonly headers: readonly HeaderField[];
}

/**
 * Publishes messages as one atomic batch. If it is stored, `sequence` is that of the last message, and those before
 * it have the sequences right below, in order. A rejection means that nothing was stored.
 *
 * @throws {InvalidArgumentError} if there are no messages, or more than {@linkcode MAX_BATCH_MESSAGES}.
 * @throws {PayloadTooLargeError} if the server does not take a message of that size.
 * @throws {NotConnectedError} if the connection is closed, or stays away for longer than the timeout.
 */
export async function publishBatch(
  publisher: Publisher,
  messages: readonly BatchMessage[],
  options?: PublishOptions,
): Promise<PublishOutcome> {
  if (messages.length < 1 || messages.length > MAX_BATCH_MESSAGES) {
    throw new InvalidArgumentError(
      "messages",
      `must be 1 to ${MAX_BATCH_MESSAGES}, but are ${messages.length}`,
    );
  }
  const id = randomToken(); // 64 characters at most
  const outgoing = messages.map(({ subject, data, headers }, index) => {
    const commit: readonly HeaderField[] = index === messages.length - 1 ? [["Nats-Batch-Commit", "1"]] : [];
    const fields: readonly HeaderField[] = [
      ["Nats-Batch-Id", id],
      ["Nats-Batch-Sequence", String(index + 1)],
      ...commit,
      ...headers,
    ];
    return { subject, data, headers: encodeHeaders(fields) };
  });
  return await publisher.publishAll(outgoing, options);
}
