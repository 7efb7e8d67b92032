/**
 * How a vault is opened.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { validateUserNamespace } from "../event/namespace.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { describe } from "../text.ts";
import type { KeyRingOptions } from "./vault_key_ring.ts";
import { type MasterKey, OpenMasterKey } from "./vault_keys.ts";

/**
 * How a vault is opened.
 *
 * @category Evidence
 */
export interface VaultOptions {
  /** Encrypts the keys of persons. */
  readonly masterKey: MasterKey;
  /** The master keys before it, as long as `rotate()` has not encrypted everything with the present one. @default {none} */
  readonly previousMasterKeys?: readonly MasterKey[];
  /** Keeps vaults in one place apart. Data that were encrypted in one are not decrypted in another. @default {"default"} */
  readonly namespace?: string;
  /**
   * How long a key stays in the memory of a process, in milliseconds: for so long, another process may read data of a person that
   * was forgotten, and what it saves of the person is forgotten too.
   *
   * @default {60_000}
   */
  readonly cacheMs?: number;
}

const OPTIONS: OptionNames<VaultOptions> = {
  masterKey: true,
  previousMasterKeys: true,
  namespace: true,
  cacheMs: true,
};

const DEFAULT_CACHE_MS = 60_000;

/**
 * Reads the options of a vault.
 *
 * @param others The names of options that are checked elsewhere.
 * @throws {InvalidArgumentError} If one cannot be used. No secret is repeated.
 */
export function readVault(options: VaultOptions, others: readonly string[]): KeyRingOptions {
  return readOptions(options, ({ ...given }) => {
    const foreign = Object.fromEntries(others.map((name) => [name, true]));
    checkKnown(given, { ...foreign, ...OPTIONS });
    const { masterKey, previousMasterKeys = [], namespace = "default", cacheMs = DEFAULT_CACHE_MS } = given;
    validateUserNamespace(namespace);
    if (!Number.isFinite(cacheMs) || cacheMs < 0) {
      throw new InvalidArgumentError(
        "options.cacheMs",
        `must be a number of at least 0, and is ${describe(cacheMs)}`,
      );
    }
    if (!Array.isArray(previousMasterKeys)) {
      throw new InvalidArgumentError("options.previousMasterKeys", "must be a list of master keys");
    }
    const master = new OpenMasterKey("options.masterKey", masterKey, namespace);
    const previous = (previousMasterKeys as readonly MasterKey[]).map((key, index) =>
      new OpenMasterKey(`options.previousMasterKeys[${index}]`, key, namespace)
    );
    const masters = new Map([...previous, master].map((key) => [key.id, key]));
    if (masters.size <= previous.length) {
      throw new InvalidArgumentError("options.previousMasterKeys", "has the id of another master key");
    }
    return { master, masters, namespace, cacheMs };
  });
}
