/**
 * The process that folds with a decider of the user's. It reads events as NDJSON, and writes states as NDJSON.
 *
 * @module
 */

import type { View } from "../store/decider.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { TextLineStream } from "./lines.ts";

/** What is folded. */
export interface FoldRequest {
  /** The export that folds. */
  readonly name: string;
  /** The versions whose states are written. */
  readonly versions: readonly number[];
  /** What a line with a state begins with. */
  readonly mark: string;
}

/** Folds what comes in, and writes the states at some versions. */
export async function serveFold(module: object, { name, versions, mark }: FoldRequest): Promise<void> {
  try {
    write(mark); // it is loaded
    const view = viewOf(module, name);
    const wanted = [...versions].sort((a, b) => a - b);
    let state = view.initialState();
    let version = 0;
    const writeUpTo = (next: number): void => {
      while (wanted.length > 0 && wanted[0]! < next) {
        write(mark + JSON.stringify({ version: wanted.shift(), state: state ?? null }));
      }
    };
    for await (const line of Deno.stdin.readable.pipeThrough(new TextLineStream())) {
      const event = JSON.parse(line) as StoredEvent;
      version = event.version;
      writeUpTo(version);
      state = view.evolve(state, event);
      if (typeof (state as PromiseLike<unknown> | undefined)?.then === "function") {
        throw new TypeError(`evolve returned a promise: it must return the state.`);
      }
    }
    writeUpTo(Infinity);
  } catch (error) {
    console.error(error instanceof Error ? `${error.name}: ${error.message}` : String(error));
    Deno.exit(1);
  }
}

function write(line: string): void {
  const bytes = new TextEncoder().encode(`\n${line}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

function viewOf(module: object, name: string): View<unknown, Event> {
  const view = (module as Record<string, Partial<View<unknown, Event>> | null | undefined>)[name];
  if (view === undefined) {
    throw new TypeError(
      `There is no export "${name}". The file has: ${Object.keys(module).join(", ") || "none"}.`,
    );
  }
  if (typeof view?.initialState === "function" && typeof view.evolve === "function") {
    return view as View<unknown, Event>;
  }
  throw new TypeError(`"${name}" is no decider: it needs the functions initialState and evolve.`);
}
