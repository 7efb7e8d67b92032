/**
 * The names of namespaces.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";

/** Letters, digits, `_` and `-`: legal as it is in NATS subjects, stream names and KV buckets. */
const NAMESPACE = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Whether a name belongs to the system: it begins and ends with two underscores, as `__internal__` does.
 *
 * @param namespace A valid namespace.
 */
export function isSystemNamespace(namespace: string): boolean {
  return namespace.startsWith("__") && namespace.endsWith("__");
}

/**
 * Returns a namespace that is a valid name.
 *
 * @param namespace 1 to 64 of the characters `A-Z`, `a-z`, `0-9`, `_` and `-`.
 * @throws {InvalidArgumentError} If it is not.
 */
export function validateNamespace(namespace: unknown): string {
  if (typeof namespace !== "string" || !NAMESPACE.test(namespace)) {
    throw new InvalidArgumentError(
      "namespace",
      `${describe(namespace)} is not a name of 1 to 64 letters, digits, "_" and "-"`,
    );
  }
  return namespace;
}

/** Names that were found valid: programs publish to few, and looking one up is faster. */
const userNamespaces = new Set<unknown>();
const MAX_USER_NAMESPACES = 1_000;

/**
 * Returns a namespace that a user may write to: valid, and not one of the system's.
 *
 * @throws {InvalidArgumentError} If it is not.
 */
export function validateUserNamespace(namespace: unknown): string {
  if (userNamespaces.has(namespace)) return namespace as string;
  const name = validateNamespace(namespace);
  if (isSystemNamespace(name)) {
    throw new InvalidArgumentError(
      "namespace",
      `"${name}" begins and ends with two underscores: such names are the system's, choose another`,
    );
  }
  if (userNamespaces.size < MAX_USER_NAMESPACES) userNamespaces.add(name);
  return name;
}
