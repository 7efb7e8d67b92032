/**
 * The keys of a bucket: levels separated by dots. Names from callers are escaped, so that no name can reach another's key.
 *
 * @module
 */
import { InvalidArgumentError } from "../errors.ts";
import { nameFault } from "../text.ts";

const MAX_NAME_BYTES = 256;

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
