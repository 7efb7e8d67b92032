/**
 * `export` and `import`: every event to a file, and back.
 *
 * @module
 */

import { exportEvents } from "../evidence/export.ts";
import { ExportError } from "../evidence/export_errors.ts";
import type { ExportReport } from "../evidence/export_types.ts";
import { importEvents } from "../evidence/import.ts";
import { verifyExport } from "../evidence/verify_export.ts";
import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { publicKeyOf, signerOf } from "./keys.ts";
import { coloured, jsonLine, plural, printable, transferText } from "./output.ts";
import { showProgress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";

/** The name of the output as a file. */
const OUTPUT = "-";

/** Runs `export`. */
export async function exportLog(
  store: EventStore,
  { file, gzip, key, json }: RequestOf<"export">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const isOutput = file === OUTPUT;
  if (isOutput && Deno.stdout.isTerminal()) {
    throw new CommandFailure("An export is no text for a terminal: name a file.", ExitCode.misused);
  }
  const signer = signerOf(key);
  using progress = await showProgress(terminal);
  const report = await exportEvents(store, isOutput ? outputOf(terminal) : file, {
    compress: gzip,
    ...(signer && { signer }),
    onProgress: ({ phase, events }) => progress.update(phase, events),
    signal,
  });
  progress[Symbol.dispose]();
  const line = json ? jsonLine(report) : `${printable(file)} has ${exported(report)}.`;
  if (isOutput) terminal.note(line);
  else terminal.print(line);
  return ExitCode.done;
}

/** The output of this process. A reader that has gone is no fault of the export. */
function outputOf(terminal: Terminal): WritableStream<Uint8Array> {
  return new WritableStream({ write: (bytes) => terminal.write(bytes) });
}

function exported({ events, commits, lastPosition }: ExportReport): string {
  return `${plural(events, "event")} in ${plural(commits, "commit")}, up to position ${
    lastPosition ?? "(empty)"
  }`;
}

/** Runs `import`. */
export async function importLog(
  store: EventStore,
  { file, publicKey, json }: RequestOf<"import">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const key = publicKey === undefined ? undefined : await publicKeyOf(publicKey);
  using progress = await showProgress(terminal);
  const report = await importEvents(file, store, {
    ...(key !== undefined && { key }),
    onProgress: ({ phase, events }) => progress.update(phase, events),
    signal,
  });
  progress[Symbol.dispose]();
  const { events, imported: added, lastPosition: last } = report;
  terminal.print(json ? jsonLine(report) : transferText({ events, added, how: "imported", last }));
  return ExitCode.done;
}

/** Runs `verify` on an export: the file, and the public key, are enough. */
export async function verifyExported(
  { target, publicKey, json }: RequestOf<"verify">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const key = publicKey === undefined ? undefined : await publicKeyOf(publicKey);
  using progress = await showProgress(terminal);
  let report: ExportReport;
  try {
    report = await verifyExport(target, {
      ...(key !== undefined && { key }),
      onProgress: ({ events }) => progress.update("reading", events),
      signal,
    });
  } catch (error) {
    if (!(error instanceof ExportError)) throw error;
    progress[Symbol.dispose]();
    const { message, reason, line } = error;
    terminal.print(
      json ? jsonLine({ ok: false, reason, line, message }) : coloured(printable(message), "red", terminal),
    );
    return ExitCode.found;
  }
  progress[Symbol.dispose]();
  const note = key === undefined ? "It was not compared with a public key." : "It is signed with the key.";
  terminal.print(
    json
      ? jsonLine({ ok: true, ...report })
      : `${coloured("The export is whole", "green", terminal)}: ${exported(report)}. ${note}`,
  );
  return ExitCode.done;
}
