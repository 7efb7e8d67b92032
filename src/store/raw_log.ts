/**
 * A store's global log as it is stored: for what carries events from one store to another.
 *
 * @module
 */

import { sharedByCopies } from "../copies.ts";
import type { StoredEvent } from "../event/types.ts";
import { DamagedHistoryError, type HistoryFault, HistoryTruncatedError } from "./errors.ts";
import type { ActorToken, LogBatch, LogPart, LogRead } from "./backend.ts";
import type { EventStore, LogStart } from "./types.ts";

/** Reads and saves past the registered schemas: events keep the schema versions that they were stored under. */
export interface RawLog {
  /** The global log after a place, up to its present end. Damage is thrown, unless a function takes it. */
  read(
    after: LogStart,
    signal: AbortSignal | undefined,
    onDamage?: (fault: HistoryFault) => void,
  ): AsyncIterable<StoredEvent>;
  /** The same log by commits: parts with the same commit id follow one another. */
  readParts(after: LogStart, signal: AbortSignal | undefined): AsyncIterable<readonly LogPart[]>;
  /** The newest tokens of actors that the parts of the log do not show. */
  listTokens(signal: AbortSignal | undefined): AsyncIterable<ActorToken>;
  /**
   * Saves events of another store in one commit, as they are.
   *
   * @param tokens The newest tokens of their actors. With it, the tokens that the target has do not count.
   * @param behind The event that they depend on: the last one of a save that may still be under way.
   */
  save(
    events: readonly StoredEvent[],
    signal: AbortSignal | undefined,
    tokens?: ReadonlyMap<string, number>,
    behind?: StoredEvent,
  ): Promise<readonly StoredEvent[]>;
  /** How many saves may be under way at once, if each depends on the one before. */
  readonly maxSavesInOrder: number;
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
    readParts: (after, signal) => eachAlone(store.readAll({ after, ...(signal && { signal }) })),
    async *listTokens(): AsyncGenerator<never> {},
    save: (events, signal, tokens) =>
      store.saveEvents(events, { ...(signal && { signal }), unfenced: tokens !== undefined }),
    maxSavesInOrder: 1,
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

/** The parts of a log's batches, which the read hands over as it goes on. */
export async function* partsOf(
  begin: (onPart: NonNullable<LogRead["onPart"]>) => AsyncIterable<LogBatch>,
): AsyncIterable<readonly LogPart[]> {
  let parts: LogPart[] = [];
  for await (const { events } of begin((part) => parts.push(part))) {
    yield parts.length > 0 ? parts : events.map(alone);
    parts = [];
  }
  if (parts.length > 0) yield parts;
}

async function* eachAlone(events: AsyncIterable<StoredEvent>): AsyncIterable<readonly LogPart[]> {
  for await (const event of events) yield [alone(event)];
}

/** An event as a commit of its own. */
function alone(event: StoredEvent): LogPart {
  return { commitId: event.position, actorId: event.actorId, fence: 0, events: [event] };
}
