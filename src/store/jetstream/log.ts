/**
 * Reading the global log from JetStream: an ordered consumer, held against the stream's sequences where it delivers all
 * of them, and against the actors' chains.
 *
 * @module
 */

import type { StoredEvent } from "../../event/types.ts";
import type { LogBatch, LogFollow, LogRead } from "../backend.ts";
import { LogChains } from "../chain.ts";
import {
  DamagedHistoryError,
  type HistoryFault,
  HistoryTruncatedError,
  InvalidPositionError,
} from "../errors.ts";
import type { EventLog } from "./event_log.ts";
import { missingBefore } from "./missing.ts";
import type { OrderedConsumer } from "./ordered_consumer.ts";
import type { Records, StoredCommit } from "./record.ts";
import type { MessageBytes, StoredMessage } from "./stored_message.ts";
import { TextRuns } from "./text_run.ts";

/** What the log is read with. */
export interface LogSources {
  /** The stream. */
  readonly log: EventLog;
  /** Reads messages. */
  readonly records: Records;
  /** How often the server reports that there is nothing to deliver, in milliseconds. */
  readonly heartbeat: number;
}

/** How many sequences back at once the last event is searched for behind commits that have none. */
const BACKWARD_BATCH = 128;

/** How many events are handed out together, while more have arrived. */
const EVENTS_AT_ONCE = 128;

/** The position of the log's last event. */
export async function lastPosition({ log, records }: LogSources): Promise<string | undefined> {
  const last = await log.last();
  if (!last) return undefined;
  log.saw(last.sequence);
  let messages: (StoredMessage | undefined)[] = [last];
  for (let sequence = last.sequence;;) {
    for (const message of messages) {
      if (!message) continue;
      const header = records.header(message);
      if (header instanceof DamagedHistoryError) throw header;
      if (header.versions.length > 0) return records.endOf(header);
    }
    if (sequence <= 1 || messages.at(-1) === undefined) return undefined;
    // Only takeOvers so far: they have no position.
    const count = Math.min(BACKWARD_BATCH, sequence - 1);
    messages = await log.all(Array.from({ length: count }, (_, index) => sequence - 1 - index));
    sequence -= count;
  }
}

/** The log up to the end that it has now. */
export async function* readLog(sources: LogSources, read: LogRead): AsyncGenerator<LogBatch> {
  const { log, records, heartbeat } = sources;
  const { after, filter } = read;
  if (after === "end") return;
  const start = await findStart(sources, read);
  const subject = log.layout.filter(filter);
  const end = (subject === undefined ? start.last : await log.last(subject))?.sequence ?? 0;
  if (end < start.sequence) return;
  const consumer = log.consumer({ ...narrowed(subject), startSequence: start.sequence, heartbeat });
  try {
    const reading = new LogReading(sources, read, start, subject !== undefined);
    while (reading.sequence < end) {
      const messages = await arrival(consumer.read(), heartbeat, async () => {
        // What was still to come may expire while it is waited for, and then never comes.
        return log.expires && await log.firstSequence() > end;
      });
      if (!messages) {
        if (after !== "first-kept") reading.report(truncated(records, await log.first()));
        return;
      }
      const behind = messages.findIndex(({ sequence }) => sequence > end);
      yield* reading.take(behind < 0 ? messages : messages.slice(0, behind));
      if (behind >= 0) {
        if (reading.sequence < end) reading.report(gap(records, reading.sequence + 1));
        return;
      }
    }
  } finally {
    consumer.close();
  }
}

/** What arrives; nothing once it is certain, which is asked now and then, that nothing will. */
async function arrival<T>(
  arriving: Promise<T>,
  interval: number,
  isVain: () => Promise<boolean>,
): Promise<T | undefined> {
  for (;;) {
    const { promise, resolve } = Promise.withResolvers<"late">();
    const timer = setTimeout(resolve, interval, "late");
    const first = await Promise.race([arriving, promise]).finally(() => clearTimeout(timer));
    if (first !== "late") return first as T;
    if (await isVain()) return undefined;
  }
}

/** The log, and then what comes. */
export async function* followLog(sources: LogSources, follow: LogFollow): AsyncGenerator<LogBatch> {
  const { log, records, heartbeat } = sources;
  const { after, filter, onReady, signal } = follow;
  let start: Start;
  let position: string | undefined;
  if (after === "end") {
    const last = await log.last();
    position = await lastPosition(sources);
    start = { sequence: (last?.sequence ?? 0) + 1, after: undefined, last, fromStart: false };
  } else start = await findStart(sources, follow);
  if (signal.aborted) return;
  const subject = log.layout.filter(filter);
  const consumer = log.consumer({
    ...narrowed(subject),
    startSequence: start.sequence,
    heartbeat,
    reportProgress: subject !== undefined,
  });
  const close = (): void => consumer.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    await consumer.start();
    onReady(position);
    const reading = new LogReading(sources, follow, start, subject !== undefined);
    while (!consumer.isClosed) {
      const messages = await consumer.read();
      if (messages.length > 0) yield* reading.take(messages);
      else if (!consumer.isClosed) yield* progress(sources, consumer, reading);
    }
  } finally {
    signal.removeEventListener("abort", close);
    consumer.close();
  }

  /** The place behind the last event that the filter left out. */
  async function* progress(
    { log }: LogSources,
    { position: passed }: OrderedConsumer,
    reading: LogReading,
  ): AsyncGenerator<LogBatch> {
    if (passed <= reading.sequence) return;
    const [message] = await log.all([passed]);
    const header = message && records.header(message);
    reading.sequence = passed;
    if (!header || header instanceof DamagedHistoryError) return;
    yield { events: [], position: records.endOf(header) };
  }
}

