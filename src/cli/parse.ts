/**
 * Understands a command line, by the grammar of its command.
 *
 * @module
 */

import { message, parseSync, runParser } from "@optique/core";
import { grammarOf, type Request } from "./arguments.ts";
import { ExitCode } from "./failure.ts";
import { printable } from "./output.ts";
import type { Terminal } from "./terminal.ts";

const PROGRAM = "aether";

/** Understands a command line; returns the exit code if it was printed what is wrong, or what was asked to be read. */
export function parse(args: readonly string[], terminal: Terminal): Request | ExitCode {
  const grammar = grammarOf(args[0]);
  // Most often it is right: what explains it is not built then.
  const parsed = parseSync(grammar, args);
  if (parsed.success) return parsed.value;
  // What is wrong is repeated, and must not steer the terminal.
  const shown = args.map(printable);
  return runParser<typeof grammar, ExitCode, ExitCode>(grammar, PROGRAM, shown, {
    help: { command: true, option: true, onShow: () => ExitCode.done },
    completion: { command: true, onShow: () => ExitCode.done },
    onError: () => {
      terminal.note(`\nSee: ${PROGRAM} help`);
      return ExitCode.misused;
    },
    stdout: (text) => terminal.print(text),
    stderr: (text) => terminal.note(text),
    colors: terminal.hasColours,
    aboveError: "none",
    commandList: "top-level",
    description: message`Looks into an event log of Aether, in a file of Deno KV or on a NATS server.`,
    footer:
      message`A command's help names the permissions that suffice: aether help COMMAND. Exit codes: 0 done, 1 failed, 2 wrong command line, 3 not found or not whole, 130 interrupted, 141 its output was closed.`,
    ...(terminal.columns !== undefined && { maxWidth: terminal.columns }),
  });
}
