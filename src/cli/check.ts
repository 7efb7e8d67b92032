/**
 * `verify` and `diagnose`: whether the log is whole, and what weakens it.
 *
 * @module
 */

import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { ExitCode } from "./failure.ts";
import { jsonLine, plural, printable, tableLines, type Terminal } from "./output.ts";

/** Between two notes about progress, in milliseconds. */
const NOTE_INTERVAL = 2_000;

/** Returns what notes the progress of long work now and then. */
export function progressNotes(terminal: Terminal): (text: () => string) => void {
  let noted = performance.now();
  return (text) => {
    if (performance.now() - noted < NOTE_INTERVAL) return;
    noted = performance.now();
    terminal.note(text());
  };
}

/** Runs `verify`. */
export async function verify(
  store: EventStore,
  { expectedPosition, json }: RequestOf<"verify">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const note = progressNotes(terminal);
  const report = await store.verify({
    ...(expectedPosition !== undefined && { expectedPosition }),
    onProgress: ({ events }) => note(() => `${plural(events, "event")} read`),
    signal,
  });
  const { ok, commits, events, actors, lastPosition, faults, repaired } = report;
  if (json) {
    for (const fault of faults) terminal.print(jsonLine(faultOf(fault)));
    terminal.print(
      jsonLine({
        ok,
        commits,
        events,
        actors,
        lastPosition,
        faults: faults.length,
        repaired: repaired.length,
      }),
    );
    return ok ? ExitCode.done : ExitCode.found;
  }
  for (const fault of faults) terminal.print(printable(fault.message));
  const read = `${plural(events, "event")} in ${plural(commits, "commit")} of ${plural(actors, "actor")}`;
  terminal.print(
    ok
      ? `The log is whole: ${read}, up to position ${lastPosition ?? "(empty)"}.`
      : `The log is not whole: ${plural(faults.length, "fault")} in ${read}.`,
  );
  return ok ? ExitCode.done : ExitCode.found;
}

function faultOf(fault: Error & { readonly actorId?: string | undefined }): Record<string, unknown> {
  const { name, message, actorId } = fault;
  const { version, position, firstPosition } = fault as unknown as Record<string, unknown>;
  return { fault: name, message, actorId, version, position, firstPosition };
}

/** Runs `diagnose`. */
export async function diagnose(
  store: EventStore,
  { json }: RequestOf<"diagnose">,
  terminal: Terminal,
): Promise<ExitCode> {
  const findings = await store.diagnose();
  if (json) { for (const finding of findings) terminal.print(jsonLine(finding)); }
  else if (findings.length === 0) terminal.print("Nothing was found.");
  else {
    const rows = findings.map(({ severity, code, message, advice }) => [
      severity.toUpperCase(),
      code,
      `${message}. ${advice}.`,
    ]);
    for (const line of tableLines({ columns: ["SEVERITY", "CODE", "FINDING"], rows }, undefined)) {
      terminal.print(line);
    }
  }
  return findings.some(({ severity }) => severity === "critical") ? ExitCode.found : ExitCode.done;
}
