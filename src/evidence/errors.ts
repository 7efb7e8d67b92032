/**
 * What can be wrong with a seal.
 *
 * @module
 */

import { registerClass } from "../copies.ts";
import { AetherError } from "../errors.ts";

/** What is wrong, and what to do. */
const ADVICE = {
  "not-empty": "Choose an empty place. If it held a seal, restore all of it, private/seal.json included.",
  "other-origin": "Use the origin of the seal, or another place.",
  "other-key":
    "Use the key that the seal was made with. To change the key, begin a new seal in another place and keep the old one.",
  "ahead":
    "The end of the log is lost, or this is an older copy of it. Restore the log from a newer backup; the seal shows " +
    "what is missing. If it cannot be restored, keep the seal as evidence and begin a new one in another place.",
  "other-log":
    "Open the store that was sealed. If its log was replaced or restored, keep the seal as evidence of what it held, " +
    "and begin a new one in another place.",
  "clock": "Set the clock of this machine. Nothing was written.",
  "damaged": "Run verifySeal() for the extent, and restore the place from a backup. Nothing was written.",
  "place":
    "See the cause, and make sure that there is space and that it can be written. Seal again to go on.",
  "not-sealed": "Seal the log first, and ask again.",
  "refused": "Do not rely on it.",
} as const;

/**
 * A seal cannot be continued, read or relied on.
 *
 * @example A proof that was changed
 * ```ts
 * import { generateSealKey, SealError, verifyProof } from "@flowmade-one/aether/evidence";
 * import assert from "node:assert/strict";
 *
 * const { publicKey } = generateSealKey("example.com/orders");
 * assert.throws(
 *   () => verifyProof("no proof", { key: publicKey }),
 *   (error) => error instanceof SealError && error.reason === "refused",
 * );
 * ```
 *
 * @category Evidence
 */
export class SealError extends AetherError {
  static {
    registerClass(this, "SealError");
  }

  /**
   * `not-empty`: the place holds something else. `other-origin`, `other-key`: the seal is of another log or was signed with
   * another key. `ahead`: the log does not reach as far as the seal. `other-log`: the log holds other events than the seal at
   * its end. `clock`: the clock is behind the last checkpoint. `damaged`: the place is not what its checkpoint commits to.
   * `place`: it cannot be read or written. `not-sealed`: nothing is sealed there yet, or not this event. `refused`: a proof
   * or a checkpoint does not hold.
   */
  readonly reason:
    | "not-empty"
    | "other-origin"
    | "other-key"
    | "ahead"
    | "other-log"
    | "clock"
    | "damaged"
    | "place"
    | "not-sealed"
    | "refused";

  /** Creates the error from what is wrong; what to do follows from the reason. */
  constructor(reason: keyof typeof ADVICE, message: string, options?: ErrorOptions) {
    super(`${message} ${ADVICE[reason]}`, options);
    this.reason = reason;
  }
}
