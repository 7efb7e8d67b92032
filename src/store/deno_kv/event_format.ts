/**
 * Events as they are stored: lists instead of objects, with ids and times in fewer bytes. An event is stored twice.
 *
 * ```text
 * [id, eventType, timestamp, data]
 * [id, eventType, timestamp, data, metadata or null, schemaVersion]
 * ```
 *
 * A UUID has the base64 of its bytes, another id a list of its own. A timestamp in milliseconds is a number.
 *
 * @module
 */

import { encodeEvent } from "../../event/codec.ts";
import type { Draft } from "../../event/draft.ts";
import { formatTime } from "../../event/timestamp.ts";
import { UnreadableRecord } from "./value_format.ts";

/** The characters of a UUID's base64. */
const PACKED_LENGTH = 22;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** Twelve bits are three hexadecimal digits and two of base64: the texts of both and of parts, and the six bits of a base64 digit. */
const PAIRS: readonly string[] = Array.from(
  { length: 4096 },
  (_, bits) => DIGITS[bits >> 6]! + DIGITS[bits & 63]!,
);
const TRIPLES: readonly string[] = Array.from(
  { length: 4096 },
  (_, bits) => bits.toString(16).padStart(3, "0"),
);
const BYTES: readonly string[] = Array.from(
  { length: 256 },
  (_, bits) => bits.toString(16).padStart(2, "0"),
);
const HEX: readonly string[] = [..."0123456789abcdef"];
const SIX_BITS: readonly number[] = Array.from(
  { length: 128 },
  (_, code) => DIGITS.indexOf(String.fromCharCode(code)),
);
const DASH = "-".charCodeAt(0);

/**
 * An event as JSON text.
 *
 * @throws {EventTooLargeError} If it is over the limit, which is one on its usual JSON.
 */
export function packEvent(draft: Draft, bytesPerEvent: number): string {
  if (draft.most > bytesPerEvent) encodeEvent(draft, bytesPerEvent);
  const { id, eventType, timestamp, data, metadata } = draft.event;
  const { schemaVersion } = draft;
  const packedId = packId(id);
  const text = `[${packedId === undefined ? `[${JSON.stringify(id)}]` : `"${packedId}"`},` +
    `${JSON.stringify(eventType)},${packTime(timestamp)},${JSON.stringify(data)}`;
  if (schemaVersion !== 1) {
    return `${text},${metadata === undefined ? null : JSON.stringify(metadata)},${schemaVersion}]`;
  }
  return metadata === undefined ? `${text}]` : `${text},${JSON.stringify(metadata)}]`;
}

/** The base64 of a UUID in lower case; `undefined` if the id is none. By hand: it is done for every event. */
function packId(id: string): string | undefined {
  if (id.length !== 36) return undefined;
  let packed = "";
  let bits = 0;
  let digits = 0;
  for (let index = 0; index < 36; index++) {
    const code = id.charCodeAt(index);
    if (index === 8 || index === 13 || index === 18 || index === 23) {
      if (code !== DASH) return undefined;
      continue;
    }
    const digit = code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : -1;
    if (digit < 0) return undefined;
    bits = bits << 4 | digit;
    if (++digits % 3 !== 0) continue;
    packed += PAIRS[bits]!;
    bits = 0;
  }
  return packed + PAIRS[bits << 4]!; // two digits are left
}

// Many events have the time of the one before.
let packedText = "";
let packedTime = NaN;

function packTime(timestamp: string): number {
  if (timestamp !== packedText) {
    packedTime = Date.parse(timestamp);
    packedText = timestamp;
  }
  return packedTime;
}

/**
 * An event from its list, as it is in its usual JSON; whether its fields are those of an event is still to be checked.
 *
 * @throws {UnreadableRecord} If it is no such list.
 */
export function unpackEvent(list: unknown): unknown {
  if (!Array.isArray(list)) throw new UnreadableRecord("an event of it is not a list");
  const [id, eventType, time, data, metadata, schemaVersion] = list as unknown[];
  return {
    id: unpackId(id),
    eventType,
    timestamp: unpackTime(time),
    data,
    metadata: metadata === null && schemaVersion !== undefined ? undefined : metadata,
    schemaVersion,
  };
}

function unpackTime(time: unknown): string | undefined {
  return Number.isInteger(time) && Math.abs(time as number) <= 8.64e15
    ? formatTime(time as number)
    : undefined;
}

function unpackId(id: unknown): unknown {
  if (typeof id !== "string") return Array.isArray(id) && id.length === 1 ? id[0] : undefined;
  if (id.length !== PACKED_LENGTH) throw new UnreadableRecord("the id of an event is cut");
  const a = twelveBits(id, 0);
  const b = twelveBits(id, 2);
  const c = twelveBits(id, 4);
  const d = twelveBits(id, 6);
  const e = twelveBits(id, 8);
  const f = twelveBits(id, 10);
  const g = twelveBits(id, 12);
  const h = twelveBits(id, 14);
  const i = twelveBits(id, 16);
  const j = twelveBits(id, 18);
  const k = twelveBits(id, 20);
  if ((a | b | c | d | e | f | g | h | i | j | k) < 0) {
    throw new UnreadableRecord("the id of an event cannot be read");
  }
  // One expression: this is done for every event, and a text that grows in a loop takes twice as long.
  return TRIPLES[a]! + TRIPLES[b]! + BYTES[c >> 4]! + "-" + HEX[c & 15]! + TRIPLES[d]! + "-" + TRIPLES[e]! +
    HEX[f >> 8]! + "-" + BYTES[f & 255]! + BYTES[g >> 4]! + "-" + HEX[g & 15]! + TRIPLES[h]! + TRIPLES[i]! +
    TRIPLES[j]! + BYTES[k >> 4]!;
}

/** The bits of two base64 digits; negative if they are none. */
function twelveBits(text: string, at: number): number {
  return (SIX_BITS[text.charCodeAt(at)] ?? -1) << 6 | (SIX_BITS[text.charCodeAt(at + 1)] ?? -1);
}
