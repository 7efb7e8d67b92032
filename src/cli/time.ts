/**
 * Times on the command line.
 *
 * @module
 */

import { toTimestamp } from "../event/timestamp.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { printable } from "./output.ts";

/**
 * Reads a time, or a day, which begins in UTC, as the timestamp of an event.
 *
 * @param what What an option must be, such as `--until must be a time`.
 * @throws {CommandFailure} If it is none.
 */
export function readTime(text: string, what: string): string {
  const time = toTimestamp(/^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00:00Z` : text);
  if (time !== undefined) return time;
  throw new CommandFailure(
    `${what} such as 2026-01-31T12:00:00Z, and is "${printable(text)}".`,
    ExitCode.misused,
  );
}
