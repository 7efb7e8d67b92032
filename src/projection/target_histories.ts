/**
 * What the histories of reactions' targets hold, so that what is stored is not appended again.
 *
 * A reaction is stored after the event that caused it. So its ids are looked for backward from the end of the target's history
 * to the position of that event: for a projection that keeps up, one read of one event. What was read is remembered, so that a
 * rebuild reads each history once. It may be out of date, which is not wrong: it is used together with the version that it was
 * read at, and an append that expects that version is refused if anything has come since.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { HistoryTruncatedError } from "../store/errors.ts";
import type { EventStore } from "../store/types.ts";

/** What looking for ids needs of a store. */
export type HistoryStore = Pick<EventStore, "getLatestVersion" | "readEvents">;

/** Which ids were found, and at which version of the actor. */
export interface Look {
  /** The actor's version. */
  readonly version: number;
  /** Those of the ids that are in its history. */
  readonly found: ReadonlySet<string>;
}

/** The part of a history that is remembered: everything after a position, up to a version. */
interface Known {
  readonly since: string;
  version: number;
  readonly ids: Set<string>;
}

/** Ids that are remembered at most: about 100 MB of memory. A longer history is read for every look. */
const MAX_IDS = 1_000_000;
/** Events of the first read; each further one is longer. */
const FIRST_PAGE = 1;
const PAGE_GROWTH = 16;
const MAX_PAGE = 65_536;

/** The histories of the actors that a projection reacts to. */
export class TargetHistories {
  readonly #store: HistoryStore;
  readonly #known = new Map<string, Known>();
  #ids = 0;

  /** Nothing is known yet. */
  constructor(store: HistoryStore) {
    this.#store = store;
  }

  /**
   * Looks for ids of events or commands in an actor's history.
   *
   * @param since The position after which they may be; `""` for the whole history.
   */
  async look(actorId: string, ids: readonly string[], since: string): Promise<Look> {
    const known = this.#known.get(actorId);
    if (!known || known.since > since) return await this.#read(actorId, ids, since);
    return { version: known.version, found: new Set(ids.filter((id) => known.ids.has(id))) };
  }

  /** Adds what was appended at the version of the last look. */
  note(actorId: string, stored: readonly StoredEvent[]): void {
    const known = this.#known.get(actorId);
    if (!known) return;
    for (const event of stored) this.#add(known, event);
    if (this.#ids > MAX_IDS) this.#forgetAll();
  }

  /** Reads what has come since an actor was last looked at. */
  async refresh(actorId: string): Promise<void> {
    const known = this.#known.get(actorId);
    if (!known) return;
    const { version } = known;
    try {
      for await (const event of this.#store.readEvents(actorId, { fromVersion: version + 1 })) {
        this.#add(known, event);
      }
    } catch (error) {
      this.#forget(actorId);
      if (!(error instanceof HistoryTruncatedError)) throw error;
    }
    // It is not as it was remembered: it is read again from its end.
    if (known.version === version) this.#forget(actorId);
  }

  async #read(actorId: string, wanted: readonly string[], since: string): Promise<Look> {
    this.#forget(actorId);
    for (let latest = 0;;) {
      const look = await this.#readBackward(actorId, wanted, since);
      if (look) return look;
      // There is nothing to read, which is final only if nothing was appended meanwhile.
      const version = await this.#store.getLatestVersion(actorId);
      if (version === latest) return { version, found: new Set() };
      latest = version;
    }
  }

  async #readBackward(
    actorId: string,
    wanted: readonly string[],
    since: string,
  ): Promise<Look | undefined> {
    let version: number | undefined;
    const ids = new Set<string>();
    const found = new Set<string>();
    let isKept = true;
    for await (const event of this.#backward(actorId)) {
      version ??= event.version;
      if (event.position <= since) break;
      for (const id of idsOf(event)) {
        if (isKept) ids.add(id);
        if (wanted.includes(id)) found.add(id);
      }
      if (ids.size <= MAX_IDS) continue;
      isKept = false;
      ids.clear();
    }
    if (version === undefined) return undefined;
    if (isKept) this.#keep(actorId, { since, version, ids });
    return { version, found };
  }

  #keep(actorId: string, known: Known): void {
    if (this.#ids + known.ids.size > MAX_IDS) this.#forgetAll();
    this.#known.set(actorId, known);
    this.#ids += known.ids.size;
  }

  /** A history from its end, in pages that grow: most looks end with the first event. What retention has removed is over. */
  async *#backward(actorId: string): AsyncIterable<StoredEvent> {
    let toVersion = Number.MAX_SAFE_INTEGER;
    try {
      for (let limit = FIRST_PAGE;; limit = Math.min(limit * PAGE_GROWTH, MAX_PAGE)) {
        let count = 0;
        for await (
          const event of this.#store.readEvents(actorId, { direction: "backward", toVersion, limit })
        ) {
          count++;
          toVersion = event.version - 1;
          yield event;
        }
        if (count < limit || toVersion === 0) return;
      }
    } catch (error) {
      if (!(error instanceof HistoryTruncatedError)) throw error;
    }
  }

  #add(known: Known, event: StoredEvent): void {
    const before = known.ids.size;
    for (const id of idsOf(event)) known.ids.add(id);
    this.#ids += known.ids.size - before;
    known.version = event.version;
  }

  #forget(actorId: string): void {
    this.#ids -= this.#known.get(actorId)?.ids.size ?? 0;
    this.#known.delete(actorId);
  }

  #forgetAll(): void {
    this.#known.clear();
    this.#ids = 0;
  }
}

function idsOf({ id, metadata }: StoredEvent): readonly string[] {
  const commandId = metadata?.["commandId"];
  return commandId === undefined ? [id] : [id, commandId];
}
