/**
 * Checks on the strings that name things.
 *
 * @module
 */

const encoder = new TextEncoder();
let scratch = new Uint8Array(16 * 1024);

/** The most bytes that are written into the scratch buffer. */
const LARGEST_SCRATCH = 1024 * 1024;

/** The most that one UTF-16 code unit takes in UTF-8. */
const BYTES_PER_CODE_UNIT = 3;

const FEW_CHARACTERS = 32;
const LAST_ASCII = 0x7f;

/**
 * The UTF-8 bytes of a string, in memory of their own. Writing into a scratch buffer and copying out is several times
 * faster here than `TextEncoder.encode`.
 */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  if (text.length <= FEW_CHARACTERS) {
    // A call into the runtime takes longer than so many characters, if they are ASCII, as names and numbers are.
    const bytes = new Uint8Array(text.length);
    let index = 0;
    for (; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > LAST_ASCII) break;
      bytes[index] = code;
    }
    if (index === text.length) return bytes;
  }
  const bound = text.length * BYTES_PER_CODE_UNIT;
  if (bound > LARGEST_SCRATCH) return encoder.encode(text);
  const written = writeScratch(text, bound); // it may replace the buffer
  return scratch.slice(0, written);
}

/** How many UTF-8 bytes a string takes. */
export function utf8Length(text: string): number {
  const bound = text.length * BYTES_PER_CODE_UNIT;
  return bound > LARGEST_SCRATCH ? encoder.encode(text).length : writeScratch(text, bound);
}

/** Writes a string into the scratch buffer, and returns how many bytes it takes. */
function writeScratch(text: string, bound: number): number {
  if (bound > scratch.length) scratch = new Uint8Array(bound * 2);
  return encoder.encodeInto(text, scratch).written;
}

const PLAIN_LEVEL = /^[A-Za-z0-9_-]+$/;

/** `=XX` for each byte, by byte value; a character of a plain level for itself. */
const ESCAPES: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  return PLAIN_LEVEL.test(character) ? character : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
});

/**
 * Escapes a text as one level of a NATS subject, or of a key of a NATS bucket: every byte outside `[A-Za-z0-9_-]` becomes
 * `=XX`. No two texts have the same level, and a level can be read back.
 */
export function escapeLevel(text: string): string {
  if (PLAIN_LEVEL.test(text)) return text;
  let escaped = "";
  for (const byte of encoder.encode(text)) escaped += ESCAPES[byte];
  return escaped;
}

/** Returns why a string cannot be a name of 1 to `limit` UTF-8 bytes, or `undefined` if it can. */
export function nameFault(value: unknown, limit: number): string | undefined {
  if (typeof value !== "string") return `must be a string, and is ${describe(value)}`;
  if (value === "") return "must not be empty";
  if (!value.isWellFormed()) return "must be well-formed Unicode, and has a lone surrogate";
  if (value.length * BYTES_PER_CODE_UNIT > limit) {
    const size = utf8Length(value);
    if (size > limit) return `must be at most ${limit} bytes in UTF-8, and is ${size}`;
  }
  return undefined;
}

/** The message of what was thrown. Any value may be thrown, and one that throws when it is read has no message. */
export function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? String(thrown.message) : String(thrown);
  } catch {
    return "what was thrown cannot be read";
  }
}

/** Names a value in an error: its kind, and the value itself where that is short. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "string") {
    return JSON.stringify(value.length > 40 ? value.slice(0, 40) + "..." : value);
  }
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value);
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "object") return `a ${typeof value}`;
  try {
    return Array.isArray(value) ? "an array" : "an object";
  } catch {
    return "a revoked Proxy";
  }
}
