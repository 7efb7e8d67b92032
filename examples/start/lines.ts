/** Reads a file line by line, as bytes: the decoder of each format decides what is text. */

const LINE_FEED = 10;

/** A line of a file. */
export interface Line {
  /** Its number, from 1. */
  readonly number: number;
  /** Its bytes, with the line end. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Reads lines in bounded memory (that of the longest line).
 *
 * @param path The file.
 * @param first The number of the first line to hand out.
 * @param onBytes Called with how many bytes have been read so far.
 */
export async function* readLines(
  path: string,
  first: number,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Line> {
  using file = await Deno.open(path);
  const buffer = new Uint8Array(256 * 1024);
  let begun: Uint8Array<ArrayBuffer> = new Uint8Array();
  let number = 1;
  let total = 0;
  for (;;) {
    const size = await file.read(buffer);
    if (size === null) break;
    onBytes(total += size);
    let start = 0;
    for (;;) {
      const end = buffer.subarray(0, size).indexOf(LINE_FEED, start) + 1;
      const bytes = buffer.slice(start, end || size);
      const line = begun.length > 0 ? join(begun, bytes) : bytes;
      if (end === 0) {
        begun = line;
        break;
      }
      begun = new Uint8Array();
      if (number >= first) yield { number, bytes: line };
      number++;
      start = end;
    }
  }
  if (begun.length > 0 && number >= first) yield { number, bytes: begun };
}

function join(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(head.length + tail.length);
  joined.set(head);
  joined.set(tail, head.length);
  return joined;
}
