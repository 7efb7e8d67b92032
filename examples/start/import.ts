/**
 * Imports an event log into a store: in the order of time, resumable, and only once.
 *
 * What is stored of a file is always a beginning of it in the order of time, however many importers work and whenever
 * they are killed: a commit is atomic, it is only tried once all before it is stored, and it carries versions, so that
 * it is refused where any of it is stored already. That beginning is all the state there is; another run finds it and
 * goes on behind it.
 */

import { type EventStore, VersionConflictError } from "@flowmade-one/aether";
import { nextCommit } from "./commits.ts";
import type { EventLog, ImportedEvent, LogEvent } from "./event_log.ts";
import { UserError } from "./rows.ts";

/** What an import did. */
export interface ImportResult {
  /** How many of the file's first events were stored before. */
  readonly found: number;
  /** How many are stored now: all, unless it was interrupted. */
  readonly stored: number;
}

/** How many cases are looked up at a time. */
const LOOKUPS = 16;

/**
 * Finds out how much of a log is stored already.
 *
 * @returns How many of its events in the order of time.
 * @throws {UserError} If something else is stored under one of its cases.
 */
export async function findStored(store: EventStore<LogEvent>, log: EventLog): Promise<number> {
  if (await store.getLastPosition() === undefined) return 0;
  const latest = new Map<string, number>();
  const waiting = log.cases.entries();
  await Promise.all(Array.from({ length: LOOKUPS }, async () => {
    for (const [actorId, history] of waiting) {
      const version = Math.min(await store.getLatestVersion(actorId), history.length);
      // An id vouches for all before it: the newest one is enough.
      if (version > 0) await assertStored(store, history[version - 1]!);
      latest.set(actorId, version);
    }
  }));
  const isStored = ({ event }: ImportedEvent): boolean => event.version <= latest.get(event.actorId)!;
  const end = log.events.findIndex((event) => !isStored(event));
  if (end < 0) return log.events.length;
  const beyond = log.events.slice(end).find(isStored);
  if (!beyond) return end;
  const missing = log.events[end]!;
  throw new UserError(
    `The event of line ${missing.line} ("${missing.event.actorId}", ${missing.event.timestamp}) is not stored, but the ` +
      `later one of line ${beyond.line} is: another file was imported here before, without that row. ` +
      `The log is append-only and kept in the order of time, so the row cannot be put in between. ${ELSEWHERE}`,
  );
}

const ELSEWHERE =
  "Import this file into another namespace (--namespace NAME) or another folder (--data DIR).";

/**
 * Saves what is not stored yet.
 *
 * @param found How many of the log's first events are stored.
 * @param onProgress Told how many are stored.
 * @param signal Ends the import after the commit under way.
 * @throws {UserError} If another writer stores something else under one of the cases.
 */
export async function saveLog(
  store: EventStore<LogEvent>,
  log: EventLog,
  found: number,
  onProgress: (stored: number) => void,
  signal: AbortSignal,
): Promise<ImportResult> {
  let stored = found;
  while (stored < log.events.length && !signal.aborted) {
    const commit = nextCommit(log.events, stored, store.limits);
    try {
      // One after the other: commits that are under way together may be stored in another order.
      await store.saveEvents(commit.map(({ event }) => event));
      stored += commit.length;
    } catch (error) {
      if (!(error instanceof VersionConflictError)) throw error;
      stored += await countStored(store, commit);
    }
    onProgress(stored);
  }
  return { found, stored };
}

/**
 * How many of a refused commit's first events another importer of the same file has stored meanwhile.
 *
 * @throws {UserError} If it was another file, or none of them is stored.
 */
async function countStored(store: EventStore<LogEvent>, commit: readonly ImportedEvent[]): Promise<number> {
  let count = 0;
  for (const imported of commit) {
    if (await store.getLatestVersion(imported.event.actorId) < imported.event.version) break;
    await assertStored(store, imported);
    count++;
  }
  if (count > 0) return count;
  throw new UserError(
    `Another program writes to the cases of this file: "${
      commit[0]!.event.actorId
    }" was refused. ${ELSEWHERE}`,
  );
}

async function assertStored(store: EventStore<LogEvent>, { line, event }: ImportedEvent): Promise<void> {
  const { actorId, version } = event;
  for await (const { id } of store.readEvents(actorId, { fromVersion: version, toVersion: version })) {
    if (id === event.id) return;
  }
  throw new UserError(
    `The store holds other events of case "${actorId}": version ${version} is not the event of line ${line}, or what ` +
      `came before it is not. Either another file was imported here, or this one has changed. ${ELSEWHERE}`,
  );
}
