/**
 * Positions: events of one store's global log.
 *
 * A position names an event and not only a place: it ends with a proof, some digits of the checksum of the commit that
 * is stored there. A log that was restored to an earlier state and has grown again holds other commits at the same
 * places, so that a position of the lost part is recognised.
 *
 * @module
 */

import { InvalidPositionError } from "./errors.ts";

/** A log's random id: 12 hexadecimal digits. */
const LOG_ID = /^[0-9a-f]{12}$/;

/** Whether a value can be the id of a log. */
export function isLogId(value: unknown): value is string {
  return typeof value === "string" && LOG_ID.test(value);
}

/** Three hexadecimal digits of every number that has so many, ready to be used: a position is made for every event. */
export const DIGITS: readonly string[] = Array.from(
  { length: 16 ** 3 },
  (_, number) => number.toString(16).padStart(3, "0"),
);
const MASK = DIGITS.length - 1;

/** The hexadecimal digits of a proof. One of 17 million commits passes for another one. */
export const PROOF_WIDTH = 6;

/** The proof of a place whose commit is missing or cannot be read. */
export const NO_PROOF: string = "0".repeat(PROOF_WIDTH);

/** The proof of a commit: the last digits of its checksum. */
export function proofOf(checksum: number): string {
  return DIGITS[checksum >>> 12 & MASK]! + DIGITS[checksum & MASK]!;
}

/** Makes the id of a new log. */
export function newLogId(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(-12);
}

/**
 * The positions of one log: its id, a dash, a body of fixed width that orders them, and a proof. The proof comes last: two
 * positions of one log are ordered by `<`.
 */
export class LogPositions {
  readonly #prefix: string;
  readonly #width: number;
  readonly #body: RegExp;

  /**
   * Describes the positions of a log.
   *
   * @param logId The log's random id.
   * @param width The number of hexadecimal digits of a position's body.
   */
  constructor(logId: string, width: number) {
    this.#prefix = logId + "-";
    this.#width = width;
    this.#body = new RegExp(`^[0-9a-f]{${width + PROOF_WIDTH}}$`);
  }

  /** The position with a body, which has the fixed width, and the proof behind it. */
  of(bodyAndProof: string): string {
    return this.#prefix + bodyAndProof;
  }

  /**
   * The body of a position of this log. Whether its proof is right, the caller has to find out.
   *
   * @throws {InvalidPositionError} If it is malformed or of another log.
   */
  bodyOf(position: unknown): string {
    if (typeof position !== "string" || position[12] !== "-" || !LOG_ID.test(position.slice(0, 12))) {
      throw new InvalidPositionError(position, "malformed");
    }
    if (!position.startsWith(this.#prefix)) throw new InvalidPositionError(position, "foreign");
    const body = position.slice(this.#prefix.length);
    if (!this.#body.test(body)) throw new InvalidPositionError(position, "malformed");
    return body.slice(0, this.#width);
  }
}
