/**
 * Snapshots of an actor in memory.
 *
 * @module
 */

import { keepSnapshot, saveSnapshot, SNAPSHOT_EVERY } from "../store/execute.ts";
import type { Replayed } from "../store/fold.ts";
import type { Warn } from "../warning.ts";
import type { CommandIds } from "./command_ids.ts";
import type { AnyDecider, AnyStore } from "./untyped.ts";

/** Whether enough has come since the last snapshot. */
export function isSnapshotDue(
  { snapshot }: AnyDecider,
  { version, snapshotVersion }: Replayed<unknown>,
  every = snapshot?.every ?? SNAPSHOT_EVERY,
): boolean {
  return snapshot !== undefined && version - snapshotVersion >= every;
}

/** How many events must have come since the last snapshot when an actor is released, so that another one pays. */
export function eventsAtRelease({ snapshot }: AnyDecider): number {
  return Math.ceil((snapshot?.every ?? SNAPSHOT_EVERY) / 2);
}

/**
 * Keeps a snapshot of a state if enough has come since the last one, and with it the ids of the latest commands.
 *
 * @returns Whether that of the state was kept.
 */
export async function keepSnapshots(
  { store, warn }: { readonly store: AnyStore; readonly warn: Warn },
  actorId: string,
  decider: AnyDecider,
  current: Replayed<unknown>,
  commandIds: CommandIds,
  every?: number,
): Promise<boolean> {
  if (!isSnapshotDue(decider, current, every)) return false;
  const { version, state, snapshotVersion: since } = current;
  const ids = commandIds.snapshotAt(version);
  const [isKept] = await Promise.all([
    keepSnapshot(store, decider, { actorId, version, state, since, every }, warn),
    ids && saveSnapshot(store, ids, warn),
  ]);
  return isKept;
}
