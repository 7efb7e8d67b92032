/**
 * What every store's verification ends with.
 *
 * @module
 */

import { BackendError, DamagedHistoryError, InvalidPositionError } from "./errors.ts";
import { underName } from "./operation.ts";
import type { StorageBackend, Verified } from "./backend.ts";
import type { VerificationProgress, VerificationReport, VerifyOptions } from "./types.ts";

/**
 * Verifies with the caller's own signal and function: the signal's reason, and what the function throws, are no failure
 * of the backend's and come as they are.
 *
 * @throws {InvalidPositionError} If the expected position is none of this log.
 */
export async function verifyFor(
  { onProgress, ...options }: VerifyOptions,
  backend: Pick<StorageBackend, "checkPosition" | "verify">,
): Promise<VerificationReport> {
  const { expectedPosition } = options;
  const isAhead = expectedPosition !== undefined &&
    await isAheadOf(backend, expectedPosition, options.signal);
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
    const found = await backend.verify({ ...options, ...(onProgress && { onProgress: report }) });
    return reportVerification(found, isAhead ? expectedPosition : undefined);
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    const own = thrown ?? (options.signal?.aborted ? options.signal.reason : undefined);
    throw error.cause !== undefined && error.cause === own ? own : error;
  }
}

/** Whether a log has not reached a position; that it is none of the log is thrown. */
async function isAheadOf(
  backend: Pick<StorageBackend, "checkPosition">,
  position: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await underName("verify", () => backend.checkPosition(position, signal));
    return false;
  } catch (error) {
    if (error instanceof InvalidPositionError && error.reason === "ahead") return true;
    throw error;
  }
}

/**
 * Completes a report: a position that is remembered outside the log must not be ahead of it.
 *
 * @param ahead The expected position, if the log has not reached it.
 */
export function reportVerification(found: Verified, ahead: string | undefined): VerificationReport {
  const faults = [...found.faults];
  if (ahead !== undefined) {
    faults.push(
      new DamagedHistoryError(
        `the log ends at ${found.lastPosition ?? "none"}, before the expected position`,
        {
          position: ahead,
        },
      ),
    );
  }
  const { repaired = [], ...rest } = found;
  return Object.freeze({ ...rest, ok: faults.length === 0, faults, repaired });
}
