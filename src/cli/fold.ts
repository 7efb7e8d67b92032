/**
 * Folds an actor's events to its state with a decider of the user's, in a process without permissions.
 *
 * @module
 */

import { TextLineStream } from "./lines.ts";
import type { StoredEvent } from "../event/types.ts";
import { CommandFailure } from "./failure.ts";
import { exportName } from "./module.ts";
import { printable, printableLines } from "./output.ts";
import type { Histories } from "./target.ts";

/** An actor's state. */
export interface FoldedState {
  /** The version that it is at. */
  readonly version: number;
  /** The state, as JSON carries it. */
  readonly state: unknown;
}

/** How long the decider may take for one event, in milliseconds. */
const TIMEOUT = 5_000;
/** How long it may take to be loaded: its imports may have to be fetched and compiled. */
const LOAD_TIMEOUT = 20_000;
/** The most characters that are shown of what the process prints about an error. */
const MAX_TEXT = 2_000;

/**
 * The states of an actor at some versions, in rising order.
 *
 * @param decider `FILE#NAME`: an exported object with `initialState` and `evolve`.
 * @throws {CommandFailure} If it cannot be loaded, throws, needs a permission, or takes too long.
 */
export async function foldIn(
  store: Histories,
  actorId: string,
  decider: string,
  versions: readonly number[],
  signal: AbortSignal,
): Promise<FoldedState[]> {
  const { url, name } = await exportName(decider, "--decider");
  // What the decider itself prints is no state: a line that is one begins with this.
  const mark = crypto.randomUUID();
  // The module is named in the text of the main module: to import it later would need the permission to read it.
  const main = `import * as module from ${JSON.stringify(url)};\n` +
    `import { serveFold } from ${JSON.stringify(import.meta.resolve("./fold_process.ts"))};\n` +
    `await serveFold(module, ${JSON.stringify({ name, versions, mark })});\n`;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", `data:application/typescript,${encodeURIComponent(main)}`],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
    signal,
  }).spawn();
  const watchdog = new Watchdog(process);
  const toVersion = Math.max(...versions);
  try {
    const errors = beginningOf(process.stderr);
    const lines = markedLines(process.stdout, mark);
    await lines.next(); // it is loaded, or has ended
    watchdog.begin(TIMEOUT);
    const [states] = await Promise.all([
      Array.fromAsync(lines, (line) => JSON.parse(line) as FoldedState),
      feed(process.stdin, toVersion > 0 ? store.readEvents(actorId, { toVersion }) : [], watchdog),
    ]);
    const { success } = await process.status;
    signal.throwIfAborted();
    if (success) return states;
    throw new CommandFailure(failureText(decider, watchdog.idle, await errors));
  } finally {
    watchdog.stop();
    await process[Symbol.asyncDispose]();
  }
}

/** Ends a process that does not go on. */
class Watchdog {
  readonly #process: Deno.ChildProcess;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** How long the process had done nothing when it was ended, in milliseconds. */
  idle: number | undefined;

  constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.begin(LOAD_TIMEOUT);
  }

  /** The process has gone on: it has so long for its next step. */
  begin(timeout: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.idle = timeout;
      this.#process.kill("SIGKILL");
    }, timeout);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** The lines that begin with the mark, without it. */
async function* markedLines(stdout: ReadableStream<Uint8Array>, mark: string): AsyncGenerator<string> {
  for await (const line of stdout.pipeThrough(new TextLineStream())) {
    if (line.startsWith(mark)) yield line.slice(mark.length);
  }
}

/** The beginning of a text; the rest is read and dropped. */
async function beginningOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of stream) {
    if (text.length < MAX_TEXT) text += decoder.decode(part, { stream: true });
  }
  return text;
}

/** Writes the events; a process that has ended is reported by its status. */
async function feed(
  stdin: WritableStream<Uint8Array>,
  events: AsyncIterable<StoredEvent> | Iterable<StoredEvent>,
  watchdog: Watchdog,
): Promise<void> {
  const writer = stdin.getWriter();
  const encoder = new TextEncoder();
  let isEnded = false;
  const end = (): void => void (isEnded = true);
  writer.closed.then(end, end);
  for await (const event of events) {
    if (isEnded) return;
    await writer.write(encoder.encode(`${JSON.stringify(event)}\n`)).catch(() => {});
    watchdog.begin(TIMEOUT);
  }
  await writer.close().catch(() => {});
}

function failureText(decider: string, idle: number | undefined, errors: string): string {
  const what = `The decider ${printable(decider)}`;
  if (idle !== undefined) return `${what} was ended: it did nothing for ${idle / 1000} s.`;
  const text = withoutStack(errors.trim().slice(0, MAX_TEXT));
  if (/NotCapable|Requires \w+ access/.test(text)) {
    return `${what} asked for a permission, and is run without any:\n${text}`;
  }
  return `${what} failed:\n${text}`;
}

/** What is wrong, without the lines of a stack, neither those of the program nor those of the runtime itself. */
function withoutStack(text: string): string {
  const [message = ""] = text.split(/^Stack backtrace:$/m);
  return printableLines(message.split("\n").filter((line) => !/^\s+at /.test(line)).join("\n").trim());
}
