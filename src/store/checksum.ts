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

/** A checksum as eight hexadecimal digits. */
export function checksumText(checksum: number): string {
  return checksum.toString(16).padStart(8, "0");
}
