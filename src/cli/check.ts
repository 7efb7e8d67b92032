/**
 * `verify` and `diagnose`: whether the log is whole, and what weakens it.
 *
 * @module
 */

import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { ExitCode } from "./failure.ts";
import { type Colour, coloured, jsonLine, plural, printable, printTable } from "./output.ts";
import { showProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `verify` on a log. */
export async function verify(
  store: EventStore,
  request: RequestOf<"verify">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { expectedPosition, json } = request;
  const compare = request.seal === undefined
    ? undefined
    : await (await import("./verify_seal.ts")).sealComparison(request.seal, request);
  using progress = await showProgress(terminal);
  const report = await store.verify({
    ...(expectedPosition !== undefined && { expectedPosition }),
    onProgress: ({ events }) => progress.update("reading", events),
    signal,
  });
  progress[Symbol.dispose]();
  const { ok, commits, events, actors, lastPosition, faults, repaired } = report;
  if (json) {
    for (const fault of faults) terminal.print(jsonLine(faultOf(fault)));
    const counts = { faults: faults.length, repaired: repaired.length };
    terminal.print(jsonLine({ ok, commits, events, actors, lastPosition, ...counts }));
  } else {
    for (const fault of faults) terminal.print(coloured(printable(fault.message), "red", terminal));
    const read = `${plural(events, "event")} in ${plural(commits, "commit")} of ${plural(actors, "actor")}`;
    const verdict = coloured(`The log is ${ok ? "" : "not "}whole`, ok ? "green" : "red", terminal);
    terminal.print(
      ok
        ? `${verdict}: ${read}, up to position ${lastPosition ?? "(empty)"}.`
        : `${verdict}: ${plural(faults.length, "fault")} in ${read}.`,
    );
  }
  const isAsSealed = await compare?.(store, terminal, signal) ?? true;
  return ok && isAsSealed ? ExitCode.done : ExitCode.found;
}

/** What the kinds of faults have: none has all of it. */
interface Fault extends Error {
  readonly actorId?: string | undefined;
  readonly version?: number | undefined;
  readonly position?: string | undefined;
  readonly firstPosition?: string | undefined;
}

function faultOf(fault: Fault): Record<string, unknown> {
  const { name, message, actorId, version, position, firstPosition } = fault;
  return { fault: name, message, actorId, version, position, firstPosition };
}

const SEVERITY_COLOURS: Readonly<Record<string, Colour>> = { critical: "red", warning: "yellow" };

/** Runs `diagnose`. */
export async function diagnose(
  store: EventStore,
  { json }: RequestOf<"diagnose">,
  terminal: Terminal,
): Promise<ExitCode> {
  const findings = await store.diagnose();
  if (json) { for (const finding of findings) terminal.print(jsonLine(finding)); }
  else if (findings.length === 0) terminal.print("Nothing was found.");
  else if (terminal.columns !== undefined) {
    // A sentence that is cut is no advice.
    for (const { severity, code, message, advice } of findings) {
      const what = coloured(severity.toUpperCase(), SEVERITY_COLOURS[severity], terminal);
      terminal.print(`${what} ${code}: ${printable(message)}. ${printable(advice)}.`);
    }
  } else {
    const rows = findings.map(({ severity, code, message, advice }) => [
      severity.toUpperCase(),
      code,
      `${message}. ${advice}.`,
    ]);
    await printTable(terminal, { columns: ["SEVERITY", "CODE", "FINDING"], rows });
  }
  return findings.some(({ severity }) => severity === "critical") ? ExitCode.found : ExitCode.done;
}
