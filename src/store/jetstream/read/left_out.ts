/**
 * Messages that the server counts and does not deliver: they have expired in the meantime, or it cannot read them.
 *
 * @module
 */

import type { EventLog } from "./event_log.ts";

/** Which messages were to be delivered. */
export interface LeftOutRange {
  /** Their subjects. */
  readonly filterSubjects: readonly string[];
  /** Whether only the last message of each subject was to be delivered. @default {false} */
  readonly lastOfEach?: boolean;
  /** The first sequence; nothing from there on had expired when the messages were counted. */
  readonly from: number;
  /** The last sequence. */
  readonly to: number;
}

/** How often the messages are counted again if some have expired meanwhile. */
const MAX_COUNTS = 5;
/** How soon the server reports that it has delivered all that it can, in milliseconds. */
const HEARTBEAT = 100;

/**
 * How many messages that were left out cannot be read. If a part of the range has expired, the messages are delivered
 * again, until nothing expires in the meantime.
 *
 * @param count How many were left out.
 */
export async function countUnreadable(log: EventLog, range: LeftOutRange, count: number): Promise<number> {
  if (!await log.mayHaveExpired()) return count;
  // It is read after they were left out: every expired message is before it.
  let kept = await log.firstSequence();
  if (kept <= range.from) return count;
  for (let attempt = 0; attempt < MAX_COUNTS && kept <= range.to; attempt++) {
    const leftOut = await deliverAgain(log, range, kept);
    if (leftOut === 0) return 0;
    const first = await log.firstSequence();
    if (first <= kept) return leftOut;
    kept = first;
  }
  return 0;
}

/** Reads the messages from a sequence on again, and returns how many are left out. */
async function deliverAgain(
  log: EventLog,
  { filterSubjects, lastOfEach = false, to }: LeftOutRange,
  startSequence: number,
): Promise<number> {
  const options = { filterSubjects, lastOfEach, startSequence, endSequence: to };
  const consumer = log.consumer({ ...options, reportProgress: true, heartbeat: HEARTBEAT });
  try {
    await consumer.start();
    while (consumer.pending > 0) await consumer.read();
    return consumer.leftOut;
  } finally {
    consumer.close();
  }
}
