/**
 * The ids of an actor's latest commands, by which a repeated command is found.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { HistoryTruncatedError } from "../store/errors.ts";
import { COMMAND_HISTORY, firstEventId } from "../store/command_id.ts";
import type { Snapshot, SnapshotInput } from "../store/snapshot.ts";
import type { ReadEventsOptions, SnapshotStore } from "../store/types.ts";

/** Where events are read, and snapshots if it has them. */
interface HistoryReader extends Partial<SnapshotStore> {
  readEvents(actorId: string, options?: ReadEventsOptions): AsyncIterable<StoredEvent>;
}

/** The kind of the snapshots of ids. */
const KIND = "aether.commands";
const SCHEMA_VERSION = 1;

/** The ids of the latest commands up to a version: without it, the first command after a load would read 1,000 events. */
interface KeptIds {
  /** Those of the first events. */
  readonly ids: readonly string[];
  /** The versions of those events. */
  readonly versions: readonly number[];
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

  /** The ids up to the present version of the actor, to be kept with a snapshot of its state; `undefined` if there are none. */
  snapshotAt(version: number): SnapshotInput<KeptIds> | undefined {
    if (!this.isComplete || this.#versions.size === 0) return undefined;
    const state = { ids: [...this.#versions.keys()], versions: [...this.#versions.values()] };
    return { actorId: this.#actorId, kind: KIND, schemaVersion: SCHEMA_VERSION, version, state };
  }

  /** Finds out the ids of the latest commands that a snapshot replaced. */
  async complete(): Promise<void> {
    const kept = await this.#kept();
    const earlier = await this.#readBack(kept?.version);
    // A log that was restored to an earlier state may have other events at these versions.
    const joint = earlier.at(-1);
    const isSame = kept !== undefined && joint?.version === kept.version && joint.position === kept.position;
    if (kept && !isSame && earlier.length < COMMAND_HISTORY) return this.#takeOver(await this.#readBack());
    if (isSame) this.#takeOver(earlier.slice(0, -1), kept.state);
    else this.#takeOver(earlier);
  }

  /** The ids that were kept with a snapshot of the state, or with an earlier one. */
  async #kept(): Promise<Snapshot<KeptIds> | undefined> {
    const kept = await this.#store.getLatestSnapshot<KeptIds>?.(this.#actorId, KIND);
    const isUsable = kept?.schemaVersion === SCHEMA_VERSION && kept.version <= this.#unread &&
      isKeptIds(kept.state);
    return isUsable ? kept : undefined;
  }

  /** The events that a snapshot replaced, the latest first. */
  async #readBack(fromVersion = 1): Promise<readonly StoredEvent[]> {
    const read = {
      fromVersion,
      toVersion: this.#unread,
      direction: "backward",
      limit: COMMAND_HISTORY,
    } as const;
    const events: StoredEvent[] = [];
    try {
      for await (const event of this.#store.readEvents(this.#actorId, read)) events.push(event);
    } catch (error) {
      if (!(error instanceof HistoryTruncatedError)) throw error; // else there is no more to read
    }
    return events;
  }

  #takeOver(earlier: readonly StoredEvent[], kept?: KeptIds): void {
    const later = [...this.#versions];
    this.#versions.clear();
    kept?.ids.forEach((id, index) => this.#versions.set(id, kept.versions[index]!));
    for (const event of earlier.toReversed()) this.note(event);
    for (const [id, version] of later) this.#versions.set(id, version);
    this.#unread = 0;
  }
}

function isKeptIds(state: unknown): state is KeptIds {
  const { ids, versions } = (state ?? {}) as Partial<Record<keyof KeptIds, unknown>>;
  return Array.isArray(ids) && Array.isArray(versions) && ids.length === versions.length &&
    ids.every((id) => typeof id === "string") && versions.every((version) => Number.isSafeInteger(version));
}
