/**
 * The keys of a bucket: levels separated by dots. Names from callers are escaped, so that no name can reach another's key.
 *
 * @module
 */
import { InvalidArgumentError } from "../errors.ts";
import { nameFault } from "../text.ts";

const MAX_NAME_BYTES = 256;
const encoder = new TextEncoder();

/**
 * Escapes one name for use as a level of a key: every byte outside `[A-Za-z0-9_-]` becomes `=XX`. This is legal in NATS
 * subjects and KV keys, no two names meet, and it can be read back.
 */
export function escapeName(name: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(name)) return name;
  let escaped = "";
  for (const byte of encoder.encode(name)) {
    const char = String.fromCharCode(byte);
    escaped += /[A-Za-z0-9_-]/.test(char) ? char : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

/** Refuses a value that cannot be a name: not a string, empty, not well formed, or above 256 bytes. */
export function checkName(argument: string, name: unknown): asserts name is string {
  const fault = nameFault(name, MAX_NAME_BYTES);
  if (fault !== undefined) throw new InvalidArgumentError(argument, fault);
}

/** Whether a value can be a name. */
export function isName(name: unknown): name is string {
  return nameFault(name, MAX_NAME_BYTES) === undefined;
}

/** Whether a key is matched by a pattern: the key itself, or all keys below a level, written `level.>`. */
export function matchesKey(pattern: string, key: string): boolean {
  return pattern.endsWith(".>") ? key.startsWith(pattern.slice(0, -1)) : pattern === key;
}
