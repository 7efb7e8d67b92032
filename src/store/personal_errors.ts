/**
 * Why personal data cannot be encrypted or decrypted.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";

/** What is wrong. */
type VaultFault = "master-key" | "unknown-key" | "changed" | "replaced";

const ADVICE: Readonly<Record<VaultFault, string>> = {
  "master-key":
    "Nothing is lost: open the vault with the right master key, and with those before it as previousMasterKeys.",
  "unknown-key":
    "Open the store with the vault that the data were encrypted with, or restore the vault from a backup.",
  replaced:
    "Nothing was done: restore the vault from a backup, or open the present one, and repeat the call.",
  changed: "The stored event was changed, or moved to another place. Restore the store from a backup.",
};

/**
 * Personal data cannot be encrypted or decrypted. Data of a person that was forgotten are no error: they read as
 * {@linkcode Forgotten}.
 *
 * @example A master key that is wrong
 * ```ts
 * import { Vault, VaultError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const key = () => ({ id: "2026", secret: crypto.getRandomValues(new Uint8Array(32)) });
 * using kv = await Deno.openKv(":memory:");
 * await using vault = await Vault.onDenoKv(kv, { masterKey: key() });
 *
 * const error = await Vault.onDenoKv(kv, { masterKey: key() }).catch((error: unknown) => error);
 * assert(error instanceof VaultError && error.reason === "master-key");
 * ```
 *
 * @category Evidence
 */
export class VaultError extends AetherError {
  static {
    registerClass(this, "VaultError");
  }

  /**
   * `master-key`: a key of a person was encrypted with a master key that the vault does not have, or that is another one.
   * `unknown-key`: the vault has no record of the key that an event was encrypted with, nor that it was forgotten.
   * `changed`: what is stored is not what was encrypted for this event.
   * `replaced`: since the vault was opened, its records were removed, or another vault was made in their place.
   */
  readonly reason: "master-key" | "unknown-key" | "changed" | "replaced";

  /** Creates the error from what was found. */
  constructor(reason: VaultFault, message: string, options?: ErrorOptions) {
    super(`${message}. ${ADVICE[reason]}`, options);
    this.reason = reason;
  }
}
