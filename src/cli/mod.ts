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

import { message, runParser } from "@optique/core";
import { AetherError } from "../errors.ts";
import { PARSER, type Request } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { printable, processTerminal, type Terminal } from "./output.ts";
import { openTarget } from "./open_target.ts";
import { shownTarget, type Target } from "./target.ts";

const PROGRAM = "aether";

/** The command line asked for something to read, which was printed. */
const PRINTED = Symbol();
/** The command line is wrong, which was printed. */
const REFUSED = Symbol();

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
  const terminal = processTerminal();
  const request = parse(args, terminal);
  if (request === PRINTED) return ExitCode.done;
  if (request === REFUSED) return ExitCode.misused;
  try {
    return await run(request, terminal, signal);
  } catch (error) {
    if (signal.aborted) return ExitCode.failed;
    terminal.note(failureText(error));
    return error instanceof CommandFailure ? error.exitCode : ExitCode.failed;
  }
}

function parse(args: readonly string[], terminal: Terminal): Request | typeof PRINTED | typeof REFUSED {
  return runParser(PARSER, PROGRAM, args, {
    help: { command: true, option: true, onShow: () => PRINTED as never },
    completion: { command: true, onShow: () => PRINTED as never },
    onError: () => {
      terminal.note(`\nSee: ${PROGRAM} help`);
      return REFUSED as never;
    },
    stdout: (text) => terminal.print(text),
    stderr: (text) => terminal.note(text),
    colors: terminal.hasColours,
    aboveError: "none",
    commandList: "top-level",
    description: message`Looks into an event log of Aether, in a file of Deno KV or on a NATS server.`,
    footer:
      message`Permissions: a file needs --allow-read=FILE and --allow-write=FILE, a NATS server --allow-net=HOST:PORT, --decider also --allow-run=deno, and credentials from the environment --allow-env. Exit codes: 0 done, 1 failed, 2 wrong command line, 3 not found or not whole.`,
    ...(terminal.columns !== undefined && { maxWidth: terminal.columns }),
  });
}

async function run(request: Request, terminal: Terminal, signal: AbortSignal): Promise<ExitCode> {
  await using target = await openTarget(request.target, request);
  switch (request.command) {
    case "show":
      return await (await import("./show.ts")).show(await target.store(), request, terminal);
    case "log":
      return await (await import("./log.ts")).log(await target.store(), request, terminal);
    case "tail":
      return await (await import("./log.ts")).tail(await target.store(), request, terminal, signal);
    case "actors":
      return await (await import("./log.ts")).actors(await target.store(), request, terminal);
    case "verify":
      return await (await import("./check.ts")).verify(await target.store(), request, terminal, signal);
    case "diagnose":
      return await (await import("./check.ts")).diagnose(await target.store(), request, terminal);
    case "cluster":
      return await runCluster(target, request, terminal, signal);
    case "copy":
      return await runCopy(target, request, terminal, signal);
    case "projections":
    case "parked":
      return await runProjections(target, request, terminal, signal);
  }
}

async function runCluster(
  target: Target,
  request: Extract<Request, { readonly command: "cluster" }>,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { NatsTarget } = await import("./nats_target.ts");
  if (!(target instanceof NatsTarget)) {
    throw new CommandFailure("A cluster is on a NATS server: name one.", ExitCode.misused);
  }
  return await (await import("./cluster.ts")).cluster(target, request, terminal, signal);
}

async function runCopy(
  from: Target,
  request: Extract<Request, { readonly command: "copy" }>,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { target, to, namespace, toNamespace = namespace, yes } = request;
  const store = await from.store();
  confirm(
    `Copies all events of "${namespace}" in ${shownTarget(target)} to "${toNamespace}" in ${
      shownTarget(to)
    }.`,
    yes,
  );
  await using destination = await openTarget(to, { ...request, namespace: toNamespace });
  const { copy } = await import("./copy.ts");
  return await copy(store, await destination.storeToWrite(), request, terminal, signal);
}

async function runProjections(
  target: Target,
  request: Extract<Request, { readonly command: "projections" | "parked" }>,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { discardParkedEvent, listParkedEvents, projections, retryParkedEvent } = await import(
    "./projections.ts"
  );
  await using elsewhere = request.checkpoints === undefined
    ? undefined
    : await openTarget(request.checkpoints, request);
  const checkpoints = await (elsewhere ?? target).checkpoints();
  if (request.command === "projections") {
    return await projections(await target.store(), checkpoints, request, terminal, signal);
  }
  if (request.action === "list") return await listParkedEvents(checkpoints, request, terminal);
  if (request.action === "retry") {
    confirm(`Handles the event at ${request.position} again, with ${request.projection}.`, request.yes);
    return await retryParkedEvent(await target.store(), checkpoints, request, terminal, signal);
  }
  confirm(`Discards the event at ${request.position} for the projection "${request.name}".`, request.yes);
  return await discardParkedEvent(await target.store(), checkpoints, request, terminal, signal);
}

/** Prints what will be done, and asks for a yes; in a script, --yes is needed. */
function confirm(what: string, yes: boolean): void {
  if (yes) return;
  const text = printable(what);
  if (!Deno.stdin.isTerminal()) {
    throw new CommandFailure(`${text} Add --yes to do it.`, ExitCode.misused);
  }
  if (!globalThis.confirm(`${text} Go on?`)) throw new CommandFailure("Nothing was done.");
}

/** One sentence or two, without a stack. */
function failureText(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return `A permission is missing: ${error.message}`;
  }
  if (error instanceof AetherError || error instanceof CommandFailure) {
    return error.message.split("\n").map(printable).join("\n");
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return `It failed, and this may be a fault of the program: ${text.split("\n").map(printable).join("\n")}`;
}

/** Ends at the first interrupt; a second one ends the process. */
function interrupted(): AbortSignal {
  const ending = new AbortController();
  const end = (): void => {
    Deno.removeSignalListener("SIGINT", end);
    ending.abort();
  };
  Deno.addSignalListener("SIGINT", end);
  return ending.signal;
}

if (import.meta.main) {
  Deno.exit(await runCommandLine(Deno.args, interrupted()));
}
