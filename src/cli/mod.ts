/**
 * The command line of Aether: what happened to an actor, why is a projection behind, who has a shard, is the log whole.
 *
 * ```sh
 * deno run -A --unstable-kv jsr:@flowmade-one/aether/cli show orders.kv order-1
 * ```
 *
 * @example Print the help of a command
 * ```ts
 * import { runCommandLine } from "@flowmade-one/aether/cli";
 * import assert from "node:assert/strict";
 *
 * assert.equal(await runCommandLine(["log", "--help"]), 0);
 * ```
 *
 * @module
 */

import { AetherError } from "../errors.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { printableLines } from "./output.ts";
import { readPlain } from "./plain_arguments.ts";
import { hider } from "./secrets.ts";
import { ProcessTerminal } from "./terminal.ts";

/**
 * Runs a command line, and returns its exit code: 0 if it did what was asked, 1 if it could not, 2 if the command line is
 * wrong, 3 if what was asked for does not exist or something was found to be wrong.
 *
 * @param args The command and its options.
 * @param signal Ends the command, such as a `tail`.
 *
 * @example Print the help
 * ```ts
 * import { runCommandLine } from "@flowmade-one/aether/cli";
 * import assert from "node:assert/strict";
 *
 * assert.equal(await runCommandLine(["show", "--help"]), 0);
 * ```
 *
 * @category Command line
 */
export async function runCommandLine(
  args: readonly string[],
  signal: AbortSignal = new AbortController().signal,
): Promise<number> {
  const terminal = new ProcessTerminal(hider(args), signal);
  try {
    const request = readPlain(args) ?? (await import("./parse.ts")).parse(args, terminal);
    const exitCode = typeof request === "number"
      ? request
      : await (await import("./run.ts")).run(request, terminal, signal);
    await terminal.finish();
    return exitCode;
  } catch (error) {
    return await fail(error, terminal, signal);
  }
}

/** Prints why a command has failed. */
async function fail(error: unknown, terminal: ProcessTerminal, signal: AbortSignal): Promise<ExitCode> {
  const cause = error instanceof AetherError && error.cause instanceof CommandFailure ? error.cause : error;
  const exitCode = cause instanceof CommandFailure ? cause.exitCode : ExitCode.failed;
  if (exitCode === ExitCode.outputClosed) return exitCode;
  try {
    if (!signal.aborted) {
      terminal.note(failureText(cause));
      await terminal.flush();
    }
  } catch {
    // No reader is left, or it was interrupted now.
  }
  if (!signal.aborted) return exitCode;
  await terminal.noteLast("It was interrupted. What is done is kept: run it again to go on.");
  return ExitCode.interrupted;
}

/** One sentence or two, without a stack. */
function failureText(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return `A permission is missing: ${printableLines(error.message)}`;
  }
  if (error instanceof AetherError || error instanceof CommandFailure) return printableLines(error.message);
  const text = error instanceof Error ? error.message : String(error);
  const isSystem = Object.values(Deno.errors).some((kind) => error instanceof kind);
  if (isSystem) return `The system refused it: ${printableLines(text)}`;
  const name = error instanceof Error ? `${error.name}: ` : "";
  return `It failed, and this may be a fault of the program: ${name}${printableLines(text)}`;
}

/** How long a command may take to end after an interrupt, in milliseconds. */
const ENDING_TIME = 5_000;

/** Ends at the first interrupt, and soon also where it waits for what takes no signal; a second one ends the process. */
function interrupted(): AbortSignal {
  const ending = new AbortController();
  const end = (): void => {
    Deno.removeSignalListener("SIGINT", end);
    ending.abort();
    Deno.unrefTimer(setTimeout(() => Deno.exit(ExitCode.interrupted), ENDING_TIME));
  };
  Deno.addSignalListener("SIGINT", end);
  return ending.signal;
}

if (import.meta.main) {
  Deno.exit(await runCommandLine(Deno.args, interrupted()));
}
