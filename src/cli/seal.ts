/**
 * `seal`: what the log has by now becomes evidence.
 *
 * @module
 */

import { sealOnce } from "../evidence/seal.ts";
import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { makeKey, signerOf } from "./keys.ts";
import { jsonLine, plural, printable, printableLines, whole } from "./output.ts";
import { showProgress } from "./progress.ts";
import { openPlace } from "./seal_place.ts";
import { shownTarget } from "./secrets.ts";
import type { Terminal } from "./terminal.ts";

/** Runs `seal`. */
export async function seal(
  store: EventStore,
  request: RequestOf<"seal">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { place, key, newKey, origin, firstKept, json } = request;
  if (newKey !== undefined) await makeKey(key, newKey, terminal);
  const signer = signerOf(key);
  if (!signer) {
    throw new CommandFailure(
      "A seal needs a private key: name its file with --key, and make one with --key FILE --new-key NAME.",
      ExitCode.misused,
    );
  }
  await using opened = await openPlace(place, request, true);
  using progress = await showProgress(terminal);
  const report = await sealOnce(store, opened.place, {
    signer,
    ...(origin !== undefined && { origin }),
    ...(firstKept && { from: "first-kept" }),
    onProgress: ({ events }) => progress.update("sealing", events),
    signal,
  });
  progress[Symbol.dispose]();
  if (json) terminal.print(jsonLine(report));
  else {
    terminal.print(
      `${printable(shownTarget(place))} has ${plural(report.size, "sealed event")} of "${
        printable(report.origin)
      }", ${whole(report.added)} of them new, up to position ${report.position ?? "(empty)"}.\n` +
        `Give this checkpoint to others:\n\n${printableLines(report.checkpoint.trimEnd())}`,
    );
  }
  return ExitCode.done;
}
