/**
 * What it means that commits are missing: expired by the stream's age limit, or lost.
 *
 * @module
 */

import type { DamagedHistoryError, HistoryFault } from "../errors.ts";
import { HistoryTruncatedError } from "../errors.ts";
import type { EventLog } from "./event_log.ts";
import type { StoredCommit } from "./record.ts";

/**
 * The fault of a commit whose predecessor was not found.
 *
 * @param lost What it is called if the predecessor has not expired.
 */
export async function missingBefore(
  log: EventLog,
  commit: StoredCommit,
  lost: DamagedHistoryError,
): Promise<HistoryFault> {
  const { actorId, previousSequence, previousVersion, events } = commit;
  if (!log.expires) return lost;
  // With 0 the server had checked that the actor had no commit left when this one was stored.
  if (previousSequence > 0 && previousSequence >= await log.firstSequence()) return lost;
  const first = events[0];
  return new HistoryTruncatedError({
    actorId,
    firstVersion: first?.version ?? previousVersion + 1,
    firstPosition: first?.position,
  });
}
