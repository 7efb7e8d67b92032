/**
 * `copy`: every event to another place.
 *
 * @module
 */

import { copyEvents } from "../store/copy.ts";
import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { progressNotes } from "./check.ts";
import { ExitCode } from "./failure.ts";
import { jsonLine, plural, type Terminal } from "./output.ts";

/** Runs `copy`. */
export async function copy(
  from: EventStore,
  to: EventStore,
  { json }: RequestOf<"copy">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const note = progressNotes(terminal);
  const report = await copyEvents(from, to, {
    onProgress: ({ phase, events }) => note(() => `${phase}: ${plural(events, "event")}`),
    signal,
  });
  terminal.print(
    json
      ? jsonLine(report)
      : `${plural(report.events, "event")} are in both, ${
        report.copied.toLocaleString("en")
      } of them copied now. ` +
        `The last one has the position ${report.toPosition ?? "(none)"} there.`,
  );
  return ExitCode.done;
}
