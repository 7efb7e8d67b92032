/**
 * `copy`: every event to another place.
 *
 * @module
 */

import { copyEvents } from "../store/copy.ts";
import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { ExitCode } from "./failure.ts";
import { jsonLine, transferText } from "./output.ts";
import { showProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

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
  const { events, copied: added, toPosition: last } = report;
  terminal.print(json ? jsonLine(report) : transferText({ events, added, how: "copied", last }));
  return ExitCode.done;
}
