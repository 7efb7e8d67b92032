/**
 * Reads the messages of a log as commits, whose form `commit_header.ts` describes, and finds what has changed in them.
 *
 * @module
 */

import { utf8 } from "../../../text.ts";
import { versionsFault } from "../../continuity.ts";
import { type Checksum, CHECKSUM_DIGITS, checksumText, readChecksum } from "../../checksum.ts";
import { DamagedHistoryError } from "../../errors.ts";
import { NO_PROOF, proofOf } from "../../position.ts";
import {
  COMMIT_HEADER,
  CommitHeader,
  FORMAT,
  type HeaderFields,
  MAX_EVENTS,
  REPAIR,
  REPAIR_LIST,
  StoredCommit,
} from "./commit_header.ts";
import {
  BLANK,
  CARRIAGE_RETURN,
  ChangedCommit,
  Cursor,
  DASH,
  LETTER_U,
  Unreadable,
} from "./header_cursor.ts";
import { type Layout, NO_ACTOR } from "./layout.ts";
import { EXPECTED_SEQUENCE } from "../../../nats/jetstream/header_names.ts";
import { type MessageBytes, payloadOf } from "../../../nats/jetstream/stored_message.ts";
import { LAST_INDEX, type Place, StreamPositions } from "./stream_positions.ts";
import type { TextRun } from "../../../nats/jetstream/text_run.ts";

/** The fields of a commit from its id on, and its checksum, at any place in a header block. */
const COMMIT_FIELDS =
  /([0-9a-z]{1,40} [0-9]{1,16} [0-9]{1,4} [0-9]{1,16}u? [0-9,~-]+ [0-9a-z,;-]+) ([0-9a-f]{8})/;
const NUMBER_AT_END = /(?:0|[1-9][0-9]*)$/;
const DIGITS_AT_START = /^[0-9]+/;

/** How the headers' lines begin. */
const COMMIT_LINE = `\r\n${COMMIT_HEADER}: `;
const EXPECTED_LINE = `\r\n${EXPECTED_SEQUENCE}: `;

/** Where the fields behind the format begin in a commit's line. */
const FIELDS_OFFSET = `${COMMIT_LINE}${FORMAT} `.length;

/** How many subjects are remembered with their actors. */
const MAX_SUBJECTS = 32 * 1024;

/** Memory for what the checksum of a message of usual size covers. */
const SCRATCH_BYTES = 64 * 1024;

/** A value that was read, or why it cannot be read. */
export type OrFault<T> = T | DamagedHistoryError;

/**
 * Whether a message that cannot be read was never a commit of this log: another program published it. A commit whose
 * bytes have changed is not such a message.
 */
export function isStray({ cause }: DamagedHistoryError): boolean {
  return cause instanceof Error && !(cause instanceof ChangedCommit);
}

/** Reads the messages of one log, which a `CommitEncoder` has written. */
export class CommitDecoder {
  readonly #layout: Layout;
  readonly #checksum: Checksum;
  readonly #seed: number;
  readonly #scratch = new Uint8Array(SCRATCH_BYTES);
  readonly #actorIds = new Map<string, string>();
  readonly #places: StreamPositions;

  constructor(logId: string, layout: Layout, checksum: Checksum) {
    this.#places = new StreamPositions(logId);
    this.#layout = layout;
    this.#checksum = checksum;
    this.#seed = checksum(utf8(logId));
  }

