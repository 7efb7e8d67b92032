/**
 * The chain of an actor's commits: each names the version before its first event, so that an allowed gap is told apart
 * from a lost event.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { DamagedHistoryError } from "./errors.ts";
import { RecentMap } from "./recent_map.ts";

/** One actor's part of a commit, as it was read back. */
export interface StoredPart {
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
export function lastVersion(record: StoredPart): number {
  const { events } = record;
  return events.length > 0 ? events[events.length - 1]!.version : record.previousVersion;
}

/** Why numbers that were read back are not the versions of a commit's events; `undefined` if they are. */
export function versionsFault(
  previousVersion: number,
  versions: readonly number[],
  count: number,
): string | undefined {
  if (!Number.isSafeInteger(previousVersion) || previousVersion < 0) {
    return `the version before it is ${previousVersion}`;
  }
  if (versions.length !== count) return `it names ${versions.length} versions for ${count} events`;
  let before = previousVersion;
  for (let index = 0; index < count; index++) {
    const version = versions[index]!;
    if (!(version > before) || !Number.isSafeInteger(version)) {
      return `version ${version} follows version ${before}`;
    }
    before = version;
  }
  return undefined;
}

/** Reports that versions are missing between two commits, or before the first one. */
export function missingVersions(
  actorId: string,
  from: number,
  to: number,
  position?: string,
): DamagedHistoryError {
  const reason = from === to ? `version ${from} is missing` : `versions ${from} to ${to} are missing`;
  return new DamagedHistoryError(reason, { actorId, version: from, position });
}

/** Reports that a history ends before a version that was seen. */
export function lostTail(actorId: string, reached: number, known: number): DamagedHistoryError {
  return new DamagedHistoryError(`it ends at version ${reached}, and this store has seen version ${known}`, {
    actorId,
    version: reached + 1,
  });
}

/** The fault of a commit that does not follow a version. */
export function follows(record: StoredPart, version: number): DamagedHistoryError | undefined {
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

/** So many actors a read of the log remembers at least. */
const MAX_TRACKED = 100_000;

/** How far a read has come in the chain of an actor. */
export interface KnownVersion {
  /** The actor's version. */
  version: number;
}

/** Keeps the link of one actor, for one read of the log. */
export interface KnownVersionHolder {
  link: KnownVersion | undefined;
}

/**
 * Checks the chains of all actors while the log is read in order. It remembers a bounded number of them.
 *
 * @typeParam R The records that are read.
 */
export class VersionContinuity<R extends StoredPart> {
  readonly #versions = new RecentMap<KnownVersion>(MAX_TRACKED);
  readonly #isBefore: ((record: R) => boolean) | undefined;

  /**
   * @param isBefore Whether the commit that precedes a record in its actor's history is before the place where the read
   * began; undefined if the read begins with the log's first commit.
   */
  constructor(isBefore: ((record: R) => boolean) | undefined) {
    this.#isBefore = isBefore;
  }

  /**
   * Takes the next commit of an actor; returns the fault, if it does not follow the one before, and `"forgotten"` if that
   * one may have been read too long ago.
   *
   * @param keeper Where the actor's link is kept, so that it need not be looked up: of this read and this actor alone.
   */
  accept(record: R, keeper?: KnownVersionHolder): DamagedHistoryError | "forgotten" | undefined {
    let known = keeper?.link ?? this.#versions.get(record.actorId);
    let found: DamagedHistoryError | "forgotten" | undefined;
    if (known) {
      found = follows(record, known.version);
      known.version = lastVersion(record);
    } else {
      found = this.#begins(record);
      known = { version: lastVersion(record) };
      this.#versions.set(record.actorId, known);
    }
    if (keeper) keeper.link = known;
    return found;
  }

  /** The first commit that this read has of an actor. */
  #begins(record: R): DamagedHistoryError | "forgotten" | undefined {
    const { previousVersion } = record;
    if (previousVersion === 0 || this.#isBefore?.(record)) return undefined;
    return this.#versions.hasForgotten
      ? "forgotten"
      : missingPredecessor(record, this.#isBefore === undefined);
  }
}

/**
 * The fault of a commit whose predecessor is missing.
 *
 * @param isFirst Whether the whole beginning of the history is missing.
 */
export function missingPredecessor(record: StoredPart, isFirst = false): DamagedHistoryError {
  const { actorId, previousVersion, events } = record;
  return missingVersions(actorId, isFirst ? 1 : previousVersion, previousVersion, events[0]?.position);
}
