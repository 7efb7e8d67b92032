/**
 * How long events are kept.
 *
 * @module
 */

import type { StreamConfig, StreamInfo } from "../../../nats/jetstream/api_types.ts";

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

/** The stream's metadata that names the retention that it was created with, in milliseconds. */
const LOG_RETENTION = "aether-retention";

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

/** The metadata of a stream that is created with a retention. */
export function retentionMetadata(retention: Retention): Readonly<Record<string, string>> {
  return retention === "forever" ? {} : { [LOG_RETENTION]: String(retention) };
}

/**
 * Whether the beginning of a stream may have expired under the retention that it was created with, if an operator has
 * removed that since: it is old enough, and nothing else may remove messages from it.
 */
export function mayHaveExpired({ config, created, ts = "", state }: StreamInfo): boolean {
  const metadata = config.metadata as Readonly<Record<string, string>> | undefined;
  const retention = Number(metadata?.[LOG_RETENTION]);
  return state.first_seq > 1 && Date.parse(ts) - Date.parse(created) >= retention;
}