  /**
   * Reads the header of a message and compares its checksum.
   *
   * @returns The fault, if it is not a commit or has changed.
   */
  header(message: MessageBytes): OrFault<CommitHeader> {
    try {
      return new CommitHeader(this.#fields(message, blockText(message), 0));
    } catch (error) {
      return this.#fault(message, error);
    }
  }

  /**
   * Reads a commit; its events are as they were stored, with their schema versions.
   *
   * @param run The text of this message and others, if it is decoded already.
   * @returns The fault, if it is not a commit or has changed.
   */
  read(message: MessageBytes, run: TextRun | undefined = message.run): OrFault<StoredCommit> {
    try {
      const { bytes, headerLength, sequence } = message;
      const text = run ? run.text : decoder.decode(bytes);
      const start = run ? bytes.byteOffset - run.start : 0;
      // Text that is decoded alone may have fewer characters than bytes.
      const isPlain = run !== undefined || text.length === bytes.length;
      // The checksum is compared first, so that a changed commit is not taken for a stray message.
      const fields = this.#fields(message, isPlain ? text : blockText(message), start);
      const body = isPlain
        ? text.slice(start + headerLength, start + bytes.length)
        : strictDecoder.decode(payloadOf(message));
      // In a text with one character for each byte, this character replaces a byte that is not UTF-8.
      if (isPlain && body.includes(REPLACEMENT)) throw new Unreadable("its bytes are not UTF-8");
      const proof = proofOf(fields.checksum);
      const positionOf = (index: number): string => this.#places.position(sequence, index, proof);
      return new StoredCommit(fields, JSON.parse(body), positionOf);
    } catch (error) {
      return this.#fault(message, error);
    }
  }

  /** The position of an event of a commit. */
  position(sequence: number, index: number, checksum: number): string {
    return this.#places.position(sequence, index, proofOf(checksum));
  }

  /** The position of the first event of a message; without a proof if the message is missing or cannot be read. */
  placeOf(sequence: number, message: MessageBytes | undefined): string {
    const header = message && this.header(message);
    const isKnown = header !== undefined && !(header instanceof DamagedHistoryError);
    return this.#places.position(sequence, 0, isKnown ? proofOf(header.checksum) : NO_PROOF);
  }

  /** The position of a reader that has read all of a commit. */
  endOf({ sequence, versions, checksum }: CommitHeader): string {
    return this.position(sequence, versions.length > 0 ? versions.length - 1 : LAST_INDEX, checksum);
  }

  /**
   * Whether a position is that of an event of a commit, or of its end.
   *
   * @param position A position with the sequence of the commit.
   */
  isIn({ sequence, versions, checksum }: CommitHeader, position: string): boolean {
    const { index } = this.place(position);
    if (position !== this.position(sequence, index, checksum)) return false;
    return index === LAST_INDEX || index < Math.max(1, versions.length);
  }

  /**
   * The place that a position names.
   *
   * @throws {InvalidPositionError} If it is malformed or of another log.
   */
  place(position: string): Place {
    return this.#places.place(position);
  }

  /**
   * Reads the header of a message and compares its checksum.
   *
   * @param text A text with one character for each byte of the header block.
   * @param start The index at which the block begins in it.
   */
  #fields(message: MessageBytes, text: string, start: number): HeaderFields {
    const { subject, sequence, bytes, headerLength } = message;
    // Its text may be followed by those of many messages, which need not be searched.
    if (headerLength === 0) throw new Unreadable("it has no headers");
    const end = start + headerLength;
    const from = text.indexOf(COMMIT_LINE, start) + COMMIT_LINE.length;
    const to = text.indexOf("\r", from);
    if (from < COMMIT_LINE.length || to < from || to >= end) {
      throw this.#unreadable(message, text.slice(start, end), "it has no header of a commit");
    }
    const expected = text.indexOf(EXPECTED_LINE, start) + EXPECTED_LINE.length;
    if (expected < EXPECTED_LINE.length || expected >= end) {
      throw this.#unreadable(message, text.slice(start, end), "it was stored without a guard");
    }
    const cursor = new Cursor(bytes, from - start);
    if (!cursor.takes(FORMAT)) {
      const value = JSON.stringify(text.slice(from, from + FORMAT_SHOWN).split(" ", 1)[0]);
      const reason = `its format is ${value}, and this version reads ${FORMAT}`;
      throw this.#unreadable(message, text.slice(start, end), reason);
    }
    const guard = new Cursor(bytes, expected - start);
    const guarded = guard.tryNumber(CARRIAGE_RETURN);
    if (guarded === undefined) {
      // The server refuses a guard that is not a number, except an empty one.
      const isEmpty = bytes[expected - start] === CARRIAGE_RETURN;
      throw isEmpty ? new Unreadable("its guard is empty") : new ChangedCommit("its guard is not a number");
    }
    const checksumAt = to - start - CHECKSUM_DIGITS;
    const checksum = this.#checksumOf(message, expected - start, guard.at - 1, from - start, checksumAt - 1);
    if (checksum !== readChecksum(bytes, checksumAt) || bytes[checksumAt - 1] !== BLANK) {
      throw new ChangedCommit("its checksum does not match its bytes");
    }
    const actorId = this.#actorOf(message);
    if (actorId === undefined) {
      throw new Unreadable(`${JSON.stringify(subject)} is not the subject of an actor`);
    }
    cursor.skip(); // the commit's id
    const previousVersion = cursor.number(BLANK);
    const count = cursor.number(BLANK);
    const fence = cursor.number(BLANK, LETTER_U);
    const listAt = cursor.at;
    cursor.skip();
    const isPlain = bytes[listAt] === DASH && cursor.at - listAt === 2;
    const list = isPlain ? undefined : text.slice(start + listAt, start + cursor.at - 1);
    cursor.skip(); // the trail
    if (cursor.at !== checksumAt) throw new Unreadable("its header does not have the fields of a commit");
    // The checksum is not secret: any client that may publish to the subject can forge what it covers.
    if (count > MAX_EVENTS) {
      throw new Unreadable(`it names ${count} events, and a commit has ${MAX_EVENTS} at most`);
    }
    if (guarded >= sequence) {
      throw new Unreadable(`it is stored at sequence ${sequence}, and follows sequence ${guarded}`);
    }
    const isRepair = list !== undefined && list.startsWith(REPAIR);
    const previousSequence = isRepair ? repairedAfter(list, guarded) : guarded;
    const versions = list === undefined || isRepair
      ? following(previousVersion, isRepair ? 0 : count)
      : list.split(",").map(versionOf);
    const fault = versionsFault(previousVersion, versions, count);
    if (fault !== undefined) throw new Unreadable(fault);
    const value = text.slice(from, to);
    return { actorId, sequence, previousVersion, versions, fence, previousSequence, checksum, value };
  }

