/**
 * Positions: places in one store's global log.
 *
 * @module
 */

import { InvalidPositionError } from "./errors.ts";

/** A log's random id: 12 hexadecimal digits. */
const LOG_ID = /^[0-9a-f]{12}$/;

/** Makes the id of a new log. */
export function newLogId(): string {
  return crypto.randomUUID().replaceAll("-", "").slice(-12);
}

/** The positions of one log: its id, a dash, and a body of fixed width that orders them. */
export class LogPositions {
  readonly #prefix: string;
  readonly #width: number;
  readonly #body: RegExp;

  /**
   * @param logId The log's random id.
   * @param width The number of hexadecimal digits of a position's body.
   */
  constructor(logId: string, width: number) {
    this.#prefix = logId + "-";
    this.#width = width;
    this.#body = new RegExp(`^[0-9a-f]{${width}}$`);
  }

  /** The position with a body, which has the fixed width. */
  of(body: string): string {
    return this.#prefix + body;
  }

  /**
   * The body of a position of this log.
   *
   * @throws {InvalidPositionError} If it is malformed or of another log.
   */
  bodyOf(position: unknown): string {
    if (typeof position !== "string" || position[12] !== "-" || !LOG_ID.test(position.slice(0, 12))) {
      throw new InvalidPositionError(position, "malformed");
    }
    if (!position.startsWith(this.#prefix)) throw new InvalidPositionError(position, "foreign");
    const body = position.slice(this.#prefix.length);
    if (body.length !== this.#width || !this.#body.test(body)) {
      throw new InvalidPositionError(position, "malformed");
    }
    return body;
  }
}
