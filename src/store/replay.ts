/**
 * From events to state.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { isVersion } from "../event/draft.ts";
import { describe } from "../text.ts";
import { toTimestamp } from "../event/timestamp.ts";
import type { Event, NewEvent, StoredEvent } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { telemetry } from "../telemetry.ts";
import { type Warn, warner, type Warning } from "../warning.ts";
import { takeBuffered } from "./buffered_iteration.ts";
import { checkView } from "./check_options.ts";
import type { View } from "./decider.ts";
import { DamagedHistoryError, HistoryTruncatedError } from "./errors.ts";
import type { Snapshot } from "./snapshot.ts";
import type { AppendOptions, ReadEventsOptions, SnapshotStore } from "./types.ts";

/**
 * How far to replay.
 *
 * @category Deciders
 */
export interface ReplayOptions {
  /** Replays up to this version, which the actor must have reached. @default {the latest} */
  readonly atVersion?: number;
  /**
   * Replays up to the last event before the first one that is later than this: a `Date`, an RFC 3339 time, or a plain
   * date such as `"2026-01-31"`, which is the beginning of that day in UTC.
   */
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
 *
 * @category Deciders
 */
export interface Replayed<S> {
  /** The state after the last event that was replayed. */
  readonly state: S;
  /** The version of that event; 0 if there was none. Pass it to `append` as `expectedVersion`. */
  readonly version: number;
  /** How many events were folded; fewer than the version where a snapshot replaced the first ones. */
  readonly events: number;
  /** The version of the snapshot that it began with; 0 if there was none. */
  readonly snapshotVersion: number;
}

/**
 * A store that events can be replayed from; snapshots are used where it has them. It may hold more kinds of events than
 * the view's: `append` only shows the compiler that it holds these.
 *
 * @typeParam E The union of the view's events.
 */
export interface ReplayStore<E extends Event> extends Partial<SnapshotStore> {
  /** An actor's events in order. */
  readEvents(actorId: string, options?: ReadEventsOptions): AsyncIterable<StoredEvent>;
  /** The version of an actor's latest event, 0 without one. */
  getLatestVersion(actorId: string): Promise<number>;
  /** Takes the view's events; a view of any events requires nothing. */
  readonly append?: (
    actorId: string,
    events: readonly (string extends E["eventType"] ? never : NewEvent<E>)[],
    options: AppendOptions,
  ) => Promise<readonly StoredEvent[]>;
}

/**
 * A store of these events: where the compiler learns them, if a view does not name its own.
 *
 * @typeParam Stored The union of the events that the store holds.
 */
export interface HistoryStore<Stored extends Event> {
  /** An actor's events in order. */
  readEvents(actorId: string, options?: ReadEventsOptions): AsyncIterable<StoredEvent<Stored>>;
}

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
 * @throws {InvalidArgumentError} If the view cannot be folded with, an option is out of range, or the actor has not
 * reached `atVersion`.
 *
 * @category Deciders
 */
export async function replay<S, Stored extends Event, E extends Event = Stored>(
  store: HistoryStore<Stored> & ReplayStore<E>,
  actorId: string,
  view: View<S, E>,
  options?: ReplayOptions,
): Promise<Replayed<S>> {
  checkView("view", view);
  return await replayWith(store, actorId, view, readOptions(options, checkReplay), undefined);
}

/**
 * Folds an actor's events into its state, under options that are checked.
 *
 * @param onEvent Is called with each event that is folded.
 */
export async function replayWith<S, E extends Event>(
  store: ReplayStore<E>,
  actorId: string,
  view: View<S, E>,
  { atVersion, atTime, signal, onWarning }: ReplayOptions & { readonly atTime?: string },
  onEvent: ((event: StoredEvent) => void) | undefined,
): Promise<Replayed<S>> {
  signal?.throwIfAborted();
  const warn = onWarning ? warner(onWarning) : warnOnConsole;
  const snapshot = atTime === undefined
    ? await abortable(usableSnapshot(store, actorId, view, atVersion, warn), signal)
    : undefined;
  const hit = { "aether.snapshot.hit": snapshot !== undefined };
  if (view.snapshot) telemetry()?.count("aether.snapshot.lookups", 1, hit);
  const begin: Replayed<S> = snapshot
    ? { state: snapshot.state, version: snapshot.version, events: 0, snapshotVersion: snapshot.version }
    : { state: view.initialState(), version: 0, events: 0, snapshotVersion: 0 };
  const end: FoldEnd = { atVersion, atTime, signal, onEvent };
  const replayed = snapshot
    ? await foldBehind(store, snapshot, view, begin, end)
    : atVersion === 0
    ? begin
    : await fold(store, actorId, view, begin, end);
  telemetry()?.record("aether.replay.events", replayed.events, hit);
  if (atVersion !== undefined && replayed.version < atVersion && atTime === undefined) {
    const latest = await abortable(store.getLatestVersion(actorId), signal);
    if (latest < atVersion) {
      throw new InvalidArgumentError(
        "options.atVersion",
        `is ${atVersion}, and actor "${actorId}" has only reached version ${latest}`,
      );
    }
  }
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
    throw new InvalidArgumentError(
      "options.atVersion",
      `must be a version, or 0, and is ${describe(atVersion)}`,
    );
  }
  const latest = atTime === undefined ? undefined : toTime(atTime);
  if (atTime !== undefined && latest === undefined) {
    throw new InvalidArgumentError(
      "options.atTime",
      `must be a valid Date, an RFC 3339 time or a date such as "2026-01-31", and is ${describe(atTime)}`,
    );
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

/** A time as events carry it; a plain date is the beginning of that day in UTC. */
function toTime(time: Date | string): string | undefined {
  return toTimestamp(typeof time === "string" && PLAIN_DATE.test(time) ? `${time}T00:00:00Z` : time);
}

const PLAIN_DATE = /^\d{4}-\d{2}-\d{2}$/;

/** Folds what has come since an earlier replay. */
export function resume<S, E extends Event>(
  store: ReplayStore<E>,
  actorId: string,
  view: View<S, E>,
  from: Replayed<S>,
  end: Pick<FoldEnd, "signal" | "onEvent">,
): Promise<Replayed<S>> {
  return fold(store, actorId, view, from, end);
}

/** Where a fold ends. */
interface FoldEnd {
  readonly atVersion?: number | undefined;
  readonly atTime?: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: ((event: StoredEvent) => void) | undefined;
}

/**
 * Folds events into a state.
 *
 * @param takeFirst Takes the first event at or behind the version that the fold begins with, and returns whether that is
 * folded in already. Without it, the read begins behind that version.
 */
async function fold<S, E extends Event>(
  store: ReplayStore<E>,
  actorId: string,
  view: View<S, E>,
  from: Replayed<S>,
  { atVersion, atTime, signal, onEvent }: FoldEnd,
  takeFirst?: (event: StoredEvent) => Promise<boolean>,
): Promise<Replayed<S>> {
  let { state, version, events } = from;
  let take = takeFirst;
  const read: ReadEventsOptions = {
    fromVersion: take ? version : version + 1,
    ...(atVersion === undefined ? {} : { toVersion: atVersion }),
    ...(signal && { signal }),
  };
  const iterator = store.readEvents(actorId, read)[Symbol.asyncIterator]();
  const takeNext = takeBuffered(iterator);
  try {
    reading: for (;;) {
      const result = await iterator.next();
      if (result.done) break;
      // Events that were read together are folded without waiting: a promise an event costs more than most folds.
      for (let event: StoredEvent | undefined = result.value; event; event = takeNext()) {
        if (atTime !== undefined && event.timestamp > atTime) break reading;
        if (take) {
          const isFolded = await take(event);
          take = undefined;
          if (isFolded) continue;
        }
        onEvent?.(event);
        state = view.evolve(state, event as unknown as E);
        version = event.version;
        events++;
      }
    }
  } finally {
    await iterator.return?.();
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