  /**
   * The checksum that a message should have. What it covers is copied into one array, because a second call of the
   * checksum costs more.
   *
   * @param guard The index of the expected sequence; `guardEnd` is that of its end.
   * @param fields The index of the fields of the header; `fieldsEnd` is that of their end.
   */
  #checksumOf(
    { subject, bytes, headerLength }: MessageBytes,
    guard: number,
    guardEnd: number,
    fields: number,
    fieldsEnd: number,
  ): number {
    const most = bytes.length * 2 + subject.length + 1;
    const scratch = most <= this.#scratch.length ? this.#scratch : new Uint8Array(most);
    scratch.set(bytes);
    let length = bytes.length;
    for (let index = 0; index < subject.length; index++) scratch[length++] = subject.charCodeAt(index);
    scratch[length++] = BLANK;
    for (let index = guard; index < guardEnd; index++) scratch[length++] = bytes[index]!;
    scratch[length++] = BLANK;
    for (let index = fields; index < fieldsEnd; index++) scratch[length++] = bytes[index]!;
    return this.#checksum(scratch.subarray(headerLength, length), this.#seed);
  }

  /** The error of a message without a valid header: it may be a commit whose header has changed. */
  #unreadable(message: MessageBytes, block: string, reason: string): Unreadable {
    return this.#isChanged(message, block)
      ? new ChangedCommit("the bytes of its header have changed")
      : new Unreadable(reason);
  }

  /** Whether the checksum in a header block matches if the bytes that it does not cover are corrected. */
  #isChanged(message: MessageBytes, block: string): boolean {
    const commitAt = block.indexOf(COMMIT_LINE);
    const found = COMMIT_FIELDS.exec(commitAt < 0 ? block : block.slice(commitAt + FIELDS_OFFSET));
    if (!found) return false;
    const guardAt = block.indexOf(EXPECTED_LINE);
    const guardEnd = commitAt < 0 ? Math.max(0, found.index - FIELDS_OFFSET) : commitAt;
    const guard = guardAt < 0
      ? NUMBER_AT_END.exec(block.slice(0, guardEnd))
      : DIGITS_AT_START.exec(block.slice(guardAt + EXPECTED_LINE.length));
    if (!guard) return false;
    const covered = `${message.subject} ${guard[0]} ${FORMAT} ${found[1]}`;
    const checksum = this.#checksum(utf8(covered), this.#checksum(payloadOf(message), this.#seed));
    return checksumText(checksum) === found[2];
  }

  #fault(message: MessageBytes, error: unknown): DamagedHistoryError {
    const place = {
      actorId: this.#actorOf(message),
      position: this.placeOf(message.sequence, undefined),
    };
    const reason = error instanceof Error ? error.message : String(error);
    const { actorId } = place;
    const mayBeStray = error instanceof Error && !(error instanceof ChangedCommit) && actorId &&
      actorId !== NO_ACTOR;
    return new DamagedHistoryError(
      mayBeStray ? `a message is not a commit: ${reason}` : `a commit cannot be read: ${reason}`,
      place,
      { cause: error, advice: mayBeStray ? adviceOn(actorId) : undefined },
    );
  }

  #actorOf({ subject, known }: MessageBytes): string | undefined {
    return known ? known.decoded ??= this.#lookUp(subject) : this.#lookUp(subject);
  }

  #lookUp(subject: string): string | undefined {
    let actorId = this.#actorIds.get(subject);
    if (actorId !== undefined) return actorId;
    // A new string: a slice would keep the text in memory that it is a part of, which may be that of many messages.
    const key = decoder.decode(utf8(subject));
    try {
      actorId = this.#layout.actorId(key);
    } catch {
      return undefined; // not the subject of an actor
    }
    if (this.#actorIds.size >= MAX_SUBJECTS) this.#actorIds.clear();
    this.#actorIds.set(key, actorId);
    return actorId;
  }
}

