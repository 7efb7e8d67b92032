/**
 * `copy`: every event to another place.
 *
 * @module
 */

import { copyEvents } from "../store/copy.ts";
import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { ExitCode } from "./failure.ts";
import { jsonLine, plural, type Terminal } from "./output.ts";
import { showProgress } from "./progress.ts";

/** Runs `copy`. */
export async function copy(
  from: EventStore,
  to: EventStore,
  { json }: RequestOf<"copy">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  using progress = await showProgress(terminal);
  const report = await copyEvents(from, to, {
    onProgress: ({ phase, events }) => progress.update(phase, events),
    signal,
  });
  progress[Symbol.dispose]();
  terminal.print(
    json
      ? jsonLine(report)
      : `Both have ${plural(report.events, "event")}, ${
        report.copied.toLocaleString("en")
      } of them copied now. ` +
        `The last one has the position ${report.toPosition ?? "(none)"} there.`,
  );
  return ExitCode.done;
}
