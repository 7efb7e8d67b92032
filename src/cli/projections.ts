/**
 * `projections` and `parked`: how projections are getting on, and what they have set aside.
 *
 * @module
 */

import type { CheckpointStore } from "../projection/checkpoints.ts";
import { ProjectionStoppedError } from "../projection/errors.ts";
import { discardParked, listParked, retryParked } from "../projection/parked.ts";
import type { Projection } from "../projection/projection.ts";
import { checkNamed } from "../projection/reference.ts";
import { parseRecord, type ProjectionRecord } from "../projection/record.ts";
import { type ProjectionStatus, projectionStatuses } from "../projection/status.ts";
import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { loadProjection } from "./module.ts";
import {
  type Colour,
  coloured,
  duration,
  jsonLine,
  plural,
  printable,
  printRows,
  printTable,
  whole,
} from "./output.ts";
import type { Terminal } from "./terminal.ts";

type Checkpoints = CheckpointStore<unknown> | undefined;
type ParkedRequest = RequestOf<"parked">;

const NONE = "There are no checkpoints. If they are elsewhere, name the place with --checkpoints.";

/** Runs `projections`. */
export async function projections(
  store: EventStore,
  checkpoints: Checkpoints,
  { json }: RequestOf<"projections">,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const statuses = checkpoints ? await projectionStatuses(store, checkpoints, { signal }) : [];
  if (json) { for (const status of statuses) terminal.print(jsonLine(status)); }
  else if (statuses.length === 0) terminal.note(NONE);
  else {
    const columns = ["PROJECTION", "VERSION", "STATE", "BEHIND", "OLDEST", "PARKED", "HANDLED", "SAVED"];
    const rows = statuses.map((status) => [
      status.name,
      String(status.version),
      stateOf(status),
      behindOf(status),
      status.lag ? duration(status.lag.time) : "",
      String(status.parked.length),
      whole(status.handled),
      status.savedAt,
    ]);
    await printTable(terminal, { columns, rows, colourOf });
    for (const { name, problem, failing } of statuses) {
      if (problem) terminal.print(`\n${printable(name)}: ${printable(problem.message)}`);
      if (failing) {
        terminal.print(
          `\n${printable(name)} fails on event ${failing.eventVersion} of "${printable(failing.actorId)}" ` +
            `(position ${printable(failing.position)}, ${plural(failing.attempts, "attempt")}): ${
              printable(failing.error)
            }`,
        );
      }
    }
  }
  return statuses.some(({ stopped, problem }) => stopped || problem) ? ExitCode.found : ExitCode.done;
}

function stateOf({ stopped, failing, problem, lag }: ProjectionStatus): string {
  if (stopped) return "stopped";
  if (problem) return "cannot go on";
  if (failing) return "failing";
  return lag?.events === 0 ? "up to date" : "behind";
}

const STATE_COLOURS: Readonly<Record<string, Colour>> = {
  "stopped": "red",
  "cannot go on": "red",
  "failing": "red",
  "behind": "yellow",
  "up to date": "green",
};

function colourOf(cell: string, column: string): Colour | undefined {
  if (column === "PARKED" && cell !== "0") return "yellow";
  return column === "STATE" ? STATE_COLOURS[cell] : undefined;
}

function behindOf({ lag }: ProjectionStatus): string {
  return lag ? `${whole(lag.events)}${lag.isMore ? "+" : ""}` : "?";
}

