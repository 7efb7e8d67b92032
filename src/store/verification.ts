/**
 * What every store's verification ends with.
 *
 * @module
 */

import { DamagedHistoryError } from "./errors.ts";
import type { LogPositions } from "./position.ts";
import type { VerificationReport } from "./types.ts";

/**
 * Completes a report: a position that somebody outside remembers must not be ahead of the log.
 *
 * @throws {InvalidPositionError} If the expected position is none of this log.
 */
export function reportVerification(
  found: Omit<VerificationReport, "ok">,
  expectedPosition: string | undefined,
  positions: LogPositions,
): VerificationReport {
  const faults = [...found.faults];
  if (expectedPosition !== undefined) {
    positions.bodyOf(expectedPosition);
    if (found.lastPosition === undefined || found.lastPosition < expectedPosition) {
      const last = found.lastPosition ?? "none";
      faults.push(
        new DamagedHistoryError(`the log ends at ${last}, before the expected position`, {
          position: expectedPosition,
        }),
      );
    }
  }
  return Object.freeze({ ...found, ok: faults.length === 0, faults });
}
