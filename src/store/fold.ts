/**
 * Folding the events of an actor into its state.
 *
 * @module
 */

import type { Event, NewEvent, StoredEvent } from "../event/types.ts";
import { takeBuffered } from "./buffered_iteration.ts";
import type { View } from "./decider.ts";
import type { AppendOptions, ReadEventsOptions, SnapshotStore } from "./types.ts";

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

/** Where a fold ends. */
export interface FoldEnd {
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
export async function fold<S, E extends Event>(
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
        state = view.evolve(state, event as Event as E);
        version = event.version;
        events++;
      }
    }
  } finally {
    await iterator.return?.();
  }
  return { state, version, events, snapshotVersion: from.snapshotVersion };
}
