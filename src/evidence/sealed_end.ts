/**
 * Whether a log still has what was sealed last.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { StoredEvent } from "../event/types.ts";
import { HistoryTruncatedError, InvalidPositionError } from "../store/errors.ts";
import type { RawLog } from "../store/raw_log.ts";
import { SealError } from "./errors.ts";
import { digestOf, type Salts, type SealedEvent, storedText } from "./leaf.ts";

/** What is sealed last, and how the log is read from there. */
export interface SealedEnd {
  /** How many events are sealed. */
  readonly size: number;
  /** The last leaf. */
  readonly last: SealedEvent;
  /** The position of the leaf before; without one, where the seal began. */
  readonly before: string;
  readonly salts: Salts;
}

/**
 * Compares the last leaf with the event in the log.
 *
 * @throws {SealError} If the log is not the one that was sealed.
 */
export async function checkSealedEnd(
  log: RawLog,
  { size, last, before, salts }: SealedEnd,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { position } = last;
  const isSame = (event: StoredEvent): boolean =>
    event.position === position && event.actorId === last.actorId &&
    digestOf(salts.of(size - 1), storedText(event)) === last.digest;
  try {
    for await (const event of log.read(before, signal)) {
      if (isSame(event)) return;
      throw new SealError(
        "other-log",
        `The log holds another event than the last one that is sealed, ${position}.`,
      );
    }
  } catch (error) {
    // Retention has removed the event before the last leaf: the position of the last leaf is all that can be checked.
    if (error instanceof HistoryTruncatedError) {
      return await abortable(log.checkPosition(position), signal).catch(positionError);
    }
    throw positionError(error);
  }
  throw new SealError("ahead", `The log ends before ${position}, which is sealed.`);
}

/** What a position that the log refuses means for a seal. */
function positionError(error: unknown): never {
  if (!(error instanceof InvalidPositionError)) throw error;
  if (error.reason === "ahead") {
    throw new SealError("ahead", "The log ends before the last event that is sealed.", { cause: error });
  }
  throw new SealError("other-log", "The log does not hold the last event that is sealed.", { cause: error });
}
