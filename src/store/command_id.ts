/**
 * Commands that carry an id: their events are found again, so that a repetition stores nothing.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { nameFault } from "../text.ts";
import type { Event, NewEvent, StoredEvent } from "../event/types.ts";
import { HistoryTruncatedError } from "./errors.ts";
import type { Replayed } from "./fold.ts";
import type { ReadEventsOptions } from "./types.ts";

/** How many of an actor's latest events are searched for a command, unless the caller gives another number. */
export const COMMAND_HISTORY = 1_000;
/** What an event's id has room for, with a number behind it and, if it is one of several actors, a name. */
const MAX_COMMAND_ID_BYTES = 128;

/** Where a search reads. */
interface SearchedStore {
  readEvents(actorId: string, options?: ReadEventsOptions): AsyncIterable<StoredEvent>;
}

/** The ids of the commands of timers begin with it. */
export const TIMER_PREFIX = "timer/";

/** Refuses what cannot be the id of a caller's command: a caller could keep a timer from firing by its id. */
export function checkCommandId(commandId: unknown, argument = "options.commandId"): void {
  const fault = commandIdFault(commandId) ??
    ((commandId as string).startsWith(TIMER_PREFIX) ? `must not begin with "${TIMER_PREFIX}"` : undefined);
  if (fault) throw new InvalidArgumentError(argument, fault);
}

/** Returns why something cannot be the id of any command, or `undefined` if it can. */
export function commandIdFault(commandId: unknown): string | undefined {
  return nameFault(commandId, MAX_COMMAND_ID_BYTES);
}

/** The id of a command's first event. */
export function firstEventId(commandId: string): string {
  return eventId(commandId, 1);
}

/** The id of a command's event. */
export function eventId(commandId: string, number: number): string {
  return `${commandId}/${number}`;
}

/**
 * Gives the events of a command their ids.
 *
 * @throws {InvalidArgumentError} If an event has an id of its own.
 */
export function withCommandId<E extends Event>(
  events: readonly NewEvent<E>[],
  commandId: string,
): readonly NewEvent<E>[] {
  return Array.from(events, (event, index) => {
    if (typeof event !== "object" || event === null) return event; // append refuses it
    if (event.id !== undefined) {
      throw new InvalidArgumentError(
        "decider.decide",
        "gave an event an id, which options.commandId derives: leave one of them out",
      );
    }
    return { ...event, id: eventId(commandId, index + 1) };
  });
}

/** Looks for the events of a command in the history of an actor. */
export class CommandSearch {
  readonly #store: SearchedStore;
  readonly #actorId: string;
  readonly #commandId: string;
  readonly #firstId: string;
  #first: StoredEvent | undefined;

  /** Searches nothing yet. */
  constructor(store: SearchedStore, actorId: string, commandId: string) {
    this.#store = store;
    this.#actorId = actorId;
    this.#commandId = commandId;
    this.#firstId = firstEventId(commandId);
  }

  /** Looks at an event that is read anyway. */
  readonly onEvent = (event: StoredEvent): void => {
    if (event.id === this.#firstId) this.#first = event;
  };

  /** Looks at the events that a snapshot replaced, the latest first. */
  async before({ events, snapshotVersion }: Replayed<unknown>, most: number): Promise<void> {
    const limit = most - events;
    if (this.#first || snapshotVersion === 0 || limit <= 0) return;
    const read = { toVersion: snapshotVersion, direction: "backward", limit } as const;
    try {
      for await (const event of this.#store.readEvents(this.#actorId, read)) {
        this.onEvent(event);
        if (this.#first) return;
      }
    } catch (error) {
      if (!(error instanceof HistoryTruncatedError)) throw error; // else there is no more to search
    }
  }

  /** The command's events, if it was found. */
  async found(): Promise<readonly StoredEvent[] | undefined> {
    if (!this.#first) return undefined;
    const events: StoredEvent[] = [];
    for await (const event of this.#store.readEvents(this.#actorId, { fromVersion: this.#first.version })) {
      if (event.id !== eventId(this.#commandId, events.length + 1)) break;
      events.push(event);
    }
    return events;
  }
}
