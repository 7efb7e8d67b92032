/**
 * `log`, `tail` and `actors`: the global log, by page and as it grows.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { ExitCode } from "./failure.ts";
import { fittedLine, jsonLine, plural, printTable, type Terminal } from "./output.ts";

type LogRequest = RequestOf<"log"> | RequestOf<"tail">;

function filterOf({ types, actor, actorPrefix }: LogRequest): {
  readonly eventTypes?: readonly string[];
  readonly actorId?: string;
  readonly actorPrefix?: string;
} {
  return {
    ...(types.length > 0 && { eventTypes: types }),
    ...(actor !== undefined && { actorId: actor }),
    ...(actorPrefix !== undefined && { actorPrefix }),
  };
}

/** Runs `log`. */
export async function log(
  store: EventStore,
  request: RequestOf<"log">,
  terminal: Terminal,
): Promise<ExitCode> {
  const events = await page(store, request);
  await print(events, request.json, terminal);
  if (!request.json && events.length === request.limit) {
    const others = request.after === undefined
      ? "--limit shows more"
      : `those that follow: --after ${events.at(-1)!.position}`;
    terminal.note(`${plural(events.length, "event")}; ${others}.`);
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
  // Up to the position that it goes on after: what comes meanwhile is printed once.
  if (request.after === undefined && end !== undefined) {
    await print(await page(store, request, end), request.json, terminal);
  }
  const after = request.after ?? end ?? "start";
  try {
    for await (const event of store.subscribe({ ...filterOf(request), after, signal })) {
      const line = request.json ? jsonLine(event) : fittedLine(cellsOf(event).join("  "), terminal.columns);
      terminal.print(await line);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return ExitCode.done;
}

/** The events behind a position; without one, the latest, or the latest up to `until`. */
async function page(store: EventStore, request: LogRequest, until?: string): Promise<StoredEvent[]> {
  const { after, limit } = request;
  const filter = filterOf(request);
  if (after !== undefined) return await Array.fromAsync(store.readAll({ ...filter, after, limit }));
  const end = until === undefined ? {} : { until };
  const read = store.readAll({ ...filter, ...end, after: "first-kept", direction: "backward", limit });
  return (await Array.fromAsync(read)).reverse();
}

async function print(events: readonly StoredEvent[], json: boolean, terminal: Terminal): Promise<void> {
  if (json) { for (const event of events) terminal.print(jsonLine(event)); }
  else if (events.length === 0) terminal.note("There are no such events.");
  else {
    const rows = events.map(cellsOf);
    const table = { columns: ["TIME", "ACTOR", "VERSION", "TYPE", "DATA"], rows };
    await printTable(terminal, table);
  }
}

function cellsOf({ timestamp, actorId, version, eventType, data }: StoredEvent): string[] {
  return [timestamp, actorId, String(version), eventType, JSON.stringify(data)];
}

/** Runs `actors`. */
export async function actors(
  store: EventStore,
  { actorPrefix, limit, json }: RequestOf<"actors">,
  terminal: Terminal,
): Promise<ExitCode> {
  const rows: string[][] = [];
  for await (const actor of store.listActors(actorPrefix === undefined ? {} : { actorPrefix })) {
    if (rows.length === limit) {
      if (!json) terminal.note(`There are more. --limit and --actor-prefix choose others.`);
      break;
    }
    rows.push([actor.actorId, String(actor.latestVersion)]);
    if (json) terminal.print(jsonLine(actor));
  }
  if (json) return ExitCode.done;
  if (rows.length === 0) terminal.note("There are no such actors.");
  else {
    await printTable(terminal, { columns: ["ACTOR", "VERSION"], rows });
  }
  return ExitCode.done;
}
