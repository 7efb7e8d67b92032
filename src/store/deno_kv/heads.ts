/**
 * How far actors are: what the next commit must be guarded with.
 *
 * @module
 */

import { lastVersion, lostTail } from "../continuity.ts";
import { type ActorHead, NEW_ACTOR } from "../commit.ts";
import { DamagedHistoryError } from "../errors.ts";
import { RecentMap } from "../recent_map.ts";
import type { CommitReader, LatestRecord } from "./commit_reader.ts";
import { SAME_RECORD, type StoredKvPart } from "./part_format.ts";

/** An actor's head, and the state of the key that its next commit is stored under. */
export interface Head extends ActorHead {
  /** The versionstamp of that key: null while it is absent, as it is unless it holds a takeOver. */
  readonly guard: string | null;
  /** The versionstamp of the actor's latest commit with events; undefined without one. */
  readonly latest: string | undefined;
  /** When this store stored that commit: how many it had stored before; undefined if another one did, or it is not known. */
  readonly stored?: number;
}

/** The head of an actor that has no record. */
export const NEW_HEAD: Head = { ...NEW_ACTOR, guard: null, latest: undefined };

/** Two commits of an actor are close to each other in the log with at most so many commits of others between them. */
const RECENT_COMMITS = 256;

/** Keeps the heads of recently used actors, and reads the others. A stale head costs a refused commit, never more. */
export class Heads {
  readonly #reader: CommitReader;
  readonly #cache: RecentMap<Head>;
  #stored = 0;

  /** @param size How many heads to keep at least. */
  constructor(reader: CommitReader, size: number) {
    this.#reader = reader;
    this.#cache = new RecentMap(size);
  }

  /** The head as it was last seen. */
  cached(actorId: string): Head | undefined {
    return this.#cache.get(actorId);
  }

  /** Keeps the head that a commit of this store has left behind. */
  saved(actorId: string, head: Head): void {
    this.#cache.set(actorId, { ...head, stored: ++this.#stored });
  }

  /** Whether the actor's latest commit is close to the end of the log, as far as this store knows. */
  isRecent({ stored, latest }: Head): boolean {
    return latest === SAME_RECORD || (stored !== undefined && this.#stored - stored < RECENT_COMMITS);
  }

  /**
   * Reads a head.
   *
   * @throws {DamagedHistoryError} If the actor's latest record cannot be read, or is behind what this store has seen.
   */
  async read(actorId: string): Promise<Head> {
    const known = this.#cache.get(actorId)?.version ?? 0;
    const latest = await this.#reader.latest(actorId);
    if (latest?.record instanceof DamagedHistoryError) throw latest.record;
    const head = latest ? headOf(latest.entry, latest.record) : NEW_HEAD;
    if (head.version < known) {
      throw lostTail(actorId, head.version, known);
    }
    this.#keep(actorId, head);
    return head;
  }

  /** Keeps the head that a read of the whole history has come to: a save that follows need not read it again. */
  note(actorId: string, latest: LatestRecord | undefined): void {
    if (latest?.record instanceof DamagedHistoryError) return;
    this.#keep(actorId, latest ? headOf(latest.entry, latest.record) : NEW_HEAD);
  }

  /** What this store has saved while it read is newer than what it read. */
  #keep(actorId: string, head: Head): void {
    const known = this.#cache.get(actorId);
    if (head.version < (known?.version ?? 0)) return;
    const isSame = known?.stored !== undefined && known.latest === head.latest;
    this.#cache.set(actorId, isSame ? { ...head, stored: known.stored! } : head);
  }
}

/** The head that an actor's latest record leaves behind. */
function headOf({ versionstamp }: Deno.KvEntry<unknown>, record: StoredKvPart): Head {
  const { fence, events, prior } = record;
  const place = events.length === 0
    ? { guard: versionstamp, latest: prior }
    : { guard: null, latest: versionstamp ?? undefined };
  return { version: lastVersion(record), fence, ...place };
}
