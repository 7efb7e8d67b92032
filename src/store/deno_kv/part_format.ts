/**
 * The stored form of commits.
 *
 * A value is UTF-8 text: the format's version (one digit), the CRC-32 of all that follows it (eight hexadecimal
 * digits), and JSON. If it does not fit one value, the rest follows in chunks, and the format's digit is followed by
 * their number. What an actor's part leaves out is what it usually is: no token, no gap, first in its commit.
 *
 * @module
 */

import { decodeEvents } from "../../event/codec.ts";
import { utf8 } from "../../text.ts";
import { type StoredPart, versionsFault } from "../continuity.ts";
import { type Checksum, checksumText } from "../checksum.ts";
import { INDEX_WIDTH, type KvPositions, VERSIONSTAMP_WIDTH } from "./kv_positions.ts";
import { MAX_VALUE_BYTES } from "../../deno_kv_limits.ts";
import { isActorId } from "./layout.ts";

/** The first bytes of a value: one for the format, three for the number of chunks, eight for the checksum. */
const FORMAT = "1";
const CHUNK_DIGITS = 3;
const CHECKSUM_DIGITS = 8;
const HEAD_BYTES = FORMAT.length + CHUNK_DIGITS + CHECKSUM_DIGITS;
/** A bound for the chunks of a value: the largest commit and the largest snapshot take nine. */
const MAX_CHUNKS = 16;
/** A bound for the events of a record of the log: the index in a position has four hexadecimal digits. */
const MAX_LOGGED_EVENTS = 16 ** INDEX_WIDTH;

const decoder = new TextDecoder("utf-8", { fatal: true });

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
  /** The events. */
  readonly events: readonly unknown[];
}

/** An actor's part as a record of the log has it. */
export interface LoggedPartJson extends Omit<PartJson, "events"> {
  /** The actor. */
  readonly actor: string;
  /** The events; absent if they are so large that they are stored under the actor's key only. */
  readonly events?: readonly unknown[];
}

/** A value could not be read: the reason is the message. */
export class UnreadableRecord extends Error {}

/** A value or its key has not the form of a record: this store has not written it. */
export class ForeignValue extends UnreadableRecord {}

/** A value, and what of it did not fit. */
export interface Encoded {
  /** The value. */
  readonly value: Uint8Array<ArrayBuffer>;
  /** The rest, in order. */
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
}

/** Turns JSON text into values. */
export function encodeValue(json: string, checksum: Checksum): Encoded {
  const bytes = utf8(" ".repeat(HEAD_BYTES) + json);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for (let from = MAX_VALUE_BYTES; from < bytes.length; from += MAX_VALUE_BYTES) {
    chunks.push(bytes.slice(from, from + MAX_VALUE_BYTES));
  }
  const head = FORMAT + chunks.length.toString().padStart(CHUNK_DIGITS, "0") +
    checksumText(checksum(bytes.subarray(HEAD_BYTES)));
  for (let index = 0; index < HEAD_BYTES; index++) bytes[index] = head.charCodeAt(index);
  return { value: chunks.length === 0 ? bytes : bytes.slice(0, MAX_VALUE_BYTES), chunks };
}

/** How many chunks follow a value. */
export function chunkCount(value: unknown): number {
  if (!(value instanceof Uint8Array) || value.length < HEAD_BYTES) {
    throw new ForeignValue("the value is not a record");
  }
  let count = 0;
  for (let index = 1; index <= CHUNK_DIGITS; index++) count = count * 10 + value[index]! - 48;
  if (!(count >= 0 && count <= MAX_CHUNKS)) {
    throw new UnreadableRecord(`it names more than ${MAX_CHUNKS} chunks, the most that a record has`);
  }
  return count;
}

/**
 * Turns a whole value, chunks appended, back into what it was.
 *
 * @throws {UnreadableRecord} If it is not what was written.
 */
export function decodeValue(bytes: Uint8Array, checksum: Checksum): unknown {
  if (bytes.length < HEAD_BYTES) throw new ForeignValue("the value is not a record");
  if (bytes[0] !== FORMAT.charCodeAt(0)) {
    throw new UnreadableRecord(
      `its format is ${JSON.stringify(String.fromCharCode(bytes[0] ?? 0))}, not ${FORMAT}`,
    );
  }
  const body = bytes.subarray(HEAD_BYTES);
  if (checksum(body) !== readHex(bytes, HEAD_BYTES - CHECKSUM_DIGITS, HEAD_BYTES)) {
    throw new UnreadableRecord("its checksum does not match its bytes");
  }
  try {
    return JSON.parse(decoder.decode(body));
  } catch (cause) {
    throw new UnreadableRecord("it is not JSON", { cause });
  }
}

/** A number from hexadecimal digits; NaN if there are other characters. */
function readHex(bytes: Uint8Array, from: number, to: number): number {
  let number = 0;
  for (let index = from; index < to; index++) {
    const code = bytes[index]!;
    const digit = code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : NaN;
    number = number * 16 + digit;
  }
  return number;
}

const LEADING_ZEROS = /^0+/;

/** A part of a commit, and the place in the log of the commit before. */
export interface StoredKvPart extends StoredPart {
  /** The versionstamp of the actor's commit before; undefined if it is the first. */
  readonly prior: string | undefined;
}

/** The JSON text of a part, without its braces. `events` is a JSON array, or nothing to leave it out. */
export function partText(part: Omit<PartJson, "events">, events: string | undefined): string {
  const { commit, previous, prior, fence, token, offset, versions } = part;
  return `"commit":"${commit}","previous":${previous}` +
    (prior ? `,"prior":"${prior.replace(LEADING_ZEROS, "")}"` : "") +
    (fence ? `,"fence":${fence}` : "") +
    (token ? `,"token":${token}` : "") +
    (offset ? `,"offset":${offset}` : "") +
    (versions ? `,"versions":[${versions.join(",")}]` : "") +
    (events === undefined ? "" : `,"events":${events}`);
}

/** The versions to store, if they do not simply follow one another. */
export function gappedVersions(previous: number, versions: readonly number[]): readonly number[] | undefined {
  return versions.every((version, index) => version === previous + 1 + index) ? undefined : versions;
}

/** What turns parts back into events. */
export interface RecordContext {
  /** The log's positions. */
  readonly positions: KvPositions;
  /** Checks bytes. */
  readonly checksum: Checksum;
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
  const events = decodeEvents(part.events, actorId, versions, (index) => positionOf(offset + index));
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
