/**
 * The ids of an actor's latest commands, by which a repeated command is found.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { HistoryTruncatedError } from "../store/errors.ts";
import { COMMAND_HISTORY, firstEventId } from "../store/command_id.ts";
import type { ReadEventsOptions } from "../store/types.ts";

/** Where events are read. */
interface HistoryReader {
  readEvents(actorId: string, options?: ReadEventsOptions): AsyncIterable<StoredEvent>;
}

/** Which version the first event of each command has. */
export class CommandIds {
  readonly #store: HistoryReader;
  readonly #actorId: string;
  /** By the id of the first event. */
  readonly #versions = new Map<string, number>();
  /** Events up to this version have not been looked at: a snapshot replaced them. */
  #unread = 0;

  constructor(store: HistoryReader, actorId: string) {
    this.#store = store;
    this.#actorId = actorId;
  }

  /** The actor was loaded from a snapshot of this version. */
  beginAt(snapshotVersion: number): void {
    this.#unread = snapshotVersion;
  }

  /** Looks at an event. */
  readonly note = ({ id, version }: StoredEvent): void => {
    if (!id.endsWith("/1")) return;
    if (this.#versions.size >= COMMAND_HISTORY) {
      for (const oldest of this.#versions.keys()) {
        this.#versions.delete(oldest);
        break;
      }
    }
    this.#versions.set(id, version);
  };

  /** The version of a command's first event; `undefined` if it is not among the latest commands. */
  versionOf(commandId: string): number | undefined {
    return this.#versions.get(firstEventId(commandId));
  }

  /** Whether events before a snapshot have to be read first. */
  get isComplete(): boolean {
    return this.#unread === 0;
  }

  /** Reads the latest events that a snapshot replaced. */
  async complete(): Promise<void> {
    const read = { toVersion: this.#unread, direction: "backward", limit: COMMAND_HISTORY } as const;
    const earlier: StoredEvent[] = [];
    try {
      for await (const event of this.#store.readEvents(this.#actorId, read)) earlier.push(event);
    } catch (error) {
      if (!(error instanceof HistoryTruncatedError)) throw error; // else there is no more to read
    }
    const later = [...this.#versions];
    this.#versions.clear();
    for (const event of earlier.reverse()) this.note(event);
    for (const [id, version] of later) this.#versions.set(id, version);
    this.#unread = 0;
  }
}
