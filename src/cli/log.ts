/**
 * `log`, `tail` and `actors`: the global log, by page and as it grows.
 *
 * @module
 */

import { actorIdFault } from "../event/draft.ts";
import type { StoredEvent } from "../event/types.ts";
import type { EventStore } from "../store/types.ts";
import { readLog } from "../store/actor_log.ts";
import type { RequestOf } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { BLOCK, fittedLine, jsonLine, plural, printRows } from "./output.ts";
import type { Terminal } from "./terminal.ts";

type LogRequest = RequestOf<"log"> | RequestOf<"tail">;

/** @throws {CommandFailure} If an option could never choose an event. */
function filterOf({ types, actor, actorPrefix }: LogRequest): {
  readonly eventTypes?: readonly string[];
  readonly actorId?: string;
  readonly actorPrefix?: string;
} {
  if (types.includes("")) throw misused("--type is empty: leave it out to choose all types.");
  const fault = actor === undefined ? undefined : actorIdFault(actor);
  if (fault !== undefined) throw misused(`--actor is not the id of an actor: it ${fault}.`);
  return {
    ...(types.length > 0 && { eventTypes: types }),
    ...(actor !== undefined && { actorId: actor }),
    ...(actorPrefix !== undefined && { actorPrefix }),
  };
}

function misused(message: string): CommandFailure {
  return new CommandFailure(message, ExitCode.misused);
}

/** Runs `log`. */
export async function log(
  store: EventStore,
  request: RequestOf<"log">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { count, last } = await print(page(store, request, signal), request.json, terminal);
  if (!request.json && count === request.limit) {
    const others = request.after === undefined ? "--limit shows more" : `those that follow: --after ${last}`;
    terminal.note(`${plural(count, "event")}; ${others}.`);
  }
  return ExitCode.done;
}

/** Runs `tail`, until the signal. */
export async function tail(
  store: EventStore,
  request: RequestOf<"tail">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const end = await store.getLastPosition();
  const after = request.after ?? end ?? "start";
  try {
    // Up to the position that it goes on after: what comes meanwhile is printed once.
    if (request.after === undefined && end !== undefined) {
      await print(page(store, request, signal, end), request.json, terminal);
      await terminal.flush();
    }
    for await (const event of store.subscribe({ ...filterOf(request), after, signal })) {
      const line = request.json ? jsonLine(event) : fittedLine(cellsOf(event).join("  "), terminal.columns);
      terminal.print(await line);
      await terminal.flush();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return ExitCode.done;
}

/** The events behind a position; without one, the latest, or the latest up to `until`. */
async function* page(
  store: EventStore,
  request: LogRequest,
  signal: AbortSignal,
  until?: string,
): AsyncGenerator<StoredEvent> {
  const { after, limit } = request;
  const filter = { ...filterOf(request), ...(until !== undefined && { until }), signal };
  if (after !== undefined) return yield* readLog(store, { ...filter, after, limit });
  const latest = readLog(store, { ...filter, after: "first-kept", direction: "backward", limit: limit + 1 });
  if (limit <= BLOCK) return yield* (await Array.fromAsync(latest)).slice(0, limit).reverse();
  let count = 0;
  let before = "first-kept";
  for await (const { position } of latest) if (++count > limit) before = position;
  yield* readLog(store, { ...filter, after: before, limit });
}

interface Printed {
  readonly count: number;
  /** The position of the last event. */
  readonly last: string | undefined;
}

/** Prints events as they are read. */
async function print(
  events: AsyncIterable<StoredEvent>,
  json: boolean,
  terminal: Terminal,
): Promise<Printed> {
  let count = 0;
  let last: string | undefined;
  const rows = async function* (): AsyncGenerator<string[]> {
    for await (const event of events) {
      count++;
      last = event.position;
      if (json) {
        terminal.print(jsonLine(event));
        await terminal.room();
      } else yield cellsOf(event);
    }
  };
  await printRows(terminal, COLUMNS, rows());
  if (count === 0 && !json) terminal.note("There are no such events.");
  return { count, last };
}

const COLUMNS = ["TIME", "ACTOR", "VERSION", "TYPE", "DATA"];

function cellsOf({ timestamp, actorId, version, eventType, data }: StoredEvent): string[] {
  return [timestamp, actorId, String(version), eventType, JSON.stringify(data)];
}

/** Runs `actors`. */
export async function actors(
  store: EventStore,
  { actorPrefix, limit, json }: RequestOf<"actors">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  let count = 0;
  let hasMore = false;
  const rows = async function* (): AsyncGenerator<string[]> {
    const prefix = actorPrefix === undefined ? {} : { actorPrefix };
    for await (const actor of store.listActors({ ...prefix, signal })) {
      hasMore = count === limit;
      if (hasMore) return;
      count++;
      if (json) {
        terminal.print(jsonLine(actor));
        await terminal.room();
      } else yield [actor.actorId, String(actor.latestVersion)];
    }
  };
  await printRows(terminal, ["ACTOR", "VERSION"], rows());
  if (json) return ExitCode.done;
  if (hasMore) terminal.note("There are more. --limit and --actor-prefix choose others.");
  if (count === 0) terminal.note("There are no such actors.");
  return ExitCode.done;
}
