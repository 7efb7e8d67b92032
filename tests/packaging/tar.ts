/** Reads the archive that `deno publish` uploads. */

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;
/** Where a header says how long the file is, in octal digits. */
const SIZE_AT = 124;
/** Where a header says what the entry is: `0`, or nothing in older archives, for a file. */
const TYPE_AT = 156;

/** The files of a gzipped tar archive, by path. */
export async function unpack(
  archive: Uint8Array<ArrayBuffer>,
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const bytes = await new Response(
    new Blob([archive]).stream().pipeThrough(new DecompressionStream("gzip")),
  ).bytes();
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (let at = 0; at + BLOCK_BYTES <= bytes.length && bytes[at] !== 0;) {
    const name = text(bytes, at, NAME_BYTES);
    const size = Number.parseInt(text(bytes, at + SIZE_AT, 12), 8);
    const type = text(bytes, at + TYPE_AT, 1);
    if (type !== "0" && type !== "") throw new Error(`${name} is of type ${type}: only files are expected`);
    const start = at + BLOCK_BYTES;
    files.set(name, bytes.slice(start, start + size));
    at = start + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return files;
}

function text(bytes: Uint8Array<ArrayBuffer>, start: number, length: number): string {
  return new TextDecoder().decode(bytes.subarray(start, start + length)).replace(/\0.*$/s, "");
}
