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
import { UnreadableRecord } from "./value_format.ts";

/** The characters of a UUID's base64. */
const PACKED_LENGTH = 22;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** Twelve bits are three hexadecimal digits and two of base64: the texts of both, and the six bits of a base64 digit. */
const PAIRS: readonly string[] = Array.from(
  { length: 4096 },
  (_, bits) => DIGITS[bits >> 6]! + DIGITS[bits & 63]!,
);
const TRIPLES: readonly string[] = Array.from(
  { length: 4096 },
  (_, bits) => bits.toString(16).padStart(3, "0"),
);
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
let unpackedTime = NaN;
let unpackedText = "";

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
  if (time === unpackedTime) return unpackedText;
  if (typeof time !== "number" || !(Math.abs(time) <= 8.64e15)) return undefined;
  unpackedText = new Date(time).toISOString();
  unpackedTime = time;
  return unpackedText;
}

function unpackId(id: unknown): unknown {
  if (typeof id !== "string") return Array.isArray(id) && id.length === 1 ? id[0] : undefined;
  if (id.length !== PACKED_LENGTH) throw new UnreadableRecord("the id of an event is cut");
  let hex = "";
  for (let index = 0; index < PACKED_LENGTH; index += 2) {
    const bits = (SIX_BITS[id.charCodeAt(index)] ?? -1) << 6 | (SIX_BITS[id.charCodeAt(index + 1)] ?? -1);
    if (bits < 0) throw new UnreadableRecord("the id of an event cannot be read");
    hex += TRIPLES[bits]!;
  }
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${
    hex.slice(20, 32)
  }`;
}
