/**
 * `timers`: what is late, due and coming, and whether that is what the actors' states name.
 *
 * @module
 */

import type { AnyActor } from "../actor/definition.ts";
import { listTimers, type TimerPage } from "../actor/list_timers.ts";
import { reconcileTimers } from "../actor/reconcile_timers.ts";
import type { EventStore } from "../store/types.ts";
import type { RequestOf } from "./arguments.ts";
import { ExitCode } from "./failure.ts";
import { loadExport } from "./module.ts";
import { readTime } from "./time.ts";
import {
  BLOCK,
  type Colour,
  duration,
  jsonLine,
  plural,
  printable,
  printRows,
  printTable,
} from "./output.ts";
import type { Terminal } from "./terminal.ts";

type TimersRequest = RequestOf<"timers">;

/** A timer is late if it is overdue by more than this, in milliseconds: a host or `runTimers` fires it within seconds. */
const LATE_AFTER = 10_000;

/** Runs `timers`: lists those that wait, a page of them in memory at once. */
export async function timers(
  store: EventStore,
  { until, limit, json }: TimersRequest,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const last = until === undefined ? undefined : new Date(readTime(until, "--until must be a time"));
  const now = Date.now();
  let count = 0;
  let isAnyLate = false;
  let hasMore = false;
  const rows = async function* (): AsyncGenerator<string[]> {
    for await (const page of pages(store, limit, last, signal)) {
      hasMore = page.next !== undefined;
      count += page.timers.length;
      for (const { actorId, name, at } of page.timers) {
        const overdue = now - at.getTime();
        const state = stateOf(overdue);
        if (json) {
          terminal.print(jsonLine({ actorId, name, at, state, overdue: Math.max(0, overdue) }));
          await terminal.room();
          continue;
        }
        isAnyLate ||= state === "late";
        const how = overdue >= 0 ? `${duration(overdue)} ago` : `in ${duration(-overdue)}`;
        yield [state, at.toISOString(), how, actorId, name];
      }
    }
  };
  await printRows(terminal, ["STATE", "DUE", "WHEN", "ACTOR", "TIMER"], rows(), colourOf);
  if (json) return ExitCode.done;
  if (count === 0) return noTimers(terminal);
  if (hasMore) terminal.note("There are more. --limit shows more, --until those that are due by a time.");
  if (isAnyLate) {
    terminal.note("Late timers are fired as soon as a host of their actors, or runTimers(), runs.");
  }
  return ExitCode.done;
}

/** Explains that there are none. */
export function noTimers(terminal: Terminal): ExitCode {
  terminal.note(
    "No timers wait. They are listed from an index, which a host of actors or runTimers() keeps: " +
      "--actors compares it with the states.",
  );
  return ExitCode.done;
}

async function* pages(
  store: EventStore,
  limit: number,
  until: Date | undefined,
  signal: AbortSignal,
): AsyncGenerator<TimerPage> {
  let after: string | undefined;
  for (let left = limit; left > 0;) {
    const page = await listTimers(store, {
      limit: Math.min(BLOCK, left),
      signal,
      ...(after !== undefined && { after }),
      ...(until && { until }),
    });
    yield page;
    left -= page.timers.length;
    after = page.next;
    if (after === undefined) return;
  }
}

function stateOf(overdue: number): "late" | "due" | "coming" {
  if (overdue < 0) return "coming";
  return overdue > LATE_AFTER ? "late" : "due";
}

function colourOf(cell: string, column: string): Colour | undefined {
  if (column !== "STATE" || cell === "coming") return undefined;
  return cell === "late" ? "red" : "yellow";
}

/** Runs `timers --actors`: compares the index with the states, and corrects it if that is asked. */
export async function compareTimers(
  store: EventStore,
  { actors, correct, limit, json }: TimersRequest,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const definitions = (await Promise.all(actors.map((name) => loadExport(name, "--actors")))).flat();
  const options = { dryRun: !correct, signal, onWarning: warningOf(terminal) };
  const report = await reconcileTimers(store, definitions as AnyActor[], options);
  const { differing, differences } = report;
  const shown = differences.slice(0, limit);
  if (json) {
    for (const difference of shown) {
      terminal.print(jsonLine(difference));
      await terminal.room();
    }
    terminal.print(jsonLine({ actors: report.actors, differing, corrected: correct ? differing : 0 }));
  } else {
    if (shown.length > 0) {
      const columns = ["ACTOR", "TIMER", "IN THE INDEX", "BY THE STATE"];
      const rows = shown.map(({ actorId, name, indexed, expected }) => [
        actorId,
        name,
        indexed?.toISOString() ?? "(none)",
        expected?.toISOString() ?? "(none)",
      ]);
      await printTable(terminal, { columns, rows });
    }
    if (differing > shown.length) terminal.note(`There are ${plural(differing, "difference")} in all.`);
    const outcome = correct ? "differed, and were corrected" : "differ; --correct corrects them";
    terminal.print(
      differing === 0
        ? `The index has the timers of ${plural(report.actors, "actor")} as their states name them.`
        : `${plural(differing, "timer")} of ${plural(report.actors, "actor")} ${outcome}.`,
    );
  }
  return differing > 0 && !correct ? ExitCode.found : ExitCode.done;
}

function warningOf(terminal: Terminal): (warning: { readonly message: string }) => void {
  return ({ message }) => terminal.note(printable(message));
}
