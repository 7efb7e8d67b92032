/**
 * Where in the log a snapshot was taken.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { StoredEvent } from "../event/types.ts";
import type { StorageBackend } from "./backend.ts";
import { HistoryTruncatedError } from "./errors.ts";
import type { Snapshot } from "./snapshot.ts";

/**
 * The position of the last event that is folded into a snapshot; undefined if retention has removed it.
 *
 * @throws {InvalidArgumentError} If the actor has not reached the version.
 */
export async function positionOf(
  { actorId, version }: Snapshot,
  backend: StorageBackend,
  signal: AbortSignal,
): Promise<string | undefined> {
  const at = await lastEvent(backend, actorId, version, version, signal);
  if (at) return at.position;
  const latest = await backend.getLatestVersion(actorId, signal);
  if (version > latest) {
    throw new InvalidArgumentError(
      "snapshot.version",
      `is ${version}, and actor ${JSON.stringify(actorId)} has only reached ${latest}`,
    );
  }
  // The version is in a gap.
  return (await lastEvent(backend, actorId, 1, version, signal))?.position;
}

/** The last of an actor's events in a range of versions; undefined if there is none, or it has expired. */
async function lastEvent(
  backend: StorageBackend,
  actorId: string,
  fromVersion: number,
  toVersion: number,
  signal: AbortSignal,
): Promise<StoredEvent | undefined> {
  const range = {
    fromVersion,
    toVersion,
    direction: "backward",
    limit: 1,
    onDamage: undefined,
    signal,
  } as const;
  try {
    for await (const [event] of backend.readHistory(actorId, range)) if (event) return event;
  } catch (error) {
    if (!(error instanceof HistoryTruncatedError)) throw error;
  }
  return undefined;
}
