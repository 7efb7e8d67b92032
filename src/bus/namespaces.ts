/**
 * Patterns over namespaces.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";

/** The characters of a namespace, and `*`. */
const PATTERN = /^[A-Za-z0-9_*-]{1,64}$/;

/**
 * The predicate of a pattern.
 *
 * @param pattern A namespace in which each `*` matches any characters, or none.
 * @throws {InvalidArgumentError} If it is none, or has no `*`.
 */
export function compilePattern(pattern: unknown): (namespace: string) => boolean {
  if (typeof pattern !== "string" || !PATTERN.test(pattern)) {
    throw new InvalidArgumentError(
      "pattern",
      `${describe(pattern)} is not 1 to 64 letters, digits, "_", "-" and "*"`,
    );
  }
  if (!pattern.includes("*")) {
    throw new InvalidArgumentError("pattern", `"${pattern}" has no "*": call subscribe for one namespace`);
  }
  const parts = pattern.split(/\*+/);
  return (namespace) => fits(namespace, parts);
}

/** Matches greedily, part after part: a regular expression with several stars can take exponential time. */
function fits(namespace: string, parts: readonly string[]): boolean {
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (namespace.length < first.length + last.length) return false;
  if (!namespace.startsWith(first) || !namespace.endsWith(last)) return false;
  let from = first.length;
  const end = namespace.length - last.length;
  for (const part of parts.slice(1, -1)) {
    const at = namespace.indexOf(part, from);
    if (at < 0 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
}
