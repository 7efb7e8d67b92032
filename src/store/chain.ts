/**
 * The chain of an actor's commits: each names the version before its first event, so that an allowed gap is told apart
 * from a lost event.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { DamagedHistoryError } from "./errors.ts";

/** One actor's share of a commit, as it was read back. */
export interface CommitRecord {
  /** The commit's random id. */
  readonly commitId: string;
  /** The actor. */
  readonly actorId: string;
  /** The actor's version before this commit. */
  readonly previousVersion: number;
  /** The actor's newest fencing token as of this commit, 0 without one. */
  readonly fence: number;
  /** Its events, frozen and at their registered schema versions; none in the record of a `takeOver`. */
  readonly events: readonly StoredEvent[];
}

/** The version of an actor after a commit. */
export function lastVersion(record: CommitRecord): number {
  const { events } = record;
  return events.length > 0 ? events[events.length - 1]!.version : record.previousVersion;
}

/** Says that versions are missing between two commits, or before the first one. */
export function missingVersions(
  actorId: string,
  from: number,
  to: number,
  position?: string,
): DamagedHistoryError {
  const reason = from === to ? `version ${from} is missing` : `versions ${from} to ${to} are missing`;
  return new DamagedHistoryError(reason, { actorId, version: from, position });
}

/** Says that a history ends before a version that was seen. */
export function lostTail(actorId: string, reached: number, known: number): DamagedHistoryError {
  return new DamagedHistoryError(`it ends at version ${reached}, and this store has seen version ${known}`, {
    actorId,
    version: reached + 1,
  });
}

/** The fault of a commit that does not follow a version. */
export function follows(record: CommitRecord, version: number): DamagedHistoryError | undefined {
  const { actorId, previousVersion, events } = record;
  const position = events[0]?.position;
  if (previousVersion === version) return undefined;
  if (previousVersion > version) return missingVersions(actorId, version + 1, previousVersion, position);
  return new DamagedHistoryError(`a commit after version ${previousVersion} follows version ${version}`, {
    actorId,
    version: previousVersion + 1,
    position,
  });
}

/** Most actors that a read of the log keeps in mind. */
const MAX_TRACKED = 100_000;

/** How far a read has come in the chain of an actor. */
export interface ChainLink {
  /** The actor's version. */
  version: number;
}

/** Keeps the link of one actor, for one read of the log. */
export interface LinkKeeper {
  link: ChainLink | undefined;
}

/**
 * Checks the chains of all actors while the log is read in order. It remembers a bounded number of them; an actor that
 * was forgotten, or that the read begins in the middle of, is taken as it comes.
 */
export class LogChains {
  readonly #versions = new Map<string, ChainLink>();
  #complete: boolean;

  /** @param fromStart Whether the read begins with the log's first commit. */
  constructor(fromStart: boolean) {
    this.#complete = fromStart;
  }

  /**
   * Takes the next commit of an actor; returns the fault, if it does not follow the one before.
   *
   * @param keeper Where the actor's link is kept, so that it need not be looked up: of this read and this actor alone.
   */
  accept(record: CommitRecord, keeper?: LinkKeeper): DamagedHistoryError | undefined {
    let known = keeper?.link ?? this.#versions.get(record.actorId);
    const expected = known ? known.version : this.#complete ? 0 : undefined;
    if (known) known.version = lastVersion(record);
    else known = this.#remember(record.actorId, lastVersion(record));
    if (keeper) keeper.link = known;
    return expected === undefined ? undefined : follows(record, expected);
  }

  /** How many actors it has seen, where it could remember them all. */
  get size(): number {
    return this.#versions.size;
  }

  #remember(actorId: string, version: number): ChainLink {
    const link = { version };
    this.#versions.set(actorId, link);
    if (this.#versions.size <= MAX_TRACKED) return link;
    this.#complete = false;
    for (const oldest of this.#versions.keys()) {
      this.#versions.delete(oldest);
      break;
    }
    return link;
  }
}
