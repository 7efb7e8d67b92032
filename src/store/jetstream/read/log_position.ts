/**
 * Positions in the global log: of its last event, and where a read begins.
 *
 * @module
 */

import type { LogRead } from "../../backend.ts";
import { DamagedHistoryError, InvalidPositionError } from "../../errors.ts";
import { type JetStreamContext, until } from "../context.ts";
import { isStray, type OrFault } from "../format/commit_decoder.ts";
import type { CommitHeader } from "../format/commit_header.ts";
import type { EventLog } from "./event_log.ts";
import { gap, truncated } from "./missing.ts";
import type { FirstMessage } from "./page_size.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";

/** How many messages are read at once while the last event is searched for. */
const BACKWARD_BATCH = 128;

/** The beginning of a read. */
export interface Start {
  /** The first stream sequence to read. */
  readonly sequence: number;
  /** Events up to this position are left out. */
  readonly after: string | undefined;
  /** The last sequence of the log when the read began, also of a message that has expired or cannot be read. */
  readonly lastSequence: number;
  /** Whether the read begins with the very first commit of the log. */
  readonly fromStart: boolean;
  /** Whether the read begins with the first commit that is kept when it has come there. */
  readonly fromFirstKept: boolean;
  /** The first message to read, if it is known. */
  readonly first?: FirstMessage | undefined;
}

/** The end of the log, and the place of a position in it. */
interface CheckedEnd {
  /** The last message. */
  readonly last: StoredMessage | undefined;
  /** The sequence of the last message, also of one that has expired. */
  readonly lastSequence: number;
  /** The sequence of the position. */
  readonly sequence: number;
  /** The message of the position, if it can be read. */
  readonly first: FirstMessage | undefined;
}

/** The position of the log's last event. */
export async function lastPosition(
  unlimited: JetStreamContext,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const context = until(unlimited, signal);
  const { log, decoder } = context;
  const last = await log.last();
  if (last) return await positionUpTo(context, last);
  // A server that cannot read the last message reports that it has none.
  const { messages, last_seq } = (await log.info()).state;
  if (messages === 0) return undefined;
  const again = await log.last();
  if (!again) throw gap(decoder, last_seq);
  return await positionUpTo(context, again);
}

/** The position of the last event up to a message. */
export async function positionUpTo(
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

/**
 * Compares a position with the log. A commit that has expired or cannot be read is not compared.
 *
 * @throws {InvalidPositionError} If it is not a position of this log, or the log has not reached it.
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
  return { last, lastSequence, sequence, first: firstMessage(header, index + 1) };
}

/** How many events a message has, and how many of them behind the first so many. */
export function firstMessage(
  header: OrFault<CommitHeader> | undefined,
  before: number,
): FirstMessage | undefined {
  if (!header || header instanceof DamagedHistoryError) return undefined;
  const { length: events } = header.versions;
  return { events, ofPage: Math.max(0, events - before) };
}

/** The last message, and its sequence. */
export function endOf(
  log: EventLog,
  isBehind: (lastSequence: number) => boolean,
): Promise<Pick<CheckedEnd, "last" | "lastSequence">> {
  return log.upToDate(async () => {
    const last = await log.last();
    // An empty stream is a new one, or all of it has expired.
    return { last, lastSequence: last?.sequence ?? (await log.info()).state.last_seq };
  }, ({ lastSequence }) => isBehind(lastSequence));
}

/** Finds and checks the beginning of a read. */
export async function findStart(
  context: JetStreamContext,
  { after }: Pick<LogRead, "after">,
): Promise<Start> {
  const { log, decoder } = context;
  const place = after === "start" || after === "first-kept" ? undefined : await checkPosition(context, after);
  const { last, lastSequence } = place ?? await endOf(log, () => false);
  // The first message is read last, because messages expire in the meantime.
  const first = await log.first();
  if (last) log.saw(last.sequence);
  if (place) {
    const kept = first?.sequence ?? lastSequence + 1;
    if (place.sequence + 1 < kept) {
      throw await log.mayHaveExpired() ? truncated(decoder, first) : gap(decoder, place.sequence + 1);
    }
    const { first: known } = place;
    const isAfter = { after, fromStart: false, fromFirstKept: false };
    return { sequence: Math.max(place.sequence, kept), lastSequence, ...isAfter, first: known };
  }
  const sequence = first?.sequence ?? lastSequence + 1;
  if (after === "start") {
    if (first ? sequence > 1 : lastSequence > 0) {
      throw await log.mayHaveExpired() ? truncated(decoder, first) : gap(decoder, 1);
    }
  }
  const known = first && firstMessage(decoder.header(first), 0);
  const fromStart = after === "start";
  return { sequence, after: undefined, lastSequence, fromStart, fromFirstKept: !fromStart, first: known };
}
