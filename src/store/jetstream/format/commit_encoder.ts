/**
 * Writes commits as messages; `CommitDecoder` reads them.
 *
 * @module
 */

import { type EncodedHeaders, encodeHeaders } from "../../../nats/headers.ts";
import { utf8 } from "../../../text.ts";
import { type Checksum, CHECKSUM_DIGITS, writeChecksum } from "../../checksum.ts";
import { joined } from "../../../nats/jetstream/batch.ts";
import type { OutgoingMessage } from "../../../nats/jetstream/publication.ts";
import { EXPECTED_SEQUENCE, EXPECTED_SUBJECT } from "../../../nats/jetstream/header_names.ts";
import { COMMIT_HEADER, FORMAT, REPAIR } from "./commit_header.ts";
import { Trail } from "./trail.ts";

/** What is to be stored. */
export interface CommitFields {
  /** The commit's random id. */
  readonly commitId: string;
  /** The actor's version before the commit. */
  readonly previousVersion: number;
  /** The versions of its events. */
  readonly versions: readonly number[];
  /** The actor's newest fencing token once it is stored, 0 without one. */
  readonly fence: number;
  /** Whether the commit itself has no token. */
  readonly unfenced: boolean;
  /** The stream sequence of the actor's commit before, which the server has to expect; 0 without one. */
  readonly previousSequence: number;
  /** The earlier commits of the actor. */
  readonly trail: Trail;
  /** The field in place of the versions. */
  readonly list?: string;
}

/** What a repair passes over. */
export interface PassedOver {
  /** The stream sequence of the last message. */
  readonly lastSequence: number;
  /** How many they are. */
  readonly count: number;
}

/**
 * Memory that many messages share: an allocation takes longer than encoding a message (measured: 0.6 and 0.15 us).
 */
const CHUNK_BYTES = 64 * 1024;
/** Larger messages get memory of their own. */
const MOST_SHARED_BYTES = CHUNK_BYTES / 4;
/** The most bytes of one UTF-16 code unit in UTF-8. */
const BYTES_PER_CODE_UNIT = 3;

const encoder = new TextEncoder();

const BEGINNING = encoder.encode(`NATS/1.0\r\n${EXPECTED_SEQUENCE}: `);
const MIDDLE = encoder.encode(`\r\n${COMMIT_HEADER}: ${FORMAT} `);
const END = encoder.encode("\r\n\r\n");
/** More than all names, separators and numbers of a message take. */
const FIXED_BYTES = 512;

const SPACE = 0x20;
const DIGIT_0 = 0x30;

/** Writes the messages of one log. */
export class CommitEncoder {
  readonly #crc: Checksum;
  readonly #seed: number;
  /** The memory that is written to. It is not reused: its messages may have to be sent again. */
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(CHUNK_BYTES);
  #end = 0;
  /** The checksum of the message that was written last. */
  checksum = 0;

  constructor(logId: string, checksum: Checksum) {
    this.#crc = checksum;
    this.#seed = checksum(utf8(logId));
  }

