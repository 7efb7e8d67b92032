/**
 * The stored form of commits: one message an actor and commit.
 *
 * The body is the JSON array of the events. The header `Aether` says the rest, in fields separated by a space: the
 * format's version, the commit's random id, the actor's version before it, the number of events, the actor's newest
 * fencing token (followed by `u` where the commit itself went without), the versions where they do not simply follow
 * one another (else `-`), the trail (`-` if it is empty), and the checksum: the CRC-32, in hexadecimal, of the log's id,
 * the body, the subject, the sequence that the server was told to expect, and all fields before it.
 *
 * @module
 */

import { decodeEvents } from "../../event/codec.ts";
import { noteSchemaVersion } from "../../event/registry.ts";
import { utf8 } from "../../event/text.ts";
import type { StoredEvent } from "../../event/types.ts";
import type { CommitRecord } from "../chain.ts";
import { type Checksum, checksumText } from "../checksum.ts";
import { DamagedHistoryError } from "../errors.ts";
import { LogPositions } from "../position.ts";
import type { EncodedHeaders } from "../../nats/headers.ts";
import type { Layout } from "./layout.ts";
import { Trail } from "./trail.ts";

/** The header that makes a message a commit. */
export const COMMIT_HEADER = "Aether";
/** The header that guards a commit. */
export const EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence";

const FORMAT = "1";
const FIELDS = 8;
const CHECKSUM = /^[0-9a-f]{8}$/;
/** Hexadecimal digits of a stream sequence (2^53), and of an event's place in its message: together, a position. */
const SEQUENCE_WIDTH = 14;
const INDEX_WIDTH = 4;
/** The place behind every event of a message. */
export const LAST_INDEX = 0xffff;

/** A message that may be a commit, however it was read. */
export interface LoggedMessage {
  /** Its subject. */
  readonly subject: string;
  /** Its stream sequence. */
  readonly sequence: number;
  /** Its body. */
  readonly data: Uint8Array;
  /** The value of a header. */
  header(name: string): string | undefined;
}

/** What the header of a commit says. */
export interface CommitHeader {
  /** The commit's random id. */
  readonly commitId: string;
  /** The actor. */
  readonly actorId: string;
  /** The stream sequence. */
  readonly sequence: number;
  /** The actor's version before. */
  readonly previousVersion: number;
  /** The versions of its events. */
  readonly versions: readonly number[];
  /** The actor's newest fencing token, 0 without one. */
  readonly fence: number;
  /** The stream sequence of the commit before, as the server checked it; 0 where it had none. */
  readonly previousSequence: number;
  /** The earlier commits of the actor; undefined where it does not check out, and they have to be searched for. */
  readonly trail: Trail | undefined;
}

/** A commit as it was read back, with its place in the stream. */
export interface StoredCommit extends CommitRecord {
  /** Its stream sequence. */
  readonly sequence: number;
  /** The stream sequence of the commit before, as the server checked it; 0 where it had none. */
  readonly previousSequence: number;
  /** The earlier commits of the actor; undefined where it does not check out, and they have to be searched for. */
  readonly trail: Trail | undefined;
}

/** What was to be read, or why it cannot be. */
export type OrFault<T> = T | DamagedHistoryError;

/** What is to be stored. */
export interface CommitFields {
  /** The commit's random id. */
  readonly commitId: string;
  /** The actor's version before. */
  readonly previousVersion: number;
  /** The versions of its events. */
  readonly versions: readonly number[];
  /** The actor's newest fencing token once it is stored, 0 without one. */
  readonly fence: number;
  /** Whether the commit itself came without a token. */
  readonly unfenced: boolean;
  /** The stream sequence of the commit before, which the server is told to expect; 0 where there is none. */
  readonly previousSequence: number;
  /** The earlier commits of the actor. */
  readonly trail: Trail;
}

/** A message cannot be read as a commit: the reason is the message. */
class Unreadable extends Error {}

/** Writes and reads the messages of one log. */
export class Records {
  /** The log's positions. */
  readonly positions: LogPositions;
  readonly #layout: Layout;
  readonly #checksum: Checksum;
  readonly #seed: number;
  #scratch: Uint8Array<ArrayBuffer> = new Uint8Array(4_096);

  constructor(logId: string, layout: Layout, checksum: Checksum) {
    this.positions = new LogPositions(logId, SEQUENCE_WIDTH + INDEX_WIDTH);
    this.#layout = layout;
    this.#checksum = checksum;
    this.#seed = checksum(utf8(logId));
  }

  /** The value of the header {@linkcode COMMIT_HEADER}. */
  encode(subject: string, body: Uint8Array, fields: CommitFields): string {
    const { commitId, previousVersion, versions, fence, unfenced, previousSequence, trail } = fields;
    const gapped = versions.some((version, index) => version !== previousVersion + 1 + index);
    const text = `${FORMAT} ${commitId} ${previousVersion} ${versions.length} ${fence}${
      fence > 0 && unfenced ? "u" : ""
    } ${gapped ? versions.join(",") : "-"} ${trail.encode() || "-"}`;
    return `${text} ${checksumText(this.#checksumOf(subject, previousSequence, body, text))}`;
  }

