/**
 * Reading the global log from JetStream: an ordered consumer, held against the stream's sequences where it delivers all
 * of them, and against the actors' chains.
 *
 * @module
 */

import type { StoredEvent } from "../../../event/types.ts";
import type { LogBatch, LogFollow, LogRead } from "../../backend.ts";
import { VersionContinuity } from "../../continuity.ts";
import {
  DamagedHistoryError,
  type HistoryFault,
  HistoryTruncatedError,
  InvalidPositionError,
} from "../../errors.ts";
import { type JetStreamContext, until } from "../context.ts";
import type { EventLog } from "./event_log.ts";
import type { Delivery } from "../../../nats/jetstream/delivery.ts";
import { fetchSkipped, missingBefore } from "./missing.ts";
import { Repairs } from "./repairs.ts";
import type { OrderedConsumer } from "../../../nats/jetstream/ordered_consumer.ts";
import { type CommitDecoder, isStray, type StoredCommit } from "../format/commit_decoder.ts";
import type { MessageBytes, StoredMessage } from "../../../nats/jetstream/stored_message.ts";
import { TextRuns } from "../../../nats/jetstream/text_run.ts";

/** How many sequences back at once the last event is searched for behind commits that have none. */
const BACKWARD_BATCH = 128;

/** How many events are handed out together, while more have arrived. */
const EVENTS_AT_ONCE = 128;

/** The position of the log's last event. */
export async function lastPosition(
  unlimited: JetStreamContext,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const context = until(unlimited, signal);
  const { log, decoder } = context;
  const last = await log.last();
  if (last) return await positionUpTo(context, last);
  // A server that cannot read the last message says that there is none.
  const { messages, last_seq } = (await log.info()).state;
  if (messages === 0) return undefined;
  const again = await log.last();
  if (!again) throw gap(decoder, last_seq);
  return await positionUpTo(context, again);
}

/** The position of the last event up to a message. */
async function positionUpTo(
  { log, decoder }: JetStreamContext,
  last: StoredMessage,
): Promise<string | undefined> {
  log.saw(last.sequence);
  let messages: (StoredMessage | undefined)[] = [last];
  for (let sequence = last.sequence;;) {
    for (const message of messages) {
      if (!message) continue;
      const commit = decoder.read(message);
      if (commit instanceof DamagedHistoryError) {
        if (isStray(commit)) continue; // it holds no event
        throw commit;
      }
      if (commit.versions.length > 0) return decoder.endOf(commit);
    }
    if (sequence <= 1 || messages.at(-1) === undefined) return undefined;
    // Only messages without events so far: they have no position.
    const count = Math.min(BACKWARD_BATCH, sequence - 1);
    messages = await log.all(Array.from({ length: count }, (_, index) => sequence - 1 - index));
    sequence -= count;
  }
}

/** The log up to the end that it has now. */
export async function* readLog(unlimited: JetStreamContext, read: LogRead): AsyncGenerator<LogBatch> {
  const context = until(unlimited, read.signal);
  const { log, heartbeat } = context;
  const { after, filter } = read;
  if (after === "end") return;
  const seen = log.highest;
  const start = await findStart(context, read);
  const subject = log.layout.filter(filter);
  const reading = new LogReading(context, read, start, subject !== undefined);
  const end = subject === undefined ? start.lastSequence : await endOfFilter(log, subject, start);
  if (end >= start.sequence) {
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
      yield* readUpTo(consumer, reading, end, after === "first-kept");
      if (subject !== undefined) await reading.checkLeftOut(consumer);
    } finally {
      consumer.close();
    }
  }
  if (start.lastSequence < seen) reading.report(lostEnd(context, start.lastSequence, seen));
}

/** What a consumer delivers up to a sequence. */
async function* readUpTo(
  consumer: OrderedConsumer,
  reading: LogReading,
  end: number,
  mayBeginLater: boolean,
): AsyncGenerator<LogBatch> {
  while (reading.sequence < end) {
    const messages = await consumer.read();
    const behind = messages.findIndex(({ sequence }) => sequence > end);
    const upTo = behind < 0 ? messages : messages.slice(0, behind);
    reading.delivered += messages.length;
    yield* reading.take(upTo);
    if (behind < 0 && consumer.position < end) continue;
    // What was still to come has expired while it was waited for, or it is lost.
    if (reading.sequence < end) yield* reading.skipTo(end + 1, mayBeginLater);
    return;
  }
}

/** The sequence up to which what a filter chooses is read. */
async function endOfFilter(log: EventLog, subject: string, { lastSequence }: Start): Promise<number> {
  const last = await log.last(subject);
  if (last) return last.sequence;
  return await log.hasNone(subject) ? 0 : lastSequence;
}

