/**
 * Folds an actor's events to its state with a decider of the user's, in a process without permissions.
 *
 * @module
 */

import { TextLineStream } from "./lines.ts";
import type { EventStore } from "../store/types.ts";
import { CommandFailure } from "./failure.ts";
import { exportName } from "./module.ts";
import { printable } from "./output.ts";

/** An actor's state. */
export interface FoldedState {
  /** The version that it is at. */
  readonly version: number;
  /** The state, as JSON carries it. */
  readonly state: unknown;
}

/** How long a fold may take, in milliseconds. */
const TIMEOUT = 5_000;
/** The most characters that the process may print about an error. */
const MAX_TEXT = 2_000;

/**
 * The states of an actor at some versions, in rising order.
 *
 * @param decider `FILE#NAME`: an exported object with `initialState` and `evolve`.
 * @throws {CommandFailure} If it cannot be loaded, throws, needs a permission, or takes too long.
 */
export async function foldIn(
  store: EventStore,
  actorId: string,
  decider: string,
  versions: readonly number[],
): Promise<FoldedState[]> {
  const { url, name } = await exportName(decider, "--decider");
  // The module is named in the text of the main module: to import it later would need the permission to read it.
  const main = `import * as module from ${JSON.stringify(url)};\n` +
    `import { serveFold } from ${JSON.stringify(import.meta.resolve("./fold_process.ts"))};\n` +
    `await serveFold(module, ${JSON.stringify(name)}, ${JSON.stringify(versions)});\n`;
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", `data:application/typescript,${encodeURIComponent(main)}`],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    process.kill("SIGKILL");
  }, TIMEOUT);
  try {
    const errors = new Response(process.stderr).text();
    const [states] = await Promise.all([
      Array.fromAsync(process.stdout.pipeThrough(new TextLineStream()), (line) => JSON.parse(line)),
      feed(process.stdin, store, actorId, Math.max(...versions)),
    ]);
    const { success } = await process.status;
    if (success) return states as FoldedState[];
    throw new CommandFailure(failureText(decider, isLate, await errors));
  } finally {
    clearTimeout(timer);
    await process[Symbol.asyncDispose]();
  }
}

/** Writes the events; a process that has ended is reported by its status. */
async function feed(
  stdin: WritableStream<Uint8Array>,
  store: EventStore,
  actorId: string,
  toVersion: number,
): Promise<void> {
  const writer = stdin.getWriter();
  const encoder = new TextEncoder();
  const isOver = writer.closed.then(() => true, () => true);
  let isEnded = false;
  void isOver.then(() => isEnded = true);
  if (toVersion > 0) {
    for await (const event of store.readEvents(actorId, { toVersion })) {
      if (isEnded) return;
      await writer.write(encoder.encode(`${JSON.stringify(event)}\n`)).catch(() => {});
    }
  }
  await writer.close().catch(() => {});
}

function failureText(decider: string, isLate: boolean, errors: string): string {
  const what = `The decider ${printable(decider)}`;
  if (isLate) return `${what} did not end within ${TIMEOUT / 1000} s.`;
  const text = errors.trim().slice(0, MAX_TEXT).split("\n").map(printable).join("\n");
  if (/NotCapable|Requires \w+ access/.test(text)) {
    return `${what} asked for a permission, and is run without any:\n${text}`;
  }
  return `${what} failed:\n${text}`;
}