/** Where a read begins. */
interface Start {
  /** The first stream sequence to read. */
  readonly sequence: number;
  /** Events up to this position are left out. */
  readonly after: string | undefined;
  /** The last message of the log when the read began. */
  readonly last: StoredMessage | undefined;
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
export async function checkPosition({ log, records }: LogSources, position: string): Promise<CheckedEnd> {
  const { sequence, index } = records.place(position);
  if (sequence < 1) throw new InvalidPositionError(position, "ahead");
  const [{ last, lastSequence }, message] = await Promise.all([
    endOf(log, (lastSequence) => sequence > lastSequence),
    log.at(sequence),
  ]);
  if (sequence > lastSequence) throw new InvalidPositionError(position, "ahead");
  const header = message && records.header(message);
  if (header && !(header instanceof DamagedHistoryError) && !records.isIn(header, position)) {
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
async function findStart(sources: LogSources, { after }: Pick<LogRead, "after">): Promise<Start> {
  const { log, records } = sources;
  const place = after === "start" || after === "first-kept" ? undefined : await checkPosition(sources, after);
  const { last, lastSequence } = place ?? await endOf(log, () => false);
  // The first message is read last: others write meanwhile.
  const first = await log.first();
  if (last) log.saw(last.sequence);
  if (place) {
    const kept = first?.sequence ?? lastSequence + 1;
    if (place.sequence + 1 < kept) {
      if (log.expires) throw truncated(records, first);
      throw gap(records, place.sequence + 1);
    }
    return { sequence: Math.max(place.sequence, kept), after, last, fromStart: false };
  }
  const sequence = first?.sequence ?? lastSequence + 1;
  if (after === "start") {
    if (first ? sequence > 1 : lastSequence > 0) {
      throw log.expires ? truncated(records, first) : gap(records, 1);
    }
  }
  return { sequence, after: undefined, last, fromStart: after === "start" };
}

function truncated(records: Records, first: StoredMessage | undefined): HistoryTruncatedError {
  return new HistoryTruncatedError({ firstPosition: first && records.placeOf(first.sequence, first) });
}

function gap(records: Records, sequence: number): DamagedHistoryError {
  return new DamagedHistoryError("commits are missing from the log", {
    position: records.placeOf(sequence, undefined),
  });
}

function narrowed(subject: string | undefined): { filterSubjects?: readonly string[] } {
  return subject === undefined ? {} : { filterSubjects: [subject] };
}

/** Turns messages into events, and checks them. */
class LogReading {
  /** The stream sequence that it has come to. */
  sequence: number;
  readonly #sources: LogSources;
  readonly #onDamage: ((fault: HistoryFault) => void) | undefined;
  readonly #after: string | undefined;
  readonly #filtered: boolean;
  readonly #chains: LogChains<StoredCommit>;
  /** The last commit that was read. */
  #last: StoredCommit | undefined;
  #position: string | undefined;

  constructor(sources: LogSources, { onDamage }: LogRead, start: Start, filtered: boolean) {
    this.#sources = sources;
    this.#onDamage = onDamage;
    this.#after = start.after;
    this.#position = start.after;
    this.#filtered = filtered;
    const isBefore = ({ previousSequence }: StoredCommit): boolean => previousSequence < start.sequence;
    this.#chains = new LogChains(start.fromStart ? undefined : isBefore);
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
    const { log, records } = this.#sources;
    const runs = new TextRuns(messages);
    let events: StoredEvent[] = [];
    for (let index = 0; index < messages.length; index++) {
      const message = messages[index]!;
      let missing: HistoryFault | undefined;
      if (message.sequence !== this.sequence + 1 && !this.#filtered) missing = await this.#missing(message);
      this.sequence = message.sequence;
      const commit = records.read(message, runs.of(index));
      let fault: HistoryFault | undefined;
      if (commit instanceof DamagedHistoryError) fault = commit;
      else {
        const broken = this.#chains.accept(commit, message.known);
        // What was forgotten was there, or its sequence would have been missed.
        if (broken && broken !== "forgotten" && !missing) fault = await missingBefore(log, commit, broken);
      }
      if (missing || fault) {
        if (events.length > 0) yield this.#batch(events);
        events = [];
        this.#reportUnlessBefore(missing);
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
    if (messages.length > 0) yield this.#batch(events);
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
    const { records } = this.#sources;
    this.#position = events.at(-1)?.position ?? this.#position ??
      (this.#last ? records.endOf(this.#last) : records.placeOf(this.sequence, undefined));
    return { events, position: this.#position };
  }

  /** Sequences are missing before a message. */
  async #missing(message: MessageBytes): Promise<HistoryFault> {
    const { log, records } = this.#sources;
    const first = await log.first();
    const lost = this.sequence + 1;
    if (log.expires && lost < (first?.sequence ?? Infinity)) return truncated(records, first);
    const fault = gap(records, lost);
    const count = message.sequence - lost;
    return new DamagedHistoryError(`${count} commit(s) are missing from the log`, {
      position: fault.position,
    });
  }
}
