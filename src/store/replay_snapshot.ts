/**
 * Snapshots as the beginning of a replay: which one can be used, and whether it is of this history.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import type { Warn } from "../warning.ts";
import type { View } from "./decider.ts";
import { DamagedHistoryError, HistoryTruncatedError } from "./errors.ts";
import { fold, type FoldEnd, type Replayed, type ReplayStore } from "./fold.ts";
import type { Snapshot } from "./snapshot.ts";

/**
 * Folds what has come since a snapshot, once it is certain that the snapshot is of this history: the event that it was
 * taken of is read with those behind it.
 */
export async function foldBehind<S, E extends Event>(
  store: ReplayStore<E>,
  snapshot: Snapshot,
  view: View<S, E>,
  from: Replayed<S>,
  end: FoldEnd,
): Promise<Replayed<S>> {
  const { actorId, version, position } = snapshot;
  if (position !== undefined) {
    let isTaken = false;
    const take = async (event: StoredEvent): Promise<boolean> => {
      isTaken = true;
      const isOwn = event.version === version;
      const last = isOwn ? event.position : await abortable(positionAt(store, actorId, version), end.signal);
      if (last !== undefined && last !== position) throw diverged(snapshot);
      return isOwn;
    };
    try {
      const replayed = await fold(store, actorId, view, from, end, take);
      if (isTaken) return replayed;
    } catch (error) {
      // The event of the snapshot has expired, or cannot be read: what came behind it can perhaps.
      const isFault = error instanceof HistoryTruncatedError || error instanceof DamagedHistoryError;
      if (isTaken || !isFault) throw error;
    }
  }
  const replayed = end.atVersion === version ? from : await fold(store, actorId, view, from, end);
  if (replayed.events === 0) await abortable(assertReached(store, actorId, snapshot), end.signal);
  return replayed;
}

/** The position of an actor's last event up to a version; undefined if it has expired. */
async function positionAt<E extends Event>(
  store: ReplayStore<E>,
  actorId: string,
  toVersion: number,
): Promise<string | undefined> {
  try {
    const read = store.readEvents(actorId, { toVersion, direction: "backward", limit: 1 });
    for await (const { position } of read) return position;
  } catch (error) {
    if (!(error instanceof HistoryTruncatedError)) throw error;
  }
  return undefined;
}

function diverged({ actorId, kind, version, position }: Snapshot): DamagedHistoryError {
  return new DamagedHistoryError(
    `the snapshot "${kind}" was taken of another event at version ${version}: the log was restored to an earlier state ` +
      "and has grown again. Raise schemaVersion to take new snapshots",
    { actorId, version, position },
  );
}

/** The snapshot to begin with: of the view's own shape, and not beyond where the replay is to stop. */
export async function usableSnapshot<S, E extends Event>(
  store: ReplayStore<E>,
  actorId: string,
  view: View<S, E>,
  atVersion: number | undefined,
  warn: Warn,
): Promise<Snapshot<S> | undefined> {
  if (!view.snapshot || !store.getLatestSnapshot) return undefined;
  const snapshot = await store.getLatestSnapshot<S>(actorId, view.snapshot.kind);
  if (!snapshot) return undefined;
  if (snapshot.schemaVersion !== view.snapshot.schemaVersion) {
    warn({
      code: "snapshot-ignored",
      message:
        `the snapshot "${snapshot.kind}" of "${actorId}" has schema version ${snapshot.schemaVersion}, not ` +
        `${view.snapshot.schemaVersion}: the whole history is replayed`,
    });
    return undefined;
  }
  return atVersion !== undefined && snapshot.version > atVersion ? undefined : snapshot;
}

/** A snapshot is taken of events that are stored: if the history ends before it, its tail is lost. */
async function assertReached<E extends Event>(
  store: ReplayStore<E>,
  actorId: string,
  snapshot: Snapshot,
): Promise<void> {
  const latest = await store.getLatestVersion(actorId);
  if (latest >= snapshot.version) return;
  throw new DamagedHistoryError(
    `it ends at version ${latest}, and a snapshot was taken of version ${snapshot.version}`,
    {
      actorId,
      version: latest + 1,
    },
  );
}
