/**
 * What every store's verification ends with.
 *
 * @module
 */

import { BackendError, DamagedHistoryError } from "./errors.ts";
import type { LogPositions } from "./position.ts";
import type { VerificationProgress, VerificationReport, VerifyOptions } from "./types.ts";

/**
 * Verifies with the caller's own signal and function: the signal's reason, and what the function throws, are no failure
 * of the backend's and come as they are.
 */
export async function verifyFor(
  { onProgress, ...options }: VerifyOptions,
  verify: (options: VerifyOptions) => Promise<VerificationReport>,
): Promise<VerificationReport> {
  let thrown: unknown;
  const report = (progress: VerificationProgress): void => {
    try {
      onProgress?.(progress);
    } catch (error) {
      thrown = error;
      throw error;
    }
  };
  try {
    return await verify({ ...options, ...(onProgress && { onProgress: report }) });
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    const own = thrown ?? (options.signal?.aborted ? options.signal.reason : undefined);
    throw error.cause !== undefined && error.cause === own ? own : error;
  }
}

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
