/**
 * From events to state.
 *
 * @module
 */

import { isVersion } from "../event/draft.ts";
import { toTimestamp } from "../event/timestamp.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { telemetry } from "../telemetry.ts";
import { type Warn, warner, type Warning } from "../warning.ts";
import { checkView } from "./arguments.ts";
import type { View } from "./decider.ts";
import { DamagedHistoryError, HistoryTruncatedError } from "./errors.ts";
import type { Snapshot } from "./snapshot.ts";
import type { EventStore, ReadEventsOptions, SnapshotStore } from "./types.ts";

/** How far to replay. */
export interface ReplayOptions {
  /** Replays up to this version. @default {the latest} */
  readonly atVersion?: number;
  /** Replays up to the last event before the first one that is later than this. */
  readonly atTime?: Date | string;
  /** Ends the replay with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Takes warnings: a snapshot that is ignored. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

/**
 * An actor's state.
 *
 * @typeParam S The state.
 */
export interface Replayed<S> {
  /** The state after the last event that was replayed. */
  readonly state: S;
  /** The version of that event; 0 if there was none. Pass it to `append` as `expectedVersion`. */
  readonly version: number;
  /** How many events were folded; fewer than the version where a snapshot stood in for the first ones. */
  readonly events: number;
  /** The version of the snapshot that it began with; 0 if there was none. */
  readonly snapshotVersion: number;
}

/** A store that events can be replayed from; snapshots are used where it has them. */
export type ReplayStore<E extends Event> =
  & Pick<EventStore<E>, "readEvents" | "getLatestVersion">
  & Partial<SnapshotStore>;

const warnOnConsole = warner(undefined);

/**
 * Folds an actor's events into its state.
 *
 * @example
 * ```ts
 * import { type Event, InMemoryEventStore, replay } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * type Counted = Event<"Counted", { by: number }>;
 * await using store = new InMemoryEventStore<Counted>();
 * await store.append("counter-1", [{ eventType: "Counted", data: { by: 2 } }, { eventType: "Counted", data: { by: 3 } }], {
 *   expectedVersion: 0,
 * });
 * const sum = { initialState: () => 0, evolve: (state: number, event: Counted) => state + event.data.by };
 * assert.equal((await replay(store, "counter-1", sum)).state, 5);
 * assert.equal((await replay(store, "counter-1", sum, { atVersion: 1 })).state, 2);
 * ```
 *
 * @param store Where the events are.
 * @param actorId The actor.
 * @param view What to fold, and whether snapshots stand in for the first events.
 * @param options How far to replay.
 * @throws {DamagedHistoryError | HistoryTruncatedError} If a part of the history is damaged or gone, or a snapshot is
 * ahead of the history.
 * @throws {InvalidArgumentError} If the view cannot be folded with, or an option is out of range.
 */
export async function replay<S, E extends Event>(
  store: ReplayStore<E>,
  actorId: string,
  view: View<S, E>,
  options?: ReplayOptions,
): Promise<Replayed<S>> {
  checkView("view", view);
  const { atVersion, atTime, signal, onWarning } = readOptions(options, checkReplay);
  signal?.throwIfAborted();
  const warn = onWarning ? warner(onWarning) : warnOnConsole;
  const snapshot = atTime === undefined
    ? await usableSnapshot(store, actorId, view, atVersion, warn)
    : undefined;
  const hit = { "aether.snapshot.hit": snapshot !== undefined };
  if (view.snapshot) telemetry()?.count("aether.snapshot.lookups", 1, hit);
  const begin: Replayed<S> = snapshot
    ? { state: snapshot.state, version: snapshot.version, events: 0, snapshotVersion: snapshot.version }
    : { state: view.initialState(), version: 0, events: 0, snapshotVersion: 0 };
  const end: FoldEnd = { atVersion, atTime, signal };
  const replayed = snapshot
    ? await foldBehind(store, snapshot, view, begin, end)
    : atVersion === 0
    ? begin
    : await fold(store, actorId, view, begin, end);
  telemetry()?.record("aether.replay.events", replayed.events, hit);
  return replayed;
}

const REPLAY_OPTIONS: OptionNames<ReplayOptions> = {
  atVersion: true,
  atTime: true,
  signal: true,
  onWarning: true,
};

/** Returns the options with the time as it is compared. */
function checkReplay(options: ReplayOptions): ReplayOptions & { readonly atTime?: string } {
  checkKnown(options, REPLAY_OPTIONS);
  const { atVersion, atTime, signal, onWarning } = options;
  if (atVersion !== undefined && atVersion !== 0 && !isVersion(atVersion)) {
    throw new InvalidArgumentError("options.atVersion", "must be a version, or 0");
  }
  const latest = atTime === undefined ? undefined : toTimestamp(atTime);
  if (atTime !== undefined && latest === undefined) {
    throw new InvalidArgumentError("options.atTime", "must be a valid Date or RFC 3339 text");
  }
  checkSignal(signal);
  checkFunction("options.onWarning", onWarning);
  return {
    ...(atVersion !== undefined && { atVersion }),
    ...(latest !== undefined && { atTime: latest }),
    ...(signal && { signal }),
    ...(onWarning && { onWarning }),
  };
}

/** Folds what has come since an earlier replay. */
export function resume<S, E extends Event>(
  store: ReplayStore<E>,
  actorId: string,
  view: View<S, E>,
  from: Replayed<S>,
  signal: AbortSignal | undefined,
): Promise<Replayed<S>> {
  return fold(store, actorId, view, from, { signal });
}

/** Where a fold ends. */
interface FoldEnd {
  readonly atVersion?: number | undefined;
  readonly atTime?: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Folds events into a state.
 *
 * @param takeFirst Takes the first event at or behind the version that the fold begins with, and tells whether that is
 * folded in already. Without it, the read begins behind that version.
 */
async function fold<S, E extends Event>(
  store: ReplayStore<E>,
  actorId: string,
  view: View<S, E>,
  from: Replayed<S>,
  { atVersion, atTime, signal }: FoldEnd,
  takeFirst?: (event: StoredEvent<E>) => Promise<boolean>,
): Promise<Replayed<S>> {
  let { state, version, events } = from;
  let take = takeFirst;
  const read: ReadEventsOptions = {
    fromVersion: take ? version : version + 1,
    ...(atVersion === undefined ? {} : { toVersion: atVersion }),
    ...(signal && { signal }),
  };
  for await (const event of store.readEvents(actorId, read)) {
    if (atTime !== undefined && event.timestamp > atTime) break;
    if (take) {
      const isFolded = await take(event);
      take = undefined;
      if (isFolded) continue;
    }
    state = view.evolve(state, event as StoredEvent<E> & E);
    version = event.version;
    events++;
  }
  return { state, version, events, snapshotVersion: from.snapshotVersion };
}

/**
 * Folds what has come since a snapshot, once it is certain that the snapshot is of this history: the event that it was
 * taken of is read with those behind it.
 */
async function foldBehind<S, E extends Event>(
  store: ReplayStore<E>,
  snapshot: Snapshot,
  view: View<S, E>,
  from: Replayed<S>,
  end: FoldEnd,
): Promise<Replayed<S>> {
  const { actorId, version, position } = snapshot;
  if (position !== undefined) {
    let isTaken = false;
    const take = async (event: StoredEvent<E>): Promise<boolean> => {
      isTaken = true;
      const isOwn = event.version === version;
      const last = isOwn ? event.position : await positionAt(store, actorId, version);
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
  if (replayed.events === 0) await assertReached(store, actorId, snapshot);
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
async function usableSnapshot<S, E extends Event>(
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