  /**
   * The message of a commit. The header block, the body and the rest that the checksum covers are written one after the
   * other, ASCII text byte by byte. Joining strings costs several times as much.
   *
   * @param subject The actor's subject.
   * @param body The events as a JSON array.
   */
  encode(subject: string, body: string, fields: CommitFields): OutgoingMessage {
    const { commitId, previousVersion, versions, fence, unfenced, previousSequence } = fields;
    const list = fields.list ?? (isGapped(previousVersion, versions) ? versions.join(",") : "-");
    const trail = fields.trail.encode() || "-";
    const ascii = subject.length + commitId.length + 2 * (list.length + trail.length);
    const bound = body.length * BYTES_PER_CODE_UNIT;
    const large = bound > MOST_SHARED_BYTES ? utf8(body) : undefined;
    this.#reserve(FIXED_BYTES + ascii + (large ? large.length : bound));

    const start = this.#end;
    this.#set(BEGINNING);
    this.#number(previousSequence);
    this.#set(MIDDLE);
    const text = this.#end - FORMAT.length - 1;
    this.#ascii(commitId);
    this.#spaced(previousVersion);
    this.#spaced(versions.length);
    this.#spaced(fence);
    if (fence > 0 && unfenced) this.#ascii("u");
    this.#bytes[this.#end++] = SPACE;
    this.#ascii(list);
    this.#bytes[this.#end++] = SPACE;
    this.#ascii(trail);
    const textEnd = this.#end;
    this.#bytes[this.#end++] = SPACE;
    this.#end += CHECKSUM_DIGITS;
    this.#set(END);

    const bodyStart = this.#end;
    if (large) this.#set(large);
    else this.#end += encoder.encodeInto(body, this.#bytes.subarray(bodyStart)).written;
    const bodyEnd = this.#end;

    this.#ascii(subject);
    this.#spaced(previousSequence);
    this.#bytes[this.#end++] = SPACE;
    this.#bytes.copyWithin(this.#end, text, textEnd);
    this.#end += textEnd - text;
    const covered = this.#bytes.subarray(bodyStart, this.#end);
    this.checksum = this.#crc(covered, this.#seed);
    writeChecksum(this.checksum, this.#bytes, textEnd + 1);
    this.#end = bodyEnd; // the rest is not sent, and is overwritten by the next message

    const data = this.#bytes.subarray(bodyStart, bodyEnd);
    return { subject, data, headers: new HeaderBlock(this.#bytes.subarray(start, bodyStart)) };
  }

  /** The message of a repair: a commit without events whose guard is the last message that it passes over. */
  encodeRepair(
    subject: string,
    fields: Omit<CommitFields, "versions" | "list">,
    { lastSequence, count }: PassedOver,
  ): OutgoingMessage {
    const list = `${REPAIR}${fields.previousSequence},${count}`;
    return this.encode(subject, "[]", { ...fields, versions: [], previousSequence: lastSequence, list });
  }

  /**
   * The message of a condition: it stores no event, and the whole commit is refused if the actor has moved on.
   *
   * @param subject The subject of the message, which is not that of an actor.
   * @param actorSubject The subject of the actor that the condition is on.
   * @param sequence The stream sequence of that actor's last commit.
   */
  encodeCondition(
    subject: string,
    actorSubject: string,
    commitId: string,
    sequence: number,
  ): OutgoingMessage {
    const { data, headers } = this.encode(subject, "[]", {
      commitId,
      previousVersion: 0,
      versions: [],
      fence: 0,
      unfenced: false,
      previousSequence: sequence,
      trail: Trail.EMPTY,
    });
    const guard = encodeHeaders([[EXPECTED_SUBJECT, actorSubject]]);
    return { subject, data, headers: joined(guard, headers!) };
  }

  /** Makes room after the last message. */
  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#bytes.length) return;
    this.#bytes = new Uint8Array(bytes > MOST_SHARED_BYTES ? bytes : CHUNK_BYTES);
    this.#end = 0;
  }

  #set(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  #ascii(text: string): void {
    const bytes = this.#bytes;
    let end = this.#end;
    for (let index = 0; index < text.length; index++) bytes[end++] = text.charCodeAt(index);
    this.#end = end;
  }

  #spaced(number: number): void {
    this.#bytes[this.#end++] = SPACE;
    this.#number(number);
  }

  #number(number: number): void {
    if (number < 10) this.#bytes[this.#end++] = DIGIT_0 + number;
    else this.#ascii(String(number));
  }
}

/** An encoded header block. */
class HeaderBlock implements EncodedHeaders {
  readonly block: Uint8Array;

  constructor(block: Uint8Array) {
    this.block = block;
  }

  encode(): Uint8Array {
    return this.block;
  }
}

function isGapped(previousVersion: number, versions: readonly number[]): boolean {
  for (let index = 0; index < versions.length; index++) {
    if (versions[index] !== previousVersion + 1 + index) return true;
  }
  return false;
}
