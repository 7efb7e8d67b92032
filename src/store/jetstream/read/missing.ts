/**
 * Why commits are missing: they have expired by the stream's age limit, or they are lost.
 *
 * @module
 */

import { DamagedHistoryError, type HistoryFault, HistoryTruncatedError } from "../../errors.ts";
import type { JetStreamContext } from "../context.ts";
import type { EventLog } from "./event_log.ts";
import type { CommitDecoder } from "../format/commit_decoder.ts";
import type { StoredCommit } from "../format/commit_header.ts";
import type { StoredMessage } from "../../../nats/jetstream/stored_message.ts";

/**
 * The fault of a commit whose predecessor was not found.
 *
 * @param lost The fault if the predecessor has not expired.
 */
export async function missingBefore(
  log: EventLog,
  commit: StoredCommit,
  lost: DamagedHistoryError,
): Promise<HistoryFault> {
  const { actorId, previousSequence, previousVersion, events } = commit;
  if (!await log.mayHaveExpired()) return lost;
  // If it is 0, the actor had no commit left when this one was stored.
  if (previousSequence > 0 && previousSequence >= await log.firstSequence()) return lost;
  const first = events[0];
  return new HistoryTruncatedError({
    actorId,
    firstVersion: first?.version ?? previousVersion + 1,
    firstPosition: first?.position,
  });
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

export function lostEnd({ decoder }: JetStreamContext, end: number, seen: number): DamagedHistoryError {
  return new DamagedHistoryError(
    `the log ends at sequence ${end}, and this store has seen sequence ${seen}`,
    {
      position: decoder.placeOf(end + 1, undefined),
    },
  );
}

/** How many sequences of a gap are fetched at once. */
const GAP_BATCH = 256;

/** Sequences that no replica has. */
export interface Gap {
  /** The first of them. */
  readonly from: number;
  /** How many they are. */
  readonly count: number;
}

/**
 * What is stored at sequences that a consumer skipped: its server may lack what the leader has.
 *
 * @param from The first sequence.
 * @param end The sequence after the last one.
 */
export async function* fetchSkipped(
  log: EventLog,
  from: number,
  end: number,
): AsyncGenerator<StoredMessage | Gap> {
  let lost = from;
  for (let next = from; next < end; next += GAP_BATCH) {
    const count = Math.min(GAP_BATCH, end - next);
    const messages = await log.all(Array.from({ length: count }, (_, index) => next + index));
    for (const message of messages) {
      if (!message) continue;
      if (message.sequence > lost) yield { from: lost, count: message.sequence - lost };
      yield message;
      lost = message.sequence + 1;
    }
    // If so many are missing in a row, the rest is not read one by one.
    if (lost <= next) break;
  }
  if (lost < end) yield { from: lost, count: end - lost };
}
