/**
 * Values: JSON with a checksum, compressed where that saves room.
 *
 * A value is one digit for the format, three for the number of chunks that follow it under keys of their own, the CRC-32 of
 * all that follows (eight hexadecimal digits), and the body: JSON as UTF-8, as it is or deflated.
 *
 * SQLite keeps up to about a thousand bytes of a key and its value in the page of their neighbours. What is larger gets
 * pages of its own, of 4 KiB each, which nothing else can use.
 *
 * @module
 */

import { MAX_VALUE_BYTES } from "../../deno_kv_limits.ts";
import { utf8 } from "../../text.ts";
import type { Checksum } from "../checksum.ts";

/** The format of a body that is JSON as it is, and of one that is deflated. */
const PLAIN = "1";
const DEFLATED = "2";
const CHUNK_DIGITS = 3;
const CHECKSUM_DIGITS = 8;
const HEAD_BYTES = PLAIN.length + CHUNK_DIGITS + CHECKSUM_DIGITS;
/** A bound for the chunks of a value: the largest commit and the largest snapshot take nine. */
const MAX_CHUNKS = 16;
/** The most bytes of a body, also of one that comes out of a few deflated ones. */
const MAX_BODY_BYTES = MAX_CHUNKS * MAX_VALUE_BYTES;
/**
 * A smaller value has room in the page of its neighbours, and is not deflated: an event of 390 bytes would take 330, and 18 microseconds
 * to read where it takes 8. A dictionary, with which it would take 300 bytes, is ignored by the `node:zlib` of Deno 2.9.
 */
export const LEAST_DEFLATED_BYTES = 900;
/** What is kept deflated is at most this part of what it was. */
const WORTHWHILE = 0.85;
/** Up to twice as fast as the usual level, and 1 to 6 percent larger. Level 1 is faster still, and 20 to 30 percent larger. */
const LEVEL = 2;

const decoder = new TextDecoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

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

/** Reads and writes values. */
export interface ValueFormat {
  /** Turns JSON text into a value, deflated if that saves room. */
  encode(json: string): Encoded;
  /** Turns JSON text into a value as it is. */
  encodePlain(json: string): Encoded;
  /**
   * Turns a whole value, chunks appended, back into what it was.
   *
   * @throws {UnreadableRecord} If it is not what was written.
   */
  decode(bytes: Uint8Array): unknown;
}

/** The checksums of a log: a record of another log does not pass for one of this log. */
export function checksumOf(logId: string, checksum: Checksum): Checksum {
  const seed = checksum(utf8(logId));
  return (bytes) => checksum(bytes, seed);
}

/** Loads the format of a log's values: a record of another log does not pass for one of this log. */
export async function loadValueFormat(checksum: Checksum): Promise<ValueFormat> {
  const { deflateRawSync, inflateRawSync } = await import("node:zlib");
  const seal = (format: string, bytes: Uint8Array<ArrayBuffer>): Encoded => {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    for (let from = MAX_VALUE_BYTES; from < bytes.length; from += MAX_VALUE_BYTES) {
      chunks.push(bytes.slice(from, from + MAX_VALUE_BYTES));
    }
    const sum = checksum(bytes.subarray(HEAD_BYTES)).toString(16).padStart(CHECKSUM_DIGITS, "0");
    const head = format + chunks.length.toString().padStart(CHUNK_DIGITS, "0") + sum;
    for (let index = 0; index < HEAD_BYTES; index++) bytes[index] = head.charCodeAt(index);
    return { value: chunks.length === 0 ? bytes : bytes.slice(0, MAX_VALUE_BYTES), chunks };
  };
  const withRoom = (json: string): Uint8Array<ArrayBuffer> => utf8(NO_HEAD + json);
  return {
    encodePlain: (json) => seal(PLAIN, withRoom(json)),
    encode(json): Encoded {
      const bytes = withRoom(json);
      if (bytes.length <= LEAST_DEFLATED_BYTES) return seal(PLAIN, bytes);
      const deflated = deflateRawSync(bytes.subarray(HEAD_BYTES), { level: LEVEL });
      if (deflated.length > bytes.length * WORTHWHILE) return seal(PLAIN, bytes);
      const shorter = new Uint8Array(HEAD_BYTES + deflated.length);
      shorter.set(deflated, HEAD_BYTES);
      return seal(DEFLATED, shorter);
    },
    decode(bytes): unknown {
      const format = formatOf(bytes);
      const body = checkedBody(bytes, checksum);
      return parsed(format === PLAIN ? body : inflate(inflateRawSync, body));
    },
  };
}

/** Reads values without `node:zlib`, which takes 40 ms to load: what was deflated comes as a promise. */
export function lightValueReader(checksum: Checksum): Pick<ValueFormat, "decode"> {
  return {
    decode(bytes): unknown {
      const format = formatOf(bytes);
      const body = checkedBody(bytes, checksum);
      return format === PLAIN ? parsed(body) : inflateLater(body as Uint8Array<ArrayBuffer>).then(parsed);
    },
  };
}

function checkedBody(bytes: Uint8Array, checksum: Checksum): Uint8Array {
  const body = bytes.subarray(HEAD_BYTES);
  if (checksum(body) === readHex(bytes, HEAD_BYTES - CHECKSUM_DIGITS, HEAD_BYTES)) return body;
  throw new UnreadableRecord("its checksum does not match its bytes");
}

function parsed(json: Uint8Array): unknown {
  try {
    const text = decoder.decode(json); // which takes half as long as a strict one
    return JSON.parse(text.includes("\ufffd") ? strictDecoder.decode(json) : text);
  } catch (cause) {
    throw new UnreadableRecord("it is not JSON", { cause });
  }
}

const NO_HEAD = " ".repeat(HEAD_BYTES);

function formatOf(bytes: Uint8Array): string {
  if (bytes.length < HEAD_BYTES) throw new ForeignValue("the value is not a record");
  const format = String.fromCharCode(bytes[0]!);
  if (format === PLAIN || format === DEFLATED) return format;
  throw new UnreadableRecord(`its format is ${JSON.stringify(format)}, and not ${PLAIN} or ${DEFLATED}`);
}

function inflate(
  inflateRawSync: (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array,
  body: Uint8Array,
): Uint8Array {
  try {
    return inflateRawSync(body, { maxOutputLength: MAX_BODY_BYTES });
  } catch (cause) {
    throw new UnreadableRecord("it cannot be inflated", { cause });
  }
}

async function inflateLater(body: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  const { readable, writable } = new DecompressionStream("deflate-raw");
  const reader = readable.getReader();
  const writer = writable.getWriter();
  // What is wrong is reported by the other side too.
  void writer.write(body).catch(() => {});
  void writer.close().catch(() => {});
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      length += value.length;
      if (length > MAX_BODY_BYTES) throw new RangeError(`it has more than ${MAX_BODY_BYTES} bytes`);
      parts.push(value);
    }
  } catch (cause) {
    void reader.cancel().catch(() => {});
    throw new UnreadableRecord("it cannot be inflated", { cause });
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The bytes that a value takes in a file: the pages of its own that it needs count whole. */
export function roomOf(length: number): number {
  if (length <= LEAST_DEFLATED_BYTES) return length;
  return INNER_BYTES + Math.ceil((length - INNER_BYTES) / PAGE_BYTES) * PAGE_BYTES;
}

/** What SQLite keeps with the neighbours of a large value, and the size of a page. */
const INNER_BYTES = 489;
const PAGE_BYTES = 4_096;

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
