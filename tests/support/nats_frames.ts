/**
 * Splits a stream of bytes of the NATS client protocol, in either direction, into its frames.
 *
 * @module
 */

/** One frame: a control line, or a message with its payload. */
export interface NatsFrame {
  /** The verb in upper case: `MSG`, `HMSG`, `PUB`, `HPUB`, `INFO`, `PING`, `+OK` ... */
  readonly verb: string;
  /** The whole frame as it came, line ends included. */
  readonly bytes: Uint8Array;
  /** A message's subject; undefined for frames that carry none. */
  readonly subject?: string;
  /** A message's reply subject, if it has one. */
  readonly reply?: string;
  /** A message's header block as text, from `NATS/1.0` on; empty if it has none. */
  readonly headers: string;
  /** A message's payload without its headers; empty for control lines. */
  readonly payload: Uint8Array;
}

const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const EMPTY = new Uint8Array(0);

/** Keeps what is incomplete until the next chunk arrives. */
export class NatsFrameSplitter {
  #pending: Uint8Array = EMPTY;

  /** Takes the next chunk, of any size, and gives the frames that are complete by now. */
  push(chunk: Uint8Array): NatsFrame[] {
    let bytes = chunk;
    if (this.#pending.length > 0) {
      bytes = new Uint8Array(this.#pending.length + chunk.length);
      bytes.set(this.#pending);
      bytes.set(chunk, this.#pending.length);
    }
    const frames: NatsFrame[] = [];
    let start = 0;
    while (true) {
      const lineEnd = endOfLine(bytes, start);
      if (lineEnd < 0) break;
      const frame = readFrame(bytes, start, lineEnd);
      if (!frame) break;
      frames.push(frame);
      start += frame.bytes.length;
    }
    this.#pending = bytes.slice(start);
    return frames;
  }
}

/** The index after CR LF, or -1 if the line is incomplete. */
function endOfLine(bytes: Uint8Array, start: number): number {
  for (let end = bytes.indexOf(LINE_FEED, start); end >= 0; end = bytes.indexOf(LINE_FEED, end + 1)) {
    if (end > start && bytes[end - 1] === CARRIAGE_RETURN) return end + 1;
  }
  return -1;
}

/** The frame that begins at `start`; undefined if its payload is incomplete. */
function readFrame(bytes: Uint8Array, start: number, lineEnd: number): NatsFrame | undefined {
  const decoder = new TextDecoder();
  const [name = "", ...fields] = decoder.decode(bytes.subarray(start, lineEnd - 2)).split(/[ \t]+/);
  const verb = name.toUpperCase();
  const sizes = verb === "MSG" || verb === "PUB" ? 1 : verb === "HMSG" || verb === "HPUB" ? 2 : 0;
  if (sizes === 0) return { verb, bytes: bytes.subarray(start, lineEnd), headers: "", payload: EMPTY };

  const total = Number(fields.at(-1));
  const headerLength = sizes === 2 ? Number(fields.at(-2)) : 0;
  const end = lineEnd + total + 2;
  if (end > bytes.length) return undefined;
  // MSG subject sid [reply] size, PUB subject [reply] size
  const beforeReply = verb.endsWith("MSG") ? 2 : 1;
  const reply = fields.length - sizes > beforeReply ? fields[beforeReply] : undefined;
  return {
    verb,
    bytes: bytes.subarray(start, end),
    subject: fields[0] ?? "",
    ...(reply === undefined ? {} : { reply }),
    headers: decoder.decode(bytes.subarray(lineEnd, lineEnd + headerLength)),
    payload: bytes.subarray(lineEnd + headerLength, end - 2),
  };
}
