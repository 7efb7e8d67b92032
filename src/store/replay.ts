/**
 * From events to state.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { isVersion } from "../event/draft.ts";
import { describe } from "../text.ts";
import { thawJson } from "../event/json.ts";
import { toTimestamp } from "../event/timestamp.ts";
import type { Event, StoredEvent } from "../event/types.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkFunction, checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { telemetry } from "../telemetry.ts";
import { warner, type Warning } from "../warning.ts";
import { checkView } from "./check_options.ts";
import type { View } from "./decider.ts";
import { fold, type FoldEnd, type Replayed, type ReplayStore } from "./fold.ts";
import { foldBehind, usableSnapshot } from "./replay_snapshot.ts";
import type { ReadEventsOptions } from "./types.ts";

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
    // A copy, like the state without the snapshot: `evolve` works on it alone.
    ? {
      state: thawJson(snapshot.state),
      version: snapshot.version,
      events: 0,
      snapshotVersion: snapshot.version,
    }
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
