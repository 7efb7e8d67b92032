/**
 * How long events are kept.
 *
 * @module
 */

import type { StreamConfig } from "../../../nats/jetstream/api_types.ts";

/**
 * How long events are kept: milliseconds, or `"forever"`.
 *
 * @category Stores
 */
export type Retention = number | "forever";

/** One year, in milliseconds. */
export const ONE_YEAR: number = 365 * 24 * 60 * 60 * 1_000;

/** The shortest retention that a stream can be given, in milliseconds: the server's shortest age. */
export const SHORTEST_RETENTION = 100;

/** The server's unit of time, in a millisecond. */
export const NANOSECONDS = 1_000_000;

/** A retention in the server's terms. */
export function maxAge(retention: Retention): number {
  return retention === "forever" ? 0 : retention * NANOSECONDS;
}

/** How long a stream keeps its messages, in milliseconds; infinite without a limit. */
export function retentionOf(config: StreamConfig): number {
  const age = Number(config.max_age ?? 0);
  return age > 0 ? age / NANOSECONDS : Infinity;
}
