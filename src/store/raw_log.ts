/**
 * A store's global log as it is stored: for what carries events from one store to another.
 *
 * @module
 */

import { sharedByCopies } from "../copies.ts";
import type { StoredEvent } from "../event/types.ts";
import { DamagedHistoryError, type HistoryFault, HistoryTruncatedError } from "./errors.ts";
import type { LogBatch } from "./backend.ts";
import type { EventStore, LogStart } from "./types.ts";

/** Reads and saves past the registered schemas: events keep the schema versions that they were stored under. */
export interface RawLog {
  /** The global log after a place, up to its present end. Damage is thrown, unless a function takes it. */
  read(
    after: LogStart,
    signal: AbortSignal | undefined,
    onDamage?: (fault: HistoryFault) => void,
  ): AsyncIterable<StoredEvent>;
  /** Saves events of another store in one commit, as they are. */
  save(events: readonly StoredEvent[], signal: AbortSignal | undefined): Promise<readonly StoredEvent[]>;
  /** Checks a position. @throws {InvalidPositionError} If it is none of this log, or one that it has not reached. */
  checkPosition(position: string): Promise<void>;
}

const offered = sharedByCopies("raw-logs/1", () => new WeakMap<object, RawLog>());

/** Offers a store's raw log to the rest of the library, and to no other code. */
export function offerRawLog(store: object, log: RawLog): void {
  offered.set(store, log);
}

/** The raw log of a store; of one that is not ours, what its contract has: events at their registered versions. */
export function rawLogOf(store: EventStore): RawLog {
  return offered.get(store) ?? {
    read: (after, signal, onDamage) =>
      store.readAll({ after, ...(signal && { signal }), ...(onDamage && { onDamage }) }),
    save: (events, signal) => store.saveEvents(events, signal && { signal }),
    checkPosition: async (position) => {
      try {
        for await (const _ of store.readAll({ after: position, limit: 1 })) break;
      } catch (error) {
        // What is wrong with the events behind a position is not wrong with the position.
        if (!(error instanceof DamagedHistoryError || error instanceof HistoryTruncatedError)) throw error;
      }
    },
  };
}

/** The events of a log's batches. */
export async function* eventsOf(batches: AsyncIterable<LogBatch>): AsyncIterable<readonly StoredEvent[]> {
  for await (const { events } of batches) yield events;
}
