/**
 * Records as JSON with a checksum before it: eight hexadecimal digits of CRC-32.
 *
 * @module
 */

import { utf8 } from "../../../text.ts";
import { type Checksum, checksumText } from "../../checksum.ts";

const CHECKSUM_DIGITS = 8;

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Writes JSON text with its checksum. */
export function encodeChecked(json: string, checksum: Checksum): Uint8Array {
  return utf8(checksumText(checksum(utf8(json))) + json);
}

/** Reads JSON with its checksum; `undefined` if it has changed. */
export function decodeChecked(bytes: Uint8Array, checksum: Checksum): unknown {
  const json = bytes.subarray(CHECKSUM_DIGITS);
  try {
    if (decoder.decode(bytes.subarray(0, CHECKSUM_DIGITS)) !== checksumText(checksum(json))) return undefined;
    return JSON.parse(decoder.decode(json));
  } catch {
    return undefined;
  }
}
