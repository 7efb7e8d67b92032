/**
 * Reads of the global log up to its present end, in either direction.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import type { StorageBackend } from "./backend.ts";
import { passing } from "./buffered_iteration.ts";
import { underName } from "./operation.ts";
import type { CheckedLogRead } from "./read_options.ts";

/** The log from a place on, as a read chose it. */
export async function* readForward(
  backend: StorageBackend,
  { after, until, filter, chosen, limit, onDamage }: CheckedLogRead,
  signal: AbortSignal,
): AsyncIterable<readonly StoredEvent[]> {
  if (until !== undefined) await underName("readAll", () => backend.checkPosition(until, signal));
  const read = { after, filter, limit, onDamage: passing(onDamage), signal };
  for await (const { events, position } of backend.readLog(read)) {
    const within = until === undefined ? events : events.filter((event) => event.position <= until);
    yield chosen ? within.filter(chosen) : within;
    if (until !== undefined && position >= until) return;
  }
}

/** The log back from its end, or from a place, as a read chose it. */
export async function* readBackward(
  backend: StorageBackend,
  { after, until, chosen, limit, onDamage }: CheckedLogRead,
  signal: AbortSignal,
): AsyncIterable<readonly StoredEvent[]> {
  if (after === "end") return;
  const end = after === "start" || after === "first-kept" ? undefined : after;
  for (const position of [end, until]) {
    if (position !== undefined) await underName("readAll", () => backend.checkPosition(position, signal));
  }
  const toFirstKept = after === "first-kept";
  const read = { from: until, limit, toFirstKept, onDamage: passing(onDamage), signal };
  for await (const events of backend.readLogBackward(read)) {
    const within = end === undefined ? events : events.filter((event) => event.position > end);
    yield chosen ? within.filter(chosen) : within;
    if (within.length < events.length) return;
  }
}
