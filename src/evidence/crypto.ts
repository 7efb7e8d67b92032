/**
 * The cryptography of the runtime, whose calls are synchronous: `crypto.subtle` takes a promise for each hash.
 *
 * @module
 */

import type process from "node:process";

type Crypto = typeof import("node:crypto");

let loaded: Crypto | undefined;

/** Loads it at its first use. It takes 100 ms, as an import of `node:process` does, which programs without evidence do not pay. */
export function nodeCrypto(): Crypto {
  const { process: runtime } = globalThis as typeof globalThis & { readonly process: typeof process };
  return loaded ??= runtime.getBuiltinModule("node:crypto");
}
