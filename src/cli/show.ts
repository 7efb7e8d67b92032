/**
 * `show`: what happened to an actor, and what it was like.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import type { RequestOf } from "./arguments.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import {
  BLOCK,
  type Colour,
  jsonLine,
  plural,
  printable,
  printableLines,
  printRows,
  printTable,
} from "./output.ts";
import type { Histories } from "./target.ts";
import type { Terminal } from "./terminal.ts";

type ShowRequest = RequestOf<"show">;

/** Runs `show`. */
export async function show(
  store: Histories,
  request: ShowRequest,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const { actorId, diff, given } = request;
  const latest = await store.getLatestVersion(actorId);
  if (latest === 0) throw new CommandFailure(`There is no actor "${printable(actorId)}".`, ExitCode.found);
  if (diff !== undefined) {
    const versions = versionsOf(diff, latest, request.decider === undefined ? 1 : 0);
    return await showDifference(store, request, versions, terminal, signal);
  }
  const until = await endOf(store, request, latest, signal);
  const [folded] = request.decider === undefined
    ? []
    : await (await import("./fold.ts")).foldIn(store, actorId, request.decider, [until], signal);
  const events = lastEvents(store, actorId, until, request.limit);
  if (given) await printGiven(events, terminal);
  else if (request.json) await printLines(events, jsonLine, terminal);
  else await printEvents(events, request, until, terminal);
  if (folded) {
    terminal.print(
      request.json ? jsonLine(folded) : `\nState at version ${until}:\n${indented(folded.state)}`,
    );
  }
  return ExitCode.done;
}

/** The version that is asked for: that of the latest event, or of the last one before a time. */
async function endOf(
  store: Histories,
  { at, actorId }: ShowRequest,
  latest: number,
  signal: AbortSignal,
): Promise<number> {
  if (at === undefined) return latest;
  if (/^\d+$/.test(at)) {
    const version = Number(at);
    if (version <= latest) return version;
    throw notReached(at, latest);
  }
  const time = (await import("./time.ts")).readTime(at, "--at must be a version, or a time");
  let end = 0;
  for await (const event of store.readEvents(actorId)) {
    if (event.timestamp > time) break;
    signal.throwIfAborted();
    end = event.version;
  }
  return end;
}

/** The last events up to a version, the earliest first. Of many, the first one is looked for, and they are read from there. */
async function* lastEvents(
  store: Histories,
  actorId: string,
  toVersion: number,
  limit: number,
): AsyncGenerator<StoredEvent> {
  if (toVersion === 0) return;
  const latest = store.readEvents(actorId, { toVersion, limit, direction: "backward" });
  if (limit <= BLOCK) return yield* (await Array.fromAsync(latest)).reverse();
  let fromVersion = toVersion;
  for await (const { version } of latest) fromVersion = version;
  yield* store.readEvents(actorId, { fromVersion, toVersion });
}

async function printGiven(events: AsyncIterable<StoredEvent>, terminal: Terminal): Promise<void> {
  const { GIVEN_BEGIN, GIVEN_END, givenLine } = await import("./history.ts");
  terminal.print(GIVEN_BEGIN);
  await printLines(events, givenLine, terminal);
  terminal.print(GIVEN_END);
}

async function printLines(
  events: AsyncIterable<StoredEvent>,
  lineOf: (event: StoredEvent) => string,
  terminal: Terminal,
): Promise<void> {
  for await (const event of events) {
    terminal.print(lineOf(event));
    await terminal.room();
  }
}

async function printEvents(
  events: AsyncIterable<StoredEvent>,
  { actorId }: ShowRequest,
  until: number,
  terminal: Terminal,
): Promise<void> {
  let count = 0;
  let first: StoredEvent | undefined;
  const rows = async function* (): AsyncGenerator<string[]> {
    for await (const event of events) {
      first ??= event;
      count++;
      const { version, timestamp, eventType, data } = event;
      yield [String(version), timestamp, eventType, JSON.stringify(data)];
    }
  };
  await printRows(terminal, ["VERSION", "TIME", "TYPE", "DATA"], rows());
  if (!first) return terminal.note(`Nothing had happened to "${printable(actorId)}" then.`);
  if (first.version > 1) {
    terminal.note(
      `${plural(count, "event")} up to version ${until}. --limit shows more, --at an earlier end.`,
    );
  }
}

/** What has changed between two versions: the state, by a decider; without one, the data of the two events. */
async function showDifference(
  store: Histories,
  { actorId, decider, json }: ShowRequest,
  versions: readonly [number, number],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  const [before, after] = decider === undefined
    ? await Promise.all(versions.map((version) => dataAt(store, actorId, version)))
    : await statesAt(store, actorId, decider, versions, signal);
  const { changesBetween } = await import("./history.ts");
  const changes = (await changesBetween(before, after)).map(({ path, ...values }) => ({
    path: path.join("."),
    ...values,
  }));
  if (json) { for (const change of changes) terminal.print(jsonLine(change)); }
  else if (changes.length === 0) terminal.print("Nothing has changed.");
  else {
    const rows = changes.map(({ path, before, after }) => [path || "(all)", shown(before), shown(after)]);
    const columns = ["FIELD", ...versions.map((version) => `VERSION ${version}`)];
    const colourOf = (_: string, column: string): Colour | undefined =>
      column === columns[1] ? "red" : column === columns[2] ? "green" : undefined;
    await printTable(terminal, { columns, rows, colourOf });
  }
  return ExitCode.done;
}

/** Reads two versions such as `3..7`. */
function versionsOf(diff: string, latest: number, least: number): [number, number] {
  const [, from, to] = /^(\d+)\.\.(\d+)$/.exec(diff) ?? [];
  if (from === undefined || to === undefined) {
    throw new CommandFailure(
      `--diff must be two versions such as 3..7, and is "${printable(diff)}".`,
      ExitCode.misused,
    );
  }
  for (const version of [from, to]) {
    if (Number(version) < least) {
      throw new CommandFailure(`The actor has no event of version ${version}.`, ExitCode.found);
    }
    if (Number(version) > latest) throw notReached(version, latest);
  }
  return [Number(from), Number(to)];
}

function notReached(version: string, latest: number): CommandFailure {
  return new CommandFailure(
    `The actor has come to version ${latest}, and not to ${version}.`,
    ExitCode.found,
  );
}

/** The states at two versions, of which the later one may come first. */
async function statesAt(
  store: Histories,
  actorId: string,
  decider: string,
  versions: readonly [number, number],
  signal: AbortSignal,
): Promise<unknown[]> {
  const { foldIn } = await import("./fold.ts");
  const folded = await foldIn(store, actorId, decider, versions, signal);
  const states = new Map(folded.map(({ version, state }) => [version, state]));
  return versions.map((version) => states.get(version));
}

async function dataAt(store: Histories, actorId: string, version: number): Promise<unknown> {
  for await (const event of store.readEvents(actorId, { fromVersion: version, toVersion: version })) {
    return event.data;
  }
  throw new CommandFailure(`The actor has no event of version ${version}.`, ExitCode.found);
}

function shown(value: unknown): string {
  return value === undefined ? "" : JSON.stringify(value);
}

function indented(value: unknown): string {
  return printableLines(JSON.stringify(value, null, 2) ?? "undefined");
}
