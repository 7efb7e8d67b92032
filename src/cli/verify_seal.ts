/**
 * `verify --seal`: whether the log is as it was sealed.
 *
 * @module
 */

import { type SealedLogVerification, verifySealedLog } from "../evidence/verify_sealed_log.ts";
import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { publicKeyOf } from "./keys.ts";
import { coloured, jsonLine, plural, printable, whole } from "./output.ts";
import { showProgress } from "./progress.ts";
import { openPlace } from "./seal_place.ts";
import type { Terminal } from "./terminal.ts";

/** Compares a log with its seal; returns whether they agree. */
export type SealComparison = (
  store: EventStore,
  terminal: Terminal,
  signal: AbortSignal,
) => Promise<boolean>;

/** Reads what a log is compared with, so that a wrong option is refused before any work. */
export async function sealComparison(seal: string, request: RequestOf<"verify">): Promise<SealComparison> {
  const { publicKey, seen: file, isCopy: copy, json } = request;
  if (publicKey === undefined) {
    throw new CommandFailure("--seal needs the public key: name it with --public-key.", ExitCode.misused);
  }
  const key = await publicKeyOf(publicKey);
  const seen = file === undefined ? {} : { seen: await Deno.readTextFile(file) };
  return async (store, terminal, signal) => {
    await using opened = await openPlace(seal, request, false);
    using progress = await showProgress(terminal);
    const report = await verifySealedLog(store, opened.place, {
      ...{ key, copy, ...seen, signal },
      onProgress: ({ events }) => progress.update("comparing", events),
    });
    progress[Symbol.dispose]();
    print(report, json, terminal);
    return report.ok;
  };
}

function print(report: SealedLogVerification, json: boolean, terminal: Terminal): void {
  const { faults, moreFaults, ...counts } = report;
  if (json) {
    for (const fault of faults) terminal.print(jsonLine({ sealFault: fault.kind, ...fault }));
    terminal.print(jsonLine({ ...counts, sealFaults: faults.length + moreFaults }));
    return;
  }
  for (const { message } of faults) terminal.print(coloured(printable(message), "red", terminal));
  if (moreFaults > 0) terminal.print(`And ${plural(moreFaults, "more fault")}.`);
  const { ok, size, verified, unsealed, removed, origin } = report;
  const verdict = coloured(`The log is ${ok ? "" : "not "}as it was sealed`, ok ? "green" : "red", terminal);
  terminal.print(
    `${verdict}: ` +
      `${whole(verified)} of ${plural(size, "event")} of the seal "${printable(origin)}" are ` +
      `unchanged, ${whole(removed)} were removed by retention, ${whole(unsealed)} are newer.`,
  );
}
