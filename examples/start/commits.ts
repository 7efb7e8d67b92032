/** Cuts a log into commits. */

import type { StoreLimits } from "@flowmade-one/aether/deno-kv";
import type { ImportedEvent } from "./event_log.ts";

/** How many commits are given to the store at once. */
const COMMITS_AT_ONCE = 32;

/** The next commits of a log, each of which leaves room for a condition on the one before. */
export function nextCommits(
  events: readonly ImportedEvent[],
  begin: number,
  limits: StoreLimits,
): (readonly ImportedEvent[])[] {
  const commits: (readonly ImportedEvent[])[] = [];
  while (begin < events.length && commits.length < COMMITS_AT_ONCE) {
    const commit = nextCommit(events, begin, { ...limits, actorsPerCommit: limits.actorsPerCommit - 1 });
    commits.push(commit);
    begin += commit.length;
  }
  return commits;
}

/**
 * The longest commit that begins with a given event and is in the log in the order of time. Inside a commit events
 * are grouped by actor, so it ends before an actor comes back after another one; and it keeps the store's limits.
 *
 * @param events The log in the order of time.
 * @param begin The index of the commit's first event.
 * @returns At least one event.
 */
function nextCommit(
  events: readonly ImportedEvent[],
  begin: number,
  limits: StoreLimits,
): readonly ImportedEvent[] {
  const actors = new Set<string>();
  let current: string | undefined;
  let bytes = 0;
  let end = begin;
  for (; end < events.length && end - begin < limits.eventsPerCommit; end++) {
    const { event, bytes: size } = events[end]!;
    if (event.actorId !== current) {
      if (actors.has(event.actorId) || actors.size === limits.actorsPerCommit) break;
      actors.add(current = event.actorId);
    }
    bytes += size;
    if (bytes > limits.bytesPerCommit && end > begin) break;
  }
  return events.slice(begin, end);
}