/** What to do about a message that was never a commit. */
function adviceOn(actorId: string): string {
  return "Another program has published it to the subject of the actor: deny that, and call " +
    `JetStreamEventStore.repairActor(${JSON.stringify(actorId)}) to pass over it`;
}

/** The text of the header block, with one character for each byte. */
function blockText({ bytes, headerLength }: MessageBytes): string {
  const block = bytes.subarray(0, headerLength);
  const text = decoder.decode(block);
  return text.length === headerLength
    ? text
    : Array.from(block, (byte) => String.fromCharCode(byte)).join("");
}

const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });
/** What a decoder writes for a byte that is not UTF-8. */
const REPLACEMENT = "\ufffd";
/** How many characters of an unknown format are shown. */
const FORMAT_SHOWN = 20;

/** A version from its digits; `NaN` if it is not one. */
function versionOf(digits: string): number {
  return /^[0-9]{1,16}$/.test(digits) ? Number(digits) : NaN;
}

/**
 * The sequence of the commit before a repair.
 *
 * @param list The field that it has in place of versions.
 * @param guarded The sequence of the last message that it passes over.
 * @throws {Unreadable} If the list does not fit that.
 */
function repairedAfter(list: string, guarded: number): number {
  const fields = REPAIR_LIST.exec(list);
  const [previous, count] = fields ? [Number(fields[1]), Number(fields[2])] : [NaN, NaN];
  if (!(count >= 1 && previous + count <= guarded)) {
    throw new Unreadable(`it passes over messages up to sequence ${guarded}, and its list is "${list}"`);
  }
  return previous;
}

function following(previousVersion: number, count: number): number[] {
  const versions: number[] = [];
  for (let index = 1; index <= count; index++) versions.push(previousVersion + index);
  return versions;
}
