/**
 * Snapshots: validated, copied, encoded.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { actorIdFault, isVersion, MAX_NAME_BYTES } from "../event/draft.ts";
import { copyJson, freezeJson, JsonFault, JsonTooLarge } from "../event/json.ts";
import { describe, nameFault, utf8Length } from "../text.ts";
import { currentTimestamp, toTimestamp } from "../event/timestamp.ts";
import { readOptions } from "../options.ts";

/**
 * The state that a fold over an actor's history had reached. It is an optimisation and never the truth.
 *
 * @typeParam S The state, which JSON must carry faithfully.
 *
 * @category Stores
 */
export interface Snapshot<S = unknown> {
  /** The actor. */
  readonly actorId: string;
  /** Which fold it is of: an actor has one snapshot a kind. 1 to 256 UTF-8 bytes. */
  readonly kind: string;
  /** The version of the state's shape: a positive integer. One of another version is ignored. */
  readonly schemaVersion: number;
  /** The version of the last event that is folded in. */
  readonly version: number;
  /** The state. */
  readonly state: S;
  /** When it was taken, as UTC with milliseconds. */
  readonly timestamp: string;
  /**
   * The position of the last event that is folded in, stamped by the store; absent if retention has removed that event. A
   * replay compares it with the history: a log that was restored to an earlier state may have another event at that
   * version.
   */
  readonly position?: string;
}

/**
 * A snapshot as it is handed to a store, which stamps its position, and its time if it has none.
 *
 * @typeParam S The state, which JSON must carry faithfully.
 *
 * @category Stores
 */
export type SnapshotInput<S = unknown> = Omit<Snapshot<S>, "timestamp" | "position"> & {
  /** When it was taken: a Date, or RFC 3339 text. @default {now} */
  readonly timestamp?: string | Date;
  /** Ignored, so that a snapshot that was read can be saved elsewhere. */
  readonly position?: string;
};

/** The most bytes that a snapshot may have as JSON, on every store. */
export const MAX_SNAPSHOT_BYTES = 512 * 1024;

/**
 * Validates and copies a snapshot.
 *
 * @throws {InvalidArgumentError} If it cannot be stored or read, with the path of the field.
 */
export function validateSnapshot<S>(
  snapshot: SnapshotInput<S>,
  now: (() => Date) | undefined,
): Snapshot<S> {
  const { actorId, kind, schemaVersion, version, state, timestamp } = readOptions(
    snapshot,
    ({ ...fields }) => fields,
    "snapshot",
  );
  const refuse = (field: string, message: string): never => {
    throw new InvalidArgumentError(`snapshot.${field}`, message);
  };
  const actorFault = actorIdFault(actorId);
  if (actorFault) refuse("actorId", actorFault);
  const kindFault = nameFault(kind, MAX_NAME_BYTES);
  if (kindFault) refuse("kind", kindFault);
  if (!isVersion(schemaVersion)) {
    refuse("schemaVersion", `must be a positive integer, and is ${describe(schemaVersion)}`);
  }
  if (!isVersion(version)) refuse("version", `must be a positive integer, and is ${describe(version)}`);
  const taken = timestamp === undefined ? currentTimestamp(now) : toTimestamp(timestamp) ??
    refuse("timestamp", `must be a valid Date or RFC 3339 text, and is ${describe(timestamp)}`);
  try {
    const copy = copyJson(state, "state", MAX_SNAPSHOT_BYTES);
    const valid = { actorId, kind, schemaVersion, version, state: copy.value as S, timestamp: taken };
    if (copy.most > MAX_SNAPSHOT_BYTES && utf8Length(JSON.stringify(valid)) > MAX_SNAPSHOT_BYTES) {
      throw new JsonTooLarge(MAX_SNAPSHOT_BYTES + 1);
    }
    return Object.freeze(valid);
  } catch (error) {
    if (error instanceof JsonFault) return refuse(error.path, error.message);
    if (error instanceof JsonTooLarge) return refuse("state", `is over ${MAX_SNAPSHOT_BYTES} bytes as JSON`);
    throw error;
  }
}

/** A valid snapshot as JSON text. */
export function encodeSnapshot(snapshot: Snapshot): string {
  return JSON.stringify(snapshot);
}

/** A snapshot from its parsed JSON, frozen; `undefined` if it is none of this actor and kind. */
export function decodeSnapshot(json: unknown, actorId: string, kind: string): Snapshot | undefined {
  const snapshot = json as Snapshot | null;
  const sound = typeof snapshot === "object" && snapshot?.actorId === actorId && snapshot.kind === kind &&
    isVersion(snapshot.version) && isVersion(snapshot.schemaVersion) && "state" in snapshot &&
    typeof snapshot.timestamp === "string" &&
    (snapshot.position === undefined || typeof snapshot.position === "string");
  if (!sound) return undefined;
  try {
    freezeJson(snapshot.state);
  } catch {
    return undefined; // nested so deeply that this library cannot have written it
  }
  return Object.freeze(snapshot);
}

/** Whether a snapshot takes the place of the one that is stored: it goes further, or its state has another shape. */
export function supersedes(snapshot: Snapshot, stored: Snapshot | undefined): boolean {
  return !stored || snapshot.version >= stored.version || snapshot.schemaVersion > stored.schemaVersion;
}
