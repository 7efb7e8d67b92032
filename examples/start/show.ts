/** `start show CASE`: the timeline of a case, and its state. */

import { type EventStore, replay } from "@flowmade-one/aether/deno-kv";
import { type CaseState, caseView, columnsOf } from "./case_state.ts";
import { type DataFolder, LOG_NAMESPACE, STORY_NAMESPACE } from "./data_folder.ts";
import type { LogEvent } from "./row_events.ts";
import { UserError } from "./rows.ts";
import { formatDuration, formatPlural, formatTable, formatTime, printable } from "./text.ts";

/** What the user asks for. */
export interface ShowRequest {
  readonly caseId: string;
  /** Where to look; without one, among the imported logs and then among the orders of the story. */
  readonly namespace: string | undefined;
  /** The column that names who acted. */
  readonly resource: string;
}

/** Where a timeline ends a long detail. */
const DETAIL_WIDTH = 60;

/** How many cases are named where one was not found. */
const SUGGESTIONS = 3;

/** Shows the case and returns the exit code. */
export async function runShow(folder: DataFolder, request: ShowRequest): Promise<number> {
  if (!await folder.exists()) {
    throw new UserError(
      `Nothing is stored in ${folder.path} yet. Begin with: deno task start, or: deno task start import FILE`,
    );
  }
  const namespaces = request.namespace === undefined ? [LOG_NAMESPACE, STORY_NAMESPACE] : [request.namespace];
  const suggestions: string[] = [];
  for (const namespace of namespaces) {
    await using store = await folder.open<LogEvent>(namespace);
    if (await store.getLatestVersion(request.caseId) > 0) {
      await showCase(store, request);
      return 0;
    }
    for await (const { actorId } of store.listActors()) {
      if (suggestions.push(actorId) >= SUGGESTIONS) break;
    }
  }
  throw new UserError(
    `There is no case "${request.caseId}" in ${folder.path} (looked in namespace ${
      namespaces.join(" and ")
    }). ` +
      (suggestions.length === 0
        ? "Nothing is stored there yet: deno task start import FILE"
        : `There are, for example: ${suggestions.slice(0, SUGGESTIONS).join(", ")}`),
  );
}

async function showCase(store: EventStore<LogEvent>, { caseId, resource }: ShowRequest): Promise<void> {
  const { state } = await replay(store, caseId, caseView(resource));
  console.log(`${printable(caseId)}: ${formatPlural(state.events, "event")}, times in UTC\n`);
  const rows: string[][] = [];
  let before: string | undefined;
  for await (const { version, timestamp, eventType, data } of store.readEvents(caseId)) {
    const waited = before === undefined
      ? ""
      : `+${formatDuration(Date.parse(timestamp) - Date.parse(before))}`;
    before = timestamp;
    rows.push([String(version), formatTime(timestamp), waited, printable(eventType), detailsOf(data, state)]);
  }
  console.log(formatTable(rows, "  "));
  console.log(`\nState after replaying ${formatPlural(state.events, "event")}:`);
  console.log(formatTable(describe(state), "  "));
}

/** What an event contains that others of its case do not. */
function detailsOf(data: unknown, state: CaseState): string {
  const own = Object.entries(columnsOf(data)).filter(([name]) =>
    state.events === 1 || !Object.hasOwn(state.attributes, name)
  );
  const text = printable(own.map(([, value]) => textOf(value)).join(", "));
  return text.length > DETAIL_WIDTH ? `${text.slice(0, DETAIL_WIDTH - 3)}...` : text;
}

function describe(state: CaseState): string[][] {
  const { activity, began, latest, longestWait, activities, resources, attributes } = state;
  const lines = [
    ["Current activity", printable(activity)],
    ["Began", formatTime(began)],
    ["Latest event", formatTime(latest)],
    ["Duration", formatDuration(Date.parse(latest) - Date.parse(began))],
  ];
  if (longestWait) {
    lines.push([
      "Longest wait",
      `${formatDuration(longestWait.milliseconds)}, before ${printable(longestWait.before)}`,
    ]);
  }
  const repeated = Object.entries(activities).filter(([, count]) => count > 1);
  if (repeated.length > 0) lines.push(["Repeated", describeCounts(repeated)]);
  const acting = Object.entries(resources);
  if (acting.length > 0) lines.push(["Resources", describeCounts(acting)]);
  for (const [name, value] of Object.entries(attributes)) {
    lines.push([printable(name), printable(textOf(value))]);
  }
  return lines;
}

function describeCounts(counts: [string, number][]): string {
  return counts.sort(([, a], [, b]) => b - a).map(([name, count]) => `${printable(name)} (${count})`).join(
    ", ",
  );
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
