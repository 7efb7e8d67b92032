/**
 * Reads of the global log for people. If one actor is chosen, its own history is read, and not the whole log for it.
 *
 * @module
 */

import { EventSchemaError, SchemaVersionError } from "../event/errors.ts";
import { compileFilter } from "../event/filter.ts";
import type { StoredEvent } from "../event/types.ts";
import { type HistoryFault, HistoryTruncatedError } from "./errors.ts";
import type { EventStore, ReadAllOptions, ReadEventsOptions } from "./types.ts";

type ActorOptions = ReadAllOptions & { readonly actorId: string };

/**
 * What `readAll` gives, in the same order and from the same places. Only damage in the histories of other actors is not
 * seen by a read of one actor.
 */
export function readLog(store: EventStore, options: ReadAllOptions): AsyncIterable<StoredEvent> {
  const { actorId } = options;
  return actorId === undefined ? store.readAll(options) : readActor(store, { ...options, actorId });
}

async function* readActor(store: EventStore, options: ActorOptions): AsyncGenerator<StoredEvent> {
  const { actorId, after = "start", until, direction = "forward", limit = Infinity, signal } = options;
  const chooses = chooserOf(options);
  const history = new History(store, actorId, signal);
  const isPlace = after !== "start" && after !== "first-kept" && after !== "end";
  const fromVersion = isPlace ? await history.versionBehind(after) : 1;
  const toVersion = until === undefined ? undefined : await history.versionBehind(until) - 1;
  if (after === "end" || toVersion !== undefined && toVersion < fromVersion) return;
  const read: ReadEventsOptions = {
    ...{ fromVersion, direction, onDamage: damageOf(options) },
    ...(toVersion !== undefined && { toVersion }),
    // A limit counts the events that are chosen.
    ...(limit !== Infinity && options.eventTypes === undefined && { limit }),
    ...(signal && { signal }),
  };
  let left = limit;
  for await (const event of store.readEvents(actorId, read)) {
    if (!chooses(event)) continue;
    yield event;
    if (--left === 0) return;
  }
}

function chooserOf({ eventTypes, actorId, actorPrefix }: ActorOptions): (event: StoredEvent) => boolean {
  const filter = {
    ...(eventTypes !== undefined && { eventTypes }),
    ...{ actorId },
    ...(actorPrefix !== undefined && { actorPrefix }),
  };
  return compileFilter(filter) ?? ((): boolean => true);
}

/** What `readAll` does with damage: a read from the first kept event on takes what retention has removed as it is. */
function damageOf({ after, onDamage }: ReadAllOptions): (fault: HistoryFault) => void {
  return (fault) => {
    if (after === "first-kept" && fault instanceof HistoryTruncatedError) return;
    if (!onDamage) throw fault;
    onDamage(fault);
  };
}

/** An event's actor and version, and its place in the log. */
type Place = Pick<StoredEvent, "actorId" | "version" | "position">;

/** One actor's history, searched by the positions of its events. */
class History {
  readonly #store: EventStore;
  readonly #actorId: string;
  readonly #signal: AbortSignal | undefined;

  constructor(store: EventStore, actorId: string, signal: AbortSignal | undefined) {
    this.#store = store;
    this.#actorId = actorId;
    this.#signal = signal;
  }

  /**
   * The lowest version that an event behind a position can have. Positions of one log are ordered as text.
   *
   * @throws {InvalidPositionError} If it is no position of this log.
   */
  async versionBehind(position: string): Promise<number> {
    const at = await this.#at(position);
    // A page goes on from an event of the page before.
    if (at?.position === position && at.actorId === this.#actorId) return at.version + 1;
    const last = await this.#find({ direction: "backward" });
    if (last === undefined || last.position <= position) return (last?.version ?? 0) + 1;
    let low = 1;
    let high = last.version;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      const found = await this.#find({ fromVersion: middle });
      if (found && found.position <= position) low = found.version + 1;
      else high = middle;
    }
    return low;
  }

  /** The event at a position, which the store checks; if it cannot be read, perhaps the one before. */
  #at(position: string): Promise<Place | undefined> {
    const one = { after: "first-kept", until: position, direction: "backward", limit: 1 } as const;
    return firstOf(this.#store.readAll({ ...one, ...this.#quietly }));
  }

  /** The first event of a read. */
  #find(read: ReadEventsOptions): Promise<Place | undefined> {
    return firstOf(this.#store.readEvents(this.#actorId, { ...read, limit: 1, ...this.#quietly }));
  }

  get #quietly(): Pick<ReadEventsOptions, "onDamage" | "signal"> {
    return { onDamage: (): void => {}, ...(this.#signal && { signal: this.#signal }) };
  }
}

/** The event of a read of one; if it cannot be handed out, it has a place all the same. */
async function firstOf(events: AsyncIterable<StoredEvent>): Promise<Place | undefined> {
  try {
    const [event] = await Array.fromAsync(events);
    return event;
  } catch (error) {
    if (error instanceof EventSchemaError || error instanceof SchemaVersionError) return error;
    throw error;
  }
}
