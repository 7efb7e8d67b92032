/**
 * Runs a command on what it works on.
 *
 * @module
 */

import type { Request, RequestOf } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { openTarget } from "./open_target.ts";
import { printable } from "./output.ts";
import { shownTarget } from "./secrets.ts";
import type { Target } from "./target.ts";
import type { Terminal } from "./terminal.ts";

/** Runs the command that was asked for; what it does not need is not loaded. */
export async function run(request: Request, terminal: Terminal, signal: AbortSignal): Promise<ExitCode> {
  if (request.command === "verify" && await isExport(request.target)) {
    return await (await import("./export.ts")).verifyExported(request, terminal, signal);
  }
  await using target = await openTarget(request.target, request);
  switch (request.command) {
    case "show": {
      const [histories, { show }] = await Promise.all([target.histories(), import("./show.ts")]);
      return await show(histories, request, terminal, signal);
    }
    case "log":
      return await (await import("./log.ts")).log(await target.look(), request, terminal, signal);
    case "tail":
      return await (await import("./log.ts")).tail(await target.store(), request, terminal, signal);
    case "actors":
      return await (await import("./log.ts")).actors(await target.look(), request, terminal, signal);
    case "verify":
      return await (await import("./check.ts")).verify(await target.store(), request, terminal, signal);
    case "diagnose":
      return await (await import("./check.ts")).diagnose(await target.store(), request, terminal);
    case "cluster":
      return await runCluster(target, request, terminal, signal);
    case "copy":
      return await runCopy(target, request, terminal, signal);
    case "seal":
      return await runSeal(target, request, terminal, signal);
    case "export":
      return await runExport(target, request, terminal, signal);
    case "import":
      return await runImport(target, request, terminal, signal);
    case "studio":
      return await (await import("./studio.ts")).studio(target, request, terminal, signal);
    case "timers":
      return await runTimers(target, request, terminal, signal);
    case "projections":
    case "parked":
      return await runProjections(target, request, terminal, signal);
  }
}

async function runCluster(
  target: Target,
  request: RequestOf<"cluster">,
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
  request: RequestOf<"copy">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { to, namespace, toNamespace = namespace, yes } = request;
  const store = await from.store();
  confirm(
    `Copies all events of ${nameOf(request)} to ${nameOf({ target: to, namespace: toNamespace })}.`,
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

async function runSeal(
  target: Target,
  request: RequestOf<"seal">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const store = await target.store();
  terminal.note(printable(`Seals the events of ${nameOf(request)} in ${shownTarget(request.place)}.`));
  return await (await import("./seal.ts")).seal(store, request, terminal, signal);
}

async function runExport(
  target: Target,
  request: RequestOf<"export">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const store = await target.store();
  terminal.note(printable(`Writes the events of ${nameOf(request)} to ${request.file}.`));
  return await (await import("./export.ts")).exportLog(store, request, terminal, signal);
}

async function runImport(
  target: Target,
  request: RequestOf<"import">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  if (!await isExport(request.file)) {
    throw new CommandFailure(`"${printable(request.file)}" is no file that export has written.`);
  }
  confirm(`Stores the events of ${request.file} in ${nameOf(request)}.`, request.yes);
  return await (await import("./export.ts")).importLog(
    await target.storeToWrite(),
    request,
    terminal,
    signal,
  );
}

async function runTimers(
  target: Target,
  request: RequestOf<"timers">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { actors, correct, yes } = request;
  if (correct && actors.length === 0) throw new CommandFailure("--correct needs --actors.", ExitCode.misused);
  const store = await target.store();
  const { compareTimers, noTimers, timers } = await import("./timers.ts");
  if (correct) confirm(`Corrects the index of the timers of ${nameOf(request)}.`, yes);
  // A look does not make an index.
  const hasIndex = correct || await target.hasTimers(store);
  if (actors.length === 0) {
    return hasIndex ? await timers(store, request, terminal, signal) : noTimers(terminal);
  }
  if (!hasIndex) {
    throw new CommandFailure("There is no index of timers yet: --correct makes it.", ExitCode.found);
  }
  return await compareTimers(store, request, terminal, signal);
}

/** Whether a file begins like an export, and not like a database. One that does not exist does not. */
async function isExport(path: string): Promise<boolean> {
  if (path === "" || path === ":memory:" || /^[a-z][a-z0-9+.-]+:/i.test(path)) return false;
  try {
    using file = await Deno.open(path);
    const head = new Uint8Array(2);
    await file.read(head);
    return head[0] === 0x7b || head[0] === 0x1f && head[1] === 0x8b;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory) return false;
    throw error;
  }
}

/** The log of a request, for people. */
function nameOf({ target, namespace }: { readonly target: string; readonly namespace: string }): string {
  return `"${namespace}" in ${shownTarget(target)}`;
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
