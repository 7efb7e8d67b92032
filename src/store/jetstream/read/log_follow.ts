/**
 * Following the global log: what is stored, and then every commit as it is stored.
 *
 * @module
 */

import type { LogBatch, LogFollow } from "../../backend.ts";
import { DamagedHistoryError } from "../../errors.ts";
import { type JetStreamContext, until } from "../context.ts";
import type { CommitDecoder } from "../format/commit_decoder.ts";
import { endOf, findStart, positionUpTo, type Start } from "./log_position.ts";
import { LogReading, narrowed } from "./log_reading.ts";
import { gap, lostEnd, truncated } from "./missing.ts";
import type { Delivery } from "../../../nats/jetstream/delivery.ts";
import type { OrderedConsumer } from "../../../nats/jetstream/ordered_consumer.ts";
import type { MessageBytes } from "../../../nats/jetstream/stored_message.ts";

/** The log, and then every commit as it is stored. */
export async function* followLog(unlimited: JetStreamContext, follow: LogFollow): AsyncGenerator<LogBatch> {
  const context = until(unlimited, follow.signal);
  const { log, decoder, heartbeat } = context;
  const { after, filter, onReady, signal } = follow;
  const seen = log.highest;
  let start: Start;
  let position: string | undefined;
  if (after === "end") {
    const { last, lastSequence } = await endOf(log, () => false);
    // The position of the message after which it begins: other writers may append in the meantime.
    position = last && await positionUpTo(context, last);
    const isAtEnd = { after: undefined, fromStart: false, fromFirstKept: false };
    start = { sequence: lastSequence + 1, lastSequence, ...isAtEnd };
  } else start = await findStart(context, follow);
  if (signal.aborted) return;
  const subject = log.layout.filter(filter);
  const consumer = log.consumer({
    ...narrowed(subject),
    startSequence: start.sequence,
    heartbeat,
    reportProgress: true,
    endSequence: start.lastSequence,
    check: (passed, last) => assertContinues(context, start, passed, last),
  });
  try {
    await consumer.start();
    onReady(position);
    const reading = new LogReading(context, follow, start, subject);
    reading.consumer = consumer;
    if (start.lastSequence < seen) reading.report(lostEnd(context, start.lastSequence, seen));
    while (!consumer.isClosed) {
      const messages = await consumer.read();
      if (messages.length > 0) yield* reading.take(messages);
      if (subject !== undefined) await reading.reportLeftOut(consumer);
      if (messages.length > 0 || consumer.isClosed) continue;
      if (subject !== undefined) yield* progress(context, consumer, reading);
      else if (consumer.position > reading.sequence) yield* reading.skipTo(consumer.position + 1);
    }
  } finally {
    consumer.close();
  }

  /** The position after the last event that the filter left out. */
  async function* progress(
    { log }: JetStreamContext,
    { position: passed }: OrderedConsumer,
    reading: LogReading,
  ): AsyncGenerator<LogBatch> {
    if (passed <= reading.sequence) return;
    const [message] = await log.all([passed]);
    const header = message && decoder.header(message);
    reading.sequence = passed;
    if (!header || header instanceof DamagedHistoryError) return;
    yield { events: [], position: decoder.endOf(header) };
  }
}

/**
 * Checks that a reader that starts again continues from its last message: in the meantime the stream may have been
 * restored to an earlier state, and the next messages may have expired.
 *
 * @param start Where the reading began.
 * @param passed The sequence that the reader has come to.
 * @param last The last message that it read.
 */
async function assertContinues(
  context: JetStreamContext,
  { fromFirstKept }: Start,
  passed: number,
  last: Delivery | undefined,
): Promise<void> {
  const { log, decoder } = context;
  const { lastSequence } = await endOf(log, (lastSequence) => lastSequence < passed);
  if (lastSequence < passed) throw lostEnd(context, lastSequence, passed);
  if (fromFirstKept && !last) return;
  const first = await log.first();
  const kept = first?.sequence ?? lastSequence + 1;
  if (kept > passed + 1) {
    throw await log.mayHaveExpired() ? truncated(decoder, first) : gap(decoder, passed + 1);
  }
  if (!last || last.sequence < kept) return;
  const stored = await log.at(last.sequence);
  if (!stored || isSame(decoder, stored, last)) return;
  throw new DamagedHistoryError(
    "another commit is stored in the place of one that was read: the log was restored",
    {
      position: decoder.placeOf(last.sequence, stored),
    },
  );
}

function isSame(decoder: CommitDecoder, a: MessageBytes, b: MessageBytes): boolean {
  const [one, other] = [decoder.header(a), decoder.header(b)];
  // Damage is reported when it is read.
  if (one instanceof DamagedHistoryError || other instanceof DamagedHistoryError) return true;
  return one.checksum === other.checksum;
}
