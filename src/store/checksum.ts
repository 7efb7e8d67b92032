/**
 * The checksum of stored bytes: CRC-32, native in the runtime.
 *
 * @module
 */

/** Computes the CRC-32 of bytes, optionally going on from that of the bytes before them. */
export type Checksum = (bytes: Uint8Array, previous?: number) => number;

/** Loads it: `node:zlib` takes 40 ms, which only those pay who open a store. */
export async function loadChecksum(): Promise<Checksum> {
  const { crc32 } = await import("node:zlib");
  return crc32;
}

/** The same without `node:zlib`, for a program that reads some kilobytes and ends. */
export function plainChecksum(): Checksum {
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? rest >>> 1 ^ POLYNOMIAL : rest >>> 1;
    return rest;
  });
  return (bytes, previous = 0) => {
    let rest = ~previous;
    for (const byte of bytes) rest = table[(rest ^ byte) & 0xff]! ^ rest >>> 8;
    return ~rest >>> 0;
  };
}

const POLYNOMIAL = 0xedb88320;

/** How many digits a checksum has. */
export const CHECKSUM_DIGITS = 8;

/** A checksum as eight hexadecimal digits. */
export function checksumText(checksum: number): string {
  return checksum.toString(16).padStart(CHECKSUM_DIGITS, "0");
}

/** Reads a checksum back from its text; not a number if it is none. */
export function readChecksum(bytes: Uint8Array, at: number): number {
  let checksum = 0;
  for (let index = at; index < at + CHECKSUM_DIGITS; index++) {
    const code = bytes[index]!;
    if (code >= DIGIT_0 && code <= DIGIT_9) checksum = checksum << 4 | code - DIGIT_0;
    else if (code >= DIGIT_A && code <= DIGIT_F) checksum = checksum << 4 | code - DIGIT_A + 10;
    else return NaN;
  }
  return checksum >>> 0;
}

const HEX = new TextEncoder().encode("0123456789abcdef");

/** Writes the text of a checksum into bytes. */
export function writeChecksum(checksum: number, bytes: Uint8Array, at: number): void {
  for (let digit = 0; digit < CHECKSUM_DIGITS; digit++) {
    bytes[at + digit] = HEX[checksum >>> 28 - 4 * digit & 0xf]!;
  }
}

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const DIGIT_A = 97;
const DIGIT_F = 102;
