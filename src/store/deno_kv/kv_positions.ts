/**
 * Positions in Deno KV: a commit's versionstamp, an event's index in the record of the log, and a proof.
 *
 * @module
 */

import { utf8 } from "../../text.ts";
import type { Checksum } from "../checksum.ts";
import { LogPositions, NO_PROOF, proofOf } from "../position.ts";

/** Hexadecimal digits of a versionstamp, and of an event's index: together, a position's body. */
export const VERSIONSTAMP_WIDTH = 20;
export const INDEX_WIDTH = 4;

/** A place in the log. */
export interface KvPlace {
  /** The versionstamp of a record. */
  readonly versionstamp: string;
  /** The index of an event in it. */
  readonly index: number;
}

/** The positions of one log. */
export class KvPositions {
  readonly #positions: LogPositions;
  readonly #checksum: Checksum;

  constructor(logId: string, checksum: Checksum) {
    this.#positions = new LogPositions(logId, VERSIONSTAMP_WIDTH + INDEX_WIDTH);
    this.#checksum = checksum;
  }

  /**
   * The positions of the events of a commit, by their index. The proof is made from the commit's random id: it is stored
   * both in the log and under the actor's key, so that both give the same position.
   */
  of(versionstamp: string, commitId: string): (index: number) => string {
    const proof = proofOf(this.#checksum(utf8(commitId)));
    return (index) => this.#position(versionstamp, index, proof);
  }

  /** The position of a record that is missing or cannot be read. */
  unread(versionstamp: string, index = 0): string {
    return this.#position(versionstamp, index, NO_PROOF);
  }

  /**
   * The place that a position names. Whether its proof is right, the caller has to find out.
   *
   * @throws {InvalidPositionError} If it is malformed or of another log.
   */
  place(position: string): KvPlace {
    const body = this.#positions.bodyOf(position);
    return {
      versionstamp: body.slice(0, VERSIONSTAMP_WIDTH),
      index: parseInt(body.slice(VERSIONSTAMP_WIDTH), 16),
    };
  }

  #position(versionstamp: string, index: number, proof: string): string {
    return this.#positions.of(versionstamp + index.toString(16).padStart(INDEX_WIDTH, "0") + proof);
  }
}