/** Runs `parked list`. */
export async function listParkedEvents(
  checkpoints: Checkpoints,
  request: Extract<ParkedRequest, { readonly action: "list" }>,
  terminal: Terminal,
): Promise<ExitCode> {
  await recordOf(checkpoints, request);
  const { name, version } = request;
  const parked = await listParked({ name, version, checkpoints: checkpoints! });
  if (request.json) {
    for (const entry of parked) {
      terminal.print(jsonLine(entry));
      await terminal.room();
    }
  } else if (parked.length === 0) terminal.print("Nothing is parked.");
  else if (terminal.columns !== undefined) {
    // A position that is cut cannot be retried, and an error that is cut explains nothing.
    for (const { actorId, eventVersion, eventType, parkedAt, attempts, position, error } of parked) {
      terminal.print(
        printable(`Event ${eventVersion} of "${actorId}", ${eventType}: parked at ${parkedAt}`) +
          ` after ${plural(attempts, "attempt")}`,
      );
      terminal.print(`  position ${printable(position)}`);
      terminal.print(`  ${coloured(printable(error), "red", terminal)}`);
      await terminal.room();
    }
  } else {
    const columns = ["POSITION", "ACTOR", "VERSION", "TYPE", "PARKED", "ATTEMPTS", "ERROR"];
    const rows = Iterator.from(parked).map((entry) => [
      entry.position,
      entry.actorId,
      String(entry.eventVersion),
      entry.eventType,
      entry.parkedAt,
      String(entry.attempts),
      entry.error,
    ]);
    await printRows(terminal, columns, rows);
  }
  return ExitCode.done;
}

interface ProjectionName {
  readonly name: string;
  readonly version: number;
}

async function recordOf(
  checkpoints: Checkpoints,
  { name, version }: ProjectionName,
): Promise<ProjectionRecord> {
  if (checkpoints) checkNamed({ name, version, checkpoints });
  const stored = await checkpoints?.load({ name, version });
  if (stored) return parseRecord({ name, version }, stored);
  throw new CommandFailure(
    `There is no checkpoint of a projection "${
      printable(name)
    }" of version ${version}. If checkpoints are elsewhere, ` +
      "name the place with --checkpoints.",
    ExitCode.found,
  );
}

/** Runs `parked retry`. A projection without checkpoints gets those of the target. */
export async function retryParkedEvent(
  store: EventStore,
  checkpoints: Checkpoints,
  { projection, position }: Extract<ParkedRequest, { readonly action: "retry" }>,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const loaded = await loadProjection(projection);
  await retryParked(store, { checkpoints, ...loaded } as Projection, position, { signal });
  terminal.print(`The event at ${printable(position)} was handled by "${printable(loaded.name)}".`);
  return ExitCode.done;
}

/** Runs `parked discard`. No handler is called. */
export async function discardParkedEvent(
  store: EventStore,
  checkpoints: Checkpoints,
  request: Extract<ParkedRequest, { readonly action: "discard" }>,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  await recordOf(checkpoints, request);
  const { position } = request;
  const next = await discardWithoutHandler(store, checkpoints!, request, signal);
  terminal.print(
    next
      ? `The event at ${printable(position)} was discarded. Event ${next.version} of "${
        printable(next.actorId)
      }" waited behind it ` +
        "and is parked in its place: retry it."
      : `The event at ${printable(position)} was discarded.`,
  );
  return ExitCode.done;
}

/**
 * Discards a parked event of a projection whose handler is not known here. What waits behind it is not handled: the first such
 * event is parked in its place.
 *
 * @returns The event that waited.
 */
export async function discardWithoutHandler(
  store: EventStore,
  checkpoints: NonNullable<Checkpoints>,
  { name, version, position }: ProjectionName & { readonly position: string },
  signal: AbortSignal,
): Promise<{ readonly actorId: string; readonly version: number } | undefined> {
  const { filter } = await recordOf(checkpoints, { name, version });
  const projection: Projection<never, unknown> = {
    name,
    version,
    checkpoints,
    filter: filter as never,
    handle: () => {
      throw new Error(
        "It waited behind an event that was discarded by a program that does not have the handler.",
      );
    },
  };
  try {
    await discardParked(store as EventStore<never>, projection, position, { signal });
    return undefined;
  } catch (error) {
    if (!(error instanceof ProjectionStoppedError) || error.event === undefined) throw error;
    return { actorId: error.event.actorId, version: error.event.eventVersion };
  }
}
