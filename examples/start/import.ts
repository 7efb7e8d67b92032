/**
 * Imports an event log into a store: in the order of time, resumable, and only once.
 *
 * What is stored of a file is always a beginning of it in the order of time, however many importers work and whenever
 * they are killed: a commit is atomic, it is refused unless all before it is stored, and it carries versions, so that
 * it is refused where any of it is stored already. That beginning is all the state there is; another run finds it and
 * goes on behind it.
 */

import { type EventStore, VersionConflictError } from "@flowmade-one/aether/deno-kv";
import { nextCommits } from "./commits.ts";
import type { EventLog, ImportedEvent } from "./event_log.ts";
import type { LogEvent } from "./row_events.ts";
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

const NOTHING_IMPORTED = "Nothing was imported.";
const STOPPED = "The import stopped there.";

/**
 * Finds out how much of a log is stored already.
 *
 * @returns How many of its events in the order of time.
 * @throws {UserError} If something else is stored under one of its cases.
 */
export async function findStored(store: EventStore<LogEvent>, log: EventLog): Promise<number> {
  if (await store.getLastPosition() === undefined) return 0;
  const latest = new Map<string, number>();
  const lookUp = async (actorId: string): Promise<void> => {
    const history = log.cases.get(actorId)!;
    const version = Math.min(await store.getLatestVersion(actorId), history.length);
    // An id vouches for all before it: the newest one is enough.
    if (version > 0) await assertStored(store, history[version - 1]!, NOTHING_IMPORTED);
    latest.set(actorId, version);
  };
  const waiting = log.cases.keys();
  await Promise.all(Array.from({ length: LOOKUPS }, async () => {
    for (const actorId of waiting) await lookUp(actorId);
  }));

  const isStored = ({ event }: ImportedEvent): boolean => event.version <= latest.get(event.actorId)!;
  let end = 0;
  for (; end < log.events.length; end++) {
    if (isStored(log.events[end]!)) continue;
    // Another importer may have stored it since its case was looked up.
    await lookUp(log.events[end]!.event.actorId);
    if (!isStored(log.events[end]!)) break;
  }
  const missing = log.events[end];
  const beyond = log.events.slice(end).find(isStored);
  if (!missing || !beyond) return end;
  const { actorId, timestamp } = missing.event;
  throw new UserError(
    `The event of line ${missing.line} ("${actorId}", ${timestamp}) is not stored, but the later one of line ` +
      `${beyond.line} is: another file was imported here before, without that row. The log is append-only and kept ` +
      `in the order of time, so the row cannot be put in between. ${NOTHING_IMPORTED} ${ELSEWHERE}`,
  );
}

const ELSEWHERE =
  "Import this file into another namespace (--namespace NAME) or another folder (--data DIR).";

/**
 * Saves what is not stored yet.
 *
 * @param found How many of the log's first events are stored.
 * @param onProgress Called with how many are stored.
 * @param signal Ends the import after the commits under way.
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
    const commits = nextCommits(log.events, stored, store.limits);
    const results = await Promise.allSettled(commits.map((commit, index) => {
      // Each depends on the one before: the store keeps their order, and refuses what is behind a commit that it refuses.
      const behind = commits[index - 1]?.at(-1)?.event;
      const conditions = behind ? [{ actorId: behind.actorId, version: behind.version }] : [];
      return store.saveEvents(commit.map(({ event }) => event), { conditions });
    }));
    for (const [index, result] of results.entries()) {
      const commit = commits[index]!;
      if (result.status === "fulfilled") {
        stored += commit.length;
        continue;
      }
      if (!(result.reason instanceof VersionConflictError)) throw result.reason;
      stored += await countStored(store, commit, result.reason);
      break;
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
async function countStored(
  store: EventStore<LogEvent>,
  commit: readonly ImportedEvent[],
  conflict: VersionConflictError,
): Promise<number> {
  let count = 0;
  for (const imported of commit) {
    if (await store.getLatestVersion(imported.event.actorId) < imported.event.version) break;
    await assertStored(store, imported, STOPPED);
    count++;
  }
  if (count > 0) return count;
  throw new UserError(
    `Another program writes to case "${conflict.actorId}", which is in this file too. ${STOPPED} ${ELSEWHERE}`,
  );
}

async function assertStored(
  store: EventStore<LogEvent>,
  { line, event }: ImportedEvent,
  consequence: string,
): Promise<void> {
  const { actorId, version } = event;
  for await (const { id } of store.readEvents(actorId, { fromVersion: version, toVersion: version })) {
    if (id === event.id) return;
  }
  throw new UserError(
    `The store holds other events of case "${actorId}": version ${version} is not the event of line ${line}, or what ` +
      `came before it is not. Either another file was imported here, or this one has changed since. ` +
      `${consequence} ${ELSEWHERE}`,
  );
}
