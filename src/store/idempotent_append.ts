/**
 * What a conflict means: another writer's events, or the caller's own from an earlier attempt.
 *
 * @module
 */

import type { Draft } from "../event/draft.ts";
import { sameJson } from "../event/json.ts";
import type { StoredEvent } from "../event/types.ts";
import type { StorageBackend } from "./backend.ts";
import type { Commit } from "./commit.ts";
import { FencedError, VersionConflictError } from "./errors.ts";

/**
 * Looks behind a refused commit: the stored events where it repeats an append that had succeeded, else the error, which
 * then reports whether the very same event is stored.
 *
 * @param error What the backend threw.
 * @returns The stored events of the earlier attempt.
 * @throws The error, if it is not a repetition.
 */
export async function explainConflict(
  commit: Commit,
  error: unknown,
  backend: StorageBackend,
): Promise<readonly StoredEvent[]> {
  if (error instanceof VersionConflictError || error instanceof FencedError) {
    const repeated = await findRepetition(commit, backend);
    if (repeated) return repeated;
  }
  if (!(error instanceof VersionConflictError)) throw error;
  const { actorId, attemptedVersion, currentVersion } = error;
  const part = commit.parts.find((candidate) => candidate.actorId === actorId);
  const draft = part?.drafts.find(({ event }) => event.version === attemptedVersion) ?? part?.drafts[0];
  if (!draft || attemptedVersion > currentVersion || part?.expected !== "given") throw error;
  const [stored] = await firstEvents(backend, actorId, attemptedVersion, 1);
  const sameEvent = stored?.version === attemptedVersion && isSameEvent(stored, draft);
  throw sameEvent
    ? new VersionConflictError({ actorId, attemptedVersion, currentVersion, sameEvent })
    : error;
}

/** The events that an earlier, equal append stored. */
async function findRepetition(commit: Commit, backend: StorageBackend): Promise<StoredEvent[] | undefined> {
  const [part] = commit.parts;
  const expected = part?.expected;
  if (!part || commit.parts.length > 1 || typeof expected !== "number") return undefined;
  if (!part.drafts.every((draft) => draft.givenId)) return undefined;
  const stored = await firstEvents(backend, part.actorId, expected + 1, part.drafts.length);
  const same = stored.length === part.drafts.length &&
    part.drafts.every((draft, index) =>
      stored[index]!.version === expected + 1 + index && isSameEvent(stored[index]!, draft)
    );
  return same ? stored : undefined;
}

/** The first events from a version on; none if they cannot be read. */
async function firstEvents(
  backend: StorageBackend,
  actorId: string,
  fromVersion: number,
  count: number,
): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  const read = {
    fromVersion,
    toVersion: Number.MAX_SAFE_INTEGER,
    direction: "forward",
    limit: count,
    onDamage: () => {},
  } as const;
  for await (const batch of backend.readHistory(actorId, read)) {
    events.push(...batch);
    if (events.length >= count) break;
  }
  return events.slice(0, count);
}

/** Whether a stored event is the one that was to be stored; timestamps and metadata do not count. */
function isSameEvent(stored: StoredEvent, draft: Draft): boolean {
  const { id, eventType, data } = draft.event;
  return stored.id === id && stored.eventType === eventType && sameJson(stored.data, data);
}
