/**
 * Reading the global log up to its end at the time of the call: a consumer delivers it in order.
 *
 * @module
 */

import type { LogBatch, LogRead } from "../../backend.ts";
import { type JetStreamContext, until } from "../context.ts";
import type { EventLog } from "./event_log.ts";
import { findStart, type Start } from "./log_position.ts";
import { LogReading, narrowed } from "./log_reading.ts";
import { lostEnd } from "./missing.ts";
import { PageSize } from "./page_size.ts";
import type { OrderedConsumer } from "../../../nats/jetstream/ordered_consumer.ts";

/** The log up to its end at the time of the call. */
export async function* readLog(unlimited: JetStreamContext, read: LogRead): AsyncGenerator<LogBatch> {
  const context = until(unlimited, read.signal);
  const { log, heartbeat } = context;
  const { after, filter } = read;
  if (after === "end") return;
  const seen = log.highest;
  const start = await findStart(context, read);
  const subject = log.layout.filter(filter);
  const reading = new LogReading(context, read, start, subject);
  const end = subject === undefined ? start.lastSequence : await endOfFilter(log, subject, start);
  if (subject === undefined && (read.limit ?? Infinity) <= MAX_PAGE) {
    const size = new PageSize(read.limit!, start.first);
    yield* readPages(log, reading, end, size);
  } else if (end >= start.sequence) {
    const { sequence: startSequence } = start;
    const options = {
      ...narrowed(subject),
      startSequence,
      heartbeat,
      reportProgress: true,
      endSequence: end,
    };
    const consumer = reading.consumer = log.consumer(options);
    try {
      yield* readUpTo(consumer, reading, end);
      if (subject !== undefined) await reading.checkLeftOut(consumer);
    } finally {
      consumer.close();
    }
  }
  if (start.lastSequence < seen) reading.report(lostEnd(context, start.lastSequence, seen));
}

/** Up to so many events are read by their sequences: a consumer is created, and is sent far more than they are. */
const MAX_PAGE = 1_000;
/** The messages up to a sequence, as many at once as events are to be taken. */
async function* readPages(
  log: EventLog,
  reading: LogReading,
  end: number,
  size: PageSize,
): AsyncGenerator<LogBatch> {
  for (let from = reading.sequence + 1; from <= end;) {
    const count = Math.min(size.next, end - from + 1);
    const messages = await log.all(Array.from({ length: count }, (_, index) => from + index));
    let events = 0;
    for await (const batch of reading.take(messages.filter((message) => message !== undefined))) {
      events += batch.events.length;
      yield batch;
    }
    size.note(count, events);
    from += count;
  }
  if (reading.sequence < end) yield* reading.skipTo(end + 1);
}

/** What a consumer delivers up to a sequence. */
async function* readUpTo(
  consumer: OrderedConsumer,
  reading: LogReading,
  end: number,
): AsyncGenerator<LogBatch> {
  while (reading.sequence < end) {
    const messages = await consumer.read();
    const behind = messages.findIndex(({ sequence }) => sequence > end);
    const upTo = behind < 0 ? messages : messages.slice(0, behind);
    reading.delivered += messages.length;
    yield* reading.take(upTo);
    if (behind < 0 && consumer.position < end) continue;
    // The rest has expired in the meantime, or it is lost.
    if (reading.sequence < end) yield* reading.skipTo(end + 1);
    return;
  }
}

/** The sequence of the last message that a filter chooses. */
async function endOfFilter(log: EventLog, subject: string, { lastSequence }: Start): Promise<number> {
  const last = await log.last(subject);
  if (last) return last.sequence;
  return await log.hasNone(subject) ? 0 : lastSequence;
}
