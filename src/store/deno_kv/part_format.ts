/**
 * The stored form of commits.
 *
 * An actor's part is stored under a key of the actor. A record of the log has the parts of one atomic operation, each with
 * its events, or by its name alone. What an actor's part leaves out is what it usually is: no token, no gap, first in its
 * commit.
 *
 * @module
 */

import { decodeEvents } from "../../event/codec.ts";
import { type StoredPart, versionsFault } from "../continuity.ts";
import { unpackEvent } from "./event_format.ts";
import { INDEX_WIDTH, type KvPositions, VERSIONSTAMP_WIDTH } from "./kv_positions.ts";
import { isActorId } from "./layout.ts";
import { UnreadableRecord } from "./value_format.ts";

/** A bound for the events of a record of the log: the index in a position has four hexadecimal digits. */
const MAX_LOGGED_EVENTS = 16 ** INDEX_WIDTH;

/** In place of a versionstamp: that of the atomic operation which stores the part. */
export const SAME_RECORD = "=";

/** One actor's part of a commit as JSON. */
export interface PartJson {
  /** The commit's random id. */
  readonly commit: string;
  /** The actor's version before. */
  readonly previous: number;
  /**
   * The versionstamp of the actor's commit before, without the zeros that it begins with; absent if it is the first. The
   * versionstamp of the atomic operation that stores a part is not known to it: it has `SAME_RECORD` in its place.
   */
  readonly prior?: string;
  /** The actor's newest token, 0 if absent. */
  readonly fence?: number;
  /** The token that the commit itself carried. */
  readonly token?: number;
  /** How many events of the same log record precede these. */
  readonly offset?: number;
  /** The versions of the events, if they do not simply follow `previous`. */
  readonly versions?: readonly number[];
  /** The events, packed. */
  readonly events: readonly unknown[];
}

/** An actor's part as a record of the log has it: the whole part, or its name. */
export interface LoggedPartJson
  extends Omit<PartJson, "events" | "commit">, Partial<Pick<PartJson, "commit">> {
  /** The actor. */
  readonly actor: string;
  /** The events; absent if they are stored under the actor's key only. */
  readonly events?: readonly unknown[];
  /** Whether what is stored there is so large that it is read alone. */
  readonly large?: boolean;
}

const LEADING_ZEROS = /^0+/;

/** A part of a commit, and the place in the log of the commit before. */
export interface StoredKvPart extends StoredPart {
  /** The versionstamp of the actor's commit before; undefined if it is the first. */
  readonly prior: string | undefined;
}

/** The JSON text of a part, without its braces. `events` is a JSON array. */
export function partText(part: Omit<PartJson, "events">, events: string): string {
  const { commit, previous, prior, fence, token, offset, versions } = part;
  return `"commit":"${commit}","previous":${previous}` +
    (prior ? `,"prior":"${prior.replace(LEADING_ZEROS, "")}"` : "") +
    (fence ? `,"fence":${fence}` : "") +
    (token ? `,"token":${token}` : "") +
    (offset ? `,"offset":${offset}` : "") +
    (versions ? `,"versions":[${versions.join(",")}]` : "") +
    `,"events":${events}`;
}

/** The JSON text of the name of a part that is stored under its actor's key only. */
export function partName(actorId: string, previous: number, offset: number, isLarge: boolean): string {
  return `{"actor":${JSON.stringify(actorId)},"previous":${previous}` +
    (offset ? `,"offset":${offset}` : "") + (isLarge ? ',"large":true}' : "}");
}

/** The versions to store, if they do not simply follow one another. */
export function gappedVersions(previous: number, versions: readonly number[]): readonly number[] | undefined {
  return versions.every((version, index) => version === previous + 1 + index) ? undefined : versions;
}

/**
 * An actor's part of a commit, read back; the schema versions of its events are noted.
 *
 * @throws {UnreadableRecord | SyntaxError} If it is none.
 */
export function decodePart(
  part: PartJson,
  actorId: string,
  versionstamp: string,
  positions: KvPositions,
): StoredKvPart {
  if (!Array.isArray(part?.events) || typeof part.commit !== "string") {
    throw new UnreadableRecord("it is not a part of a commit");
  }
  const { commit: commitId, previous: previousVersion, fence = 0, offset = 0 } = part;
  const versions = part.versions === undefined
    ? part.events.map((_, index) => previousVersion + 1 + index)
    : part.versions;
  if (!isCount(fence) || !isCount(offset) || !Array.isArray(versions)) {
    throw new UnreadableRecord("a field of it is not what was written");
  }
  if (offset + part.events.length > MAX_LOGGED_EVENTS) {
    throw new UnreadableRecord(
      `its events begin at ${offset}, and a record has ${MAX_LOGGED_EVENTS} at most`,
    );
  }
  const fault = versionsFault(previousVersion, versions, part.events.length);
  if (fault !== undefined) throw new UnreadableRecord(fault);
  const prior = decodePrior(part.prior, previousVersion, versionstamp);
  const positionOf = positions.of(versionstamp, commitId);
  const events = decodeEvents(
    part.events.map(unpackEvent),
    actorId,
    versions,
    (index) => positionOf(offset + index),
  );
  return { commitId, actorId, previousVersion, prior, fence, events };
}

/** The versionstamp of the actor's commit before: a part has it exactly if there was one, and it is not higher. */
function decodePrior(prior: unknown, previousVersion: number, versionstamp: string): string | undefined {
  if (prior === undefined && previousVersion === 0) return undefined;
  if (typeof prior === "string" && previousVersion > 0) {
    if (prior === SAME_RECORD) return versionstamp;
    const padded = prior.padStart(VERSIONSTAMP_WIDTH, "0");
    if (padded.length === VERSIONSTAMP_WIDTH && padded < versionstamp) return padded;
  }
  throw new UnreadableRecord(`it does not name the commit of version ${previousVersion}`);
}

/**
 * The parts of a record of the log.
 *
 * @throws {UnreadableRecord} If it is none.
 */
export function decodeLogged(json: unknown): readonly LoggedPartJson[] {
  const isPart = (part: unknown): boolean =>
    typeof part === "object" && part !== null && "actor" in part && isActorId(part.actor) &&
    "previous" in part && isCount(part.previous) && (!("offset" in part) || isCount(part.offset));
  if (!Array.isArray(json) || json.length === 0 || !json.every(isPart)) {
    throw new UnreadableRecord("it is not a record of the log");
  }
  return json as readonly LoggedPartJson[];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}