  /**
   * Reads what a message's header says, its checksum included.
   *
   * @returns The fault, where it is no commit, or not what was written.
   */
  header(message: LoggedMessage): OrFault<CommitHeader> {
    try {
      return this.#header(message);
    } catch (error) {
      return this.#fault(message, error);
    }
  }

  /**
   * Reads a commit; its events are as they were stored, their schema versions noted.
   *
   * @returns The fault, where it is no commit, or not what was written.
   */
  read(message: LoggedMessage): OrFault<StoredCommit> {
    try {
      const header = this.#header(message);
      const { commitId, actorId, previousVersion, fence, sequence, previousSequence } = header;
      const decoded = decodeEvents(JSON.parse(decoder.decode(message.data)), actorId, header.versions);
      const events = decoded.map(({ event, schemaVersion }, index): StoredEvent => {
        event.position = this.position(sequence, index);
        noteSchemaVersion(event, schemaVersion);
        return Object.freeze(event);
      });
      return {
        commitId,
        actorId,
        previousVersion,
        fence,
        sequence,
        previousSequence,
        get trail(): Trail | undefined {
          return header.trail;
        },
        events,
      };
    } catch (error) {
      return this.#fault(message, error);
    }
  }

  /** The position of an event of a message. */
  position(sequence: number, index: number): string {
    return this.positions.of(
      sequence.toString(16).padStart(SEQUENCE_WIDTH, "0") + index.toString(16).padStart(INDEX_WIDTH, "0"),
    );
  }

  /**
   * The place that a position names.
   *
   * @throws {InvalidPositionError} If it is malformed or of another log.
   */
  place(position: string): { readonly sequence: number; readonly index: number } {
    const body = this.positions.bodyOf(position);
    return {
      sequence: parseInt(body.slice(0, SEQUENCE_WIDTH), 16),
      index: parseInt(body.slice(SEQUENCE_WIDTH), 16),
    };
  }

  #header(message: LoggedMessage): CommitHeader {
    const { subject, sequence, data } = message;
    const value = message.header(COMMIT_HEADER);
    if (value === undefined) throw new Unreadable("it is no commit");
    const fields = value.split(" ");
    const [format, commitId, previous, count, fenced, versionList, trailText, checksum = ""] = fields;
    if (format !== FORMAT) {
      throw new Unreadable(`its format is ${JSON.stringify(format)}, and this version reads ${FORMAT}`);
    }
    const text = value.slice(0, value.length - checksum.length - 1);
    const previousSequence = Number(message.header(EXPECTED_SEQUENCE));
    if (
      fields.length !== FIELDS || !CHECKSUM.test(checksum) ||
      parseInt(checksum, 16) !== this.#checksumOf(subject, previousSequence, data, text)
    ) {
      throw new Unreadable("its checksum does not match its bytes");
    }
    const actorId = this.#actorOf(subject);
    if (actorId === undefined) {
      throw new Unreadable(`${JSON.stringify(subject)} is the subject of no actor`);
    }
    const previousVersion = Number(previous);
    return {
      commitId: commitId!,
      actorId,
      sequence,
      previousVersion,
      versions: versionsOf(previousVersion, Number(count), versionList!),
      fence: parseInt(fenced!),
      previousSequence,
      // Whoever reads the log has no use for it.
      get trail(): Trail | undefined {
        const trail = trailText === "-" ? Trail.EMPTY : Trail.decode(trailText!);
        return trail?.previous === previousSequence ? trail : undefined;
      },
    };
  }

  #checksumOf(subject: string, expected: number, body: Uint8Array, text: string): number {
    const rest = `${subject} ${expected} ${text}`; // all of it is ASCII
    if (rest.length > this.#scratch.length) this.#scratch = new Uint8Array(rest.length * 2);
    const { written } = encoder.encodeInto(rest, this.#scratch);
    return this.#checksum(this.#scratch.subarray(0, written), this.#checksum(body, this.#seed));
  }

  #fault(message: LoggedMessage, error: unknown): DamagedHistoryError {
    if (!(error instanceof Unreadable) && !(error instanceof SyntaxError)) throw error;
    const place = { actorId: this.#actorOf(message.subject), position: this.position(message.sequence, 0) };
    return new DamagedHistoryError(`a commit cannot be read: ${error.message}`, place, { cause: error });
  }

  #actorOf(subject: string): string | undefined {
    try {
      return this.#layout.actorId(subject);
    } catch {
      return undefined;
    }
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The header block of a commit that follows the message at a sequence, 0 if none. */
export function commitHeaders(expectedSequence: number, value: string): EncodedHeaders {
  const block = utf8(
    `NATS/1.0\r\n${EXPECTED_SEQUENCE}: ${expectedSequence}\r\n${COMMIT_HEADER}: ${value}\r\n\r\n`,
  );
  return { encode: () => block };
}

/** The version of an actor after a commit, of which only the header was read. */
export function versionAfter({ previousVersion, versions }: CommitHeader): number {
  return versions.at(-1) ?? previousVersion;
}

function versionsOf(previousVersion: number, count: number, list: string): number[] {
  if (list !== "-") return list.split(",").map(Number);
  const versions: number[] = [];
  for (let index = 1; index <= count; index++) versions.push(previousVersion + index);
  return versions;
}
