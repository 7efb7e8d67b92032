/**
 * Requests that are repeated while the server cannot answer them.
 *
 * @module
 */

import { abortable } from "../../abortable.ts";
import { retryWhile } from "../patience.ts";
import { isTransient } from "./api_errors.ts";

/**
 * Repeats a read while there is no leader, no connection, or no answer.
 *
 * @param patience For how long, in milliseconds.
 * @param isHopeless Returns true if there will never be one again.
 * @param signal Ends the wait: it rejects with the signal's reason.
 */
export async function retryTransient<T>(
  patience: number,
  read: () => Promise<T>,
  isHopeless?: () => boolean,
  signal?: AbortSignal,
): Promise<T> {
  const isMomentary = (error: unknown): boolean => isTransient(error) && !isHopeless?.();
  return await retryWhile({ patience, isMomentary, signal }, () => abortable(read(), signal));
}
