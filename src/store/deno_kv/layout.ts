/**
 * The keys in Deno KV, and the limits of the platform.
 *
 * ```text
 * [prefix, namespace, "log"]                              the log's random id
 * [prefix, namespace, "event", actorId, previous + 1]     an actor's share of a commit, under the version that follows
 *                                                         the actor's version before it: the guard of optimistic
 *                                                         concurrency. A takeOver is stored there until the next commit.
 * [prefix, namespace, "chunk", actorId, previous + 1, n]  what of it did not fit one value
 * [prefix, namespace, "commit", versionstamp]             the global log: one record an atomic operation
 * [prefix, namespace, "snapshot", actorId, kind]          the latest snapshot
 * [prefix, namespace, "piece", actorId, kind, n]          what of it did not fit one value
 * ```
 *
 * @module
 */

import { MAX_ACTOR_ID_BYTES } from "../../event/draft.ts";
import { utf8Length } from "../../text.ts";

/** The bytes that a string adds to its own in a key: a tag and a terminator. */
const STRING_PART_BYTES = 2;
/** The bytes of a number, or of a versionstamp, in a key; the larger of the two. */
const LAST_PART_BYTES = 22;

/** The places of an actor's id and of a version in the key of an actor's record, and the length of that key. */
export const ACTOR_PART = 3;
const VERSION_PART = 4;
const RECORD_PARTS = 5;
/** The place of a versionstamp in the key of a record of the log, and the length of that key. */
export const STAMP_PART = 3;
const COMMIT_PARTS = 4;

/** Whether a value can be an actor's id: it is counted in characters, for whose bytes a key has room. */
export function isActorId(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= MAX_ACTOR_ID_BYTES &&
    value.isWellFormed();
}

/**
 * The actor in a key below those of actors' records; `undefined` if it has none. Any program that may write to the
 * database can store such a key, with any parts.
 */
export function actorOf(key: Deno.KvKey): string | undefined {
  const actorId = key[ACTOR_PART];
  return isActorId(actorId) ? actorId : undefined;
}

/** The version in the key of an actor's record; `undefined` if it is no such key. */
export function versionOf(key: Deno.KvKey): number | undefined {
  const version = key[VERSION_PART];
  return key.length === RECORD_PARTS && typeof version === "number" ? version : undefined;
}

/** The versionstamp in the key of a record of the log; `undefined` if it is no such key. */
export function stampOf(key: Deno.KvKey): string | undefined {
  const stamp = key[STAMP_PART];
  return key.length === COMMIT_PARTS && typeof stamp === "string" ? stamp : undefined;
}

/** The smallest key that is greater than a key and those that this store may have written below it. */
export function following(key: Deno.KvKey): Deno.KvKey {
  return [...key, false];
}

/** The keys of one namespace. */
export class Layout {
  readonly #base: readonly [string, string];
  readonly #baseBytes: number;

  /** The keys below `[prefix, namespace]`. */
  constructor(prefix: string, namespace: string) {
    this.#base = [prefix, namespace];
    this.#baseBytes = utf8Length(prefix) + utf8Length(namespace) + 2 * STRING_PART_BYTES;
  }

  /** The key of the log's id. */
  get logId(): Deno.KvKey {
    return [...this.#base, "log"];
  }

  /** The key of an actor's share of a commit. */
  event(actorId: string, version: number): Deno.KvKey {
    return [...this.#base, "event", actorId, version];
  }

  /** What is above every key below an actor's, also those that another program has written. */
  afterActor(actorId: string): Deno.KvKey {
    return [...this.#base, "event", `${actorId}\0`];
  }

  /** All of an actor's shares. */
  actor(actorId: string): Deno.KvKey {
    return [...this.#base, "event", actorId];
  }

  /** All shares of all actors. */
  get events(): Deno.KvKey {
    return [...this.#base, "event"];
  }

  /** The key of what did not fit the first value. */
  chunk(actorId: string, version: number, index: number): Deno.KvKey {
    return [...this.#base, "chunk", actorId, version, index];
  }

  /** The key of a record of the log, with the versionstamp of its commit. */
  commit(versionstamp: string): Deno.KvKey {
    return [...this.#base, "commit", versionstamp];
  }

  /** The key that becomes that of a log record when it is committed; the types know no symbol in a key. */
  nextCommit(kv: Deno.Kv): Deno.KvKey {
    return [...this.#base, "commit", kv.commitVersionstamp()] as readonly unknown[] as Deno.KvKey;
  }

  /** The whole log. */
  get commits(): Deno.KvKey {
    return [...this.#base, "commit"];
  }

  /** The key of a snapshot. */
  snapshot(actorId: string, kind: string): Deno.KvKey {
    return [...this.#base, "snapshot", actorId, kind];
  }

  /** All snapshots of all actors. */
  get snapshots(): Deno.KvKey {
    return [...this.#base, "snapshot"];
  }

  /** All that did not fit the first value of a snapshot. */
  pieces(actorId: string, kind: string): Deno.KvKey {
    return [...this.#base, "piece", actorId, kind];
  }

  /** The key of what of a snapshot did not fit the first value. */
  piece(actorId: string, kind: string, index: number): Deno.KvKey {
    return [...this.#base, "piece", actorId, kind, index];
  }

  /** The most bytes that a key of an actor's takes, chunks included. */
  keyBytes(actorIdBytes: number): number {
    return this.#baseBytes + "event".length + actorIdBytes + 2 * STRING_PART_BYTES + 2 * LAST_PART_BYTES;
  }

  /** The bytes that the key of the log's id takes. */
  get logKeyBytes(): number {
    return this.#baseBytes + "log".length + STRING_PART_BYTES;
  }

  /** The most bytes that the key of a log record takes. */
  get commitKeyBytes(): number {
    return this.#baseBytes + "commit".length + STRING_PART_BYTES + LAST_PART_BYTES;
  }
}
