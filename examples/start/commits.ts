/** Cuts a log into commits. */

import type { StoreLimits } from "@flowmade-one/aether/deno-kv";
import type { ImportedEvent } from "./event_log.ts";

/**
 * The longest commit that begins with a given event and is in the log in the order of time. Inside a commit events
 * are grouped by actor, so it ends before an actor comes back after another one; and it keeps the store's limits.
 *
 * @param events The log in the order of time.
 * @param begin The index of the commit's first event.
 * @returns At least one event.
 */
export function nextCommit(
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