function lostEnd({ decoder }: JetStreamContext, end: number, seen: number): DamagedHistoryError {
  return new DamagedHistoryError(
    `the log ends at sequence ${end}, and this store has seen sequence ${seen}`,
    {
      position: decoder.placeOf(end + 1, undefined),
    },
  );
}

/**
 * Checks that a reader that begins again goes on where it was: the stream may have been restored to an earlier state
 * meanwhile, and what comes next may have expired.
 *
 * @param passed The sequence that the reader has come to.
 * @param last The last message that it took.
 */
async function assertContinues(
  context: JetStreamContext,
  passed: number,
  last: Delivery | undefined,
): Promise<void> {
  const { log, decoder } = context;
  const { lastSequence } = await endOf(log, (lastSequence) => lastSequence < passed);
  if (lastSequence < passed) throw lostEnd(context, lastSequence, passed);
  const first = await log.first();
  const kept = first?.sequence ?? lastSequence + 1;
  if (kept > passed + 1) throw log.expires ? truncated(decoder, first) : gap(decoder, passed + 1);
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
  if (one instanceof DamagedHistoryError || other instanceof DamagedHistoryError) return true; // told where it is read
  return one.checksum === other.checksum;
}

/** The log, and then what comes. */
export async function* followLog(unlimited: JetStreamContext, follow: LogFollow): AsyncGenerator<LogBatch> {
  const context = until(unlimited, follow.signal);
  const { log, decoder, heartbeat } = context;
  const { after, filter, onReady, signal } = follow;
  const seen = log.highest;
  let start: Start;
  let position: string | undefined;
  if (after === "end") {
    const { last, lastSequence } = await endOf(log, () => false);
    // Of the very message behind which it begins: others write meanwhile.
    position = last && await positionUpTo(context, last);
    start = { sequence: lastSequence + 1, after: undefined, lastSequence, fromStart: false };
  } else start = await findStart(context, follow);
  if (signal.aborted) return;
  const subject = log.layout.filter(filter);
  const consumer = log.consumer({
    ...narrowed(subject),
    startSequence: start.sequence,
    heartbeat,
    reportProgress: true,
    endSequence: start.lastSequence,
    check: (passed, last) => assertContinues(context, passed, last),
  });
  try {
    await consumer.start();
    onReady(position);
    const reading = new LogReading(context, follow, start, subject !== undefined);
    reading.consumer = consumer;
    if (start.lastSequence < seen) reading.report(lostEnd(context, start.lastSequence, seen));
    while (!consumer.isClosed) {
      const messages = await consumer.read();
      if (messages.length > 0) yield* reading.take(messages);
      if (subject !== undefined) await reading.reportLeftOut(consumer);
      if (messages.length > 0 || consumer.isClosed) continue;
      if (subject !== undefined) yield* progress(context, consumer, reading);
      else if (consumer.position > reading.sequence) yield* reading.skipTo(consumer.position + 1, false);
    }
  } finally {
    consumer.close();
  }

  /** The place behind the last event that the filter left out. */
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

/** Where a read begins. */
interface Start {
  /** The first stream sequence to read. */
  readonly sequence: number;
  /** Events up to this position are left out. */
  readonly after: string | undefined;
  /** The last sequence of the log when the read began, also of a message that has expired or cannot be read. */
  readonly lastSequence: number;
  /** Whether the read begins with the very first commit of the log. */
  readonly fromStart: boolean;
}

/** The end of the log, and the place of a position in it. */
interface CheckedEnd {
  /** The last message. */
  readonly last: StoredMessage | undefined;
  /** The sequence of the last message, also of one that has expired. */
  readonly lastSequence: number;
  /** The sequence of the position. */
  readonly sequence: number;
}

/**
 * Holds a position against the log. What has expired cannot be compared, and what cannot be read is no matter of the
 * position.
 *
 * @throws {InvalidPositionError} If it is none of this log, or one that it has not reached.
 */
export async function checkPosition(
  unlimited: JetStreamContext,
  position: string,
  signal?: AbortSignal,
): Promise<CheckedEnd> {
  const { log, decoder } = until(unlimited, signal);
  const { sequence, index } = decoder.place(position);
  if (sequence < 1) throw new InvalidPositionError(position, "ahead");
  const [{ last, lastSequence }, message] = await Promise.all([
    endOf(log, (lastSequence) => sequence > lastSequence),
    log.at(sequence),
  ]);
  if (sequence > lastSequence) throw new InvalidPositionError(position, "ahead");
  const header = message && decoder.header(message);
  if (header && !(header instanceof DamagedHistoryError) && !decoder.isIn(header, position)) {
    const isBehindLast = sequence === last?.sequence && index >= header.versions.length;
    throw new InvalidPositionError(position, isBehindLast ? "ahead" : "diverged");
  }
  return { last, lastSequence, sequence };
}

/** The last message, and its sequence. */
function endOf(
  log: EventLog,
  isBehind: (lastSequence: number) => boolean,
): Promise<Pick<CheckedEnd, "last" | "lastSequence">> {
  return log.upToDate(async () => {
    const last = await log.last();
    // An empty stream is a new one, or all of it has expired.
    return { last, lastSequence: last?.sequence ?? (await log.info()).state.last_seq };
  }, ({ lastSequence }) => isBehind(lastSequence));
}

/** Checks where a read is to begin. */
async function findStart(context: JetStreamContext, { after }: Pick<LogRead, "after">): Promise<Start> {
  const { log, decoder } = context;
  const place = after === "start" || after === "first-kept" ? undefined : await checkPosition(context, after);
  const { last, lastSequence } = place ?? await endOf(log, () => false);
  // The first message is read last: others write meanwhile.
  const first = await log.first();
  if (last) log.saw(last.sequence);
  if (place) {
    const kept = first?.sequence ?? lastSequence + 1;
    if (place.sequence + 1 < kept) {
      if (log.expires) throw truncated(decoder, first);
      throw gap(decoder, place.sequence + 1);
    }
    return { sequence: Math.max(place.sequence, kept), after, lastSequence, fromStart: false };
  }
  const sequence = first?.sequence ?? lastSequence + 1;
  if (after === "start") {
    if (first ? sequence > 1 : lastSequence > 0) {
      throw log.expires ? truncated(decoder, first) : gap(decoder, 1);
    }
  }
  return { sequence, after: undefined, lastSequence, fromStart: after === "start" };
}

/** The error of a read that begins before the first kept message. */
export function truncated(decoder: CommitDecoder, first: StoredMessage | undefined): HistoryTruncatedError {
  return new HistoryTruncatedError({ firstPosition: first && decoder.placeOf(first.sequence, first) });
}

/** The damage of a message that is missing. */
export function gap(decoder: CommitDecoder, sequence: number): DamagedHistoryError {
  return new DamagedHistoryError("commits are missing from the log", {
    position: decoder.placeOf(sequence, undefined),
  });
}

function narrowed(subject: string | undefined): { filterSubjects?: readonly string[] } {
  return subject === undefined ? {} : { filterSubjects: [subject] };
}

/** Turns messages into events, and checks them. */
class LogReading {
  /** The stream sequence that it has come to. */
  sequence: number;
  /** What delivers to it. */
  consumer: OrderedConsumer | undefined;
  readonly #context: JetStreamContext;
  readonly #onDamage: ((fault: HistoryFault) => void) | undefined;
  readonly #after: string | undefined;
  readonly #filtered: boolean;
  readonly #chains: VersionContinuity<StoredCommit>;
  readonly #repairs: Repairs;
  /** How many messages a consumer has delivered to it. */
  delivered = 0;
  /** How many messages that were left out it has reported. */
  #leftOut = 0;
  /** The last commit that was read. */
  #last: StoredCommit | undefined;
  #position: string | undefined;

  constructor(context: JetStreamContext, { onDamage }: LogRead, start: Start, filtered: boolean) {
    this.#context = context;
    this.#repairs = new Repairs(context);
    this.#onDamage = onDamage;
    this.#after = start.after;
    this.#position = start.after;
    this.#filtered = filtered;
    const isBefore = ({ previousSequence }: StoredCommit): boolean => previousSequence < start.sequence;
    this.#chains = new VersionContinuity(start.fromStart ? undefined : isBefore);
    this.sequence = start.sequence - 1;
  }

  /** Throws a fault, or hands it to who wants to go on. */
  report(fault: HistoryFault): void {
    if (!this.#onDamage) throw fault;
    this.#onDamage(fault);
  }

  readonly #choose = ({ position }: StoredEvent): boolean => {
    return this.#after === undefined || position > this.#after;
  };

  async *take(messages: readonly MessageBytes[]): AsyncGenerator<LogBatch> {
    const { log, decoder } = this.#context;
    const runs = new TextRuns(messages);
    let events: StoredEvent[] = [];
    for (let index = 0; index < messages.length; index++) {
      const message = messages[index]!;
      let missing = false;
      if (message.sequence !== this.sequence + 1 && !this.#filtered) {
        if (events.length > 0) yield this.#batch(events);
        events = [];
        missing = yield* this.skipTo(message.sequence, false);
      }
      this.sequence = message.sequence;
      const commit = decoder.read(message, runs.of(index));
      let fault: HistoryFault | undefined;
      if (commit instanceof DamagedHistoryError) {
        fault = await this.#repairs.covers(commit) ? undefined : commit;
      } else {
        const broken = this.#chains.accept(commit, message.known);
        // What was forgotten was there, or its sequence would have been missed.
        if (broken && broken !== "forgotten" && !missing) fault = await missingBefore(log, commit, broken);
      }
      if (fault) {
        if (events.length > 0) yield this.#batch(events);
        events = [];
        this.#reportUnlessBefore(fault);
      }
      if (commit instanceof DamagedHistoryError) continue;
      this.#last = commit;
      for (const event of commit.events) if (this.#choose(event)) events.push(event);
      // What waits to be handed out lives long enough to cost the garbage collector as much as it cost to read.
      if (events.length >= EVENTS_AT_ONCE) {
        yield this.#batch(events);
        events = [];
      }
    }
    log.saw(this.sequence);
    if (messages.length > 0) yield this.#batch(events);
  }

  /**
   * Goes on to a sequence without what was delivered before it: takes what the leader has of it, and reports the rest.
   *
   * @param mayBeginLater Whether what has expired is none of the reader's matter.
   * @returns Whether something is missing.
   */
  async *skipTo(end: number, mayBeginLater: boolean): AsyncGenerator<LogBatch, boolean> {
    const { log, decoder } = this.#context;
    if (log.expires) {
      const first = await log.first();
      const kept = Math.min(end, first?.sequence ?? Infinity);
      if (this.sequence + 1 < kept) {
        if (!mayBeginLater) this.#reportUnlessBefore(truncated(decoder, first));
        this.sequence = kept - 1;
        if (kept === end) return true;
      }
    }
    let isMissing = false;
    if (this.#filtered) return isMissing;
    for await (const found of fetchSkipped(log, this.sequence + 1, end)) {
      if (!("count" in found)) {
        log.noteDamaged(this.consumer?.server, found.sequence);
        yield* this.take([found]);
        continue;
      }
      isMissing = true;
      this.sequence = found.from + found.count - 1;
      this.#reportUnlessBefore(
        new DamagedHistoryError(`${found.count} commit(s) are missing from the log`, {
          position: decoder.placeOf(found.from, undefined),
        }),
      );
    }
    return isMissing;
  }

  /** Holds what a filtered reader was delivered against what the server counted when it began. */
  async checkLeftOut(consumer: OrderedConsumer): Promise<void> {
    // It rests at its end within a heartbeat, or delivers what was stored meanwhile.
    while (this.delivered < consumer.expected && consumer.pending > 0 && consumer.leftOut === 0) {
      const messages = await consumer.read();
      this.delivered += messages.length;
      if (messages.length === 0 && consumer.leftOut === 0) return;
    }
    await this.reportLeftOut(consumer);
  }

  /** Reports messages that the server counts and has not delivered. */
  async reportLeftOut({ leftOut, server }: OrderedConsumer): Promise<void> {
    const count = leftOut - this.#leftOut;
    if (count <= 0) return;
    this.#leftOut = leftOut;
    const { log, decoder } = this.#context;
    const first = log.expires ? await log.first() : undefined;
    if (log.expires && (first?.sequence ?? Infinity) > 1) return;
    log.noteDamaged(server);
    this.report(
      new DamagedHistoryError(`${count} commit(s) that the server counts are missing from what it delivers`, {
        position: decoder.placeOf(this.sequence, undefined),
      }),
    );
  }

  /** Reports a fault that does not lie in what was read before the position to begin behind. */
  #reportUnlessBefore(fault: HistoryFault | undefined): void {
    if (!fault || (fault instanceof DamagedHistoryError && this.#isBefore(fault))) return;
    this.report(fault);
  }

  /** Whether it lies in what was read before the position to begin behind. */
  #isBefore({ position }: DamagedHistoryError): boolean {
    return this.#after !== undefined && position !== undefined && position <= this.#after;
  }

  #batch(events: readonly StoredEvent[]): LogBatch {
    const { decoder } = this.#context;
    this.#position = events.at(-1)?.position ?? this.#position ??
      (this.#last ? decoder.endOf(this.#last) : decoder.placeOf(this.sequence, undefined));
    return { events, position: this.#position };
  }
}
