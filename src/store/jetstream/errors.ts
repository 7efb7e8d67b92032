/**
 * The error of a stream that has lost its end.
 *
 * @module
 */

import { registerClass } from "../../copies.ts";
import { AetherError } from "../../errors.ts";

/**
 * The stream has lost its end since a store was last open on it, by the mark of the log's end in the bucket next to it:
 * a server has cut off a damaged file, or an older copy of the stream was restored. What was acknowledged is missing.
 *
 * @example Open it all the same, once an operator has decided so
 * ```ts
 * import { JetStreamEventStore, LostTailError } from "@flowmade-one/aether/jetstream";
 *
 * // With the URL of a NATS server, such as nats://127.0.0.1:4222.
 * async function openOrders(url: string, acceptLostTail = false) {
 *   try {
 *     return await JetStreamEventStore.open(url, { namespace: "orders", acceptLostTail });
 *   } catch (error) {
 *     if (error instanceof LostTailError) console.error(error.stream, error.lastSequence, error.markedSequence);
 *     throw error;
 *   }
 * }
 * ```
 *
 * @category Stores
 */
export class LostTailError extends AetherError {
  static {
    registerClass(this, "LostTailError");
  }

  /** The stream's name. */
  readonly stream: string;
  /** Whether the stream ends before the mark, or another commit is stored in the marked place. */
  readonly reason: "shorter" | "diverged";
  /** The last sequence of the stream. */
  readonly lastSequence: number;
  /** The sequence of the commit that is marked as the end. */
  readonly markedSequence: number;

  /** Names the stream and both ends. */
  constructor(
    stream: string,
    reason: "shorter" | "diverged",
    lastSequence: number,
    markedSequence: number,
    options?: ErrorOptions,
  ) {
    const what = reason === "shorter"
      ? `ends at sequence ${lastSequence}, and was stored up to sequence ${markedSequence}: the last ` +
        `${markedSequence - lastSequence} commit(s) are missing`
      : `has another commit at sequence ${markedSequence} than the one that was stored there: it was restored to an ` +
        "earlier state and written to since";
    super(
      `The stream "${stream}" ${what}. Restore a newer backup, or open the store with { acceptLostTail: true } to go on ` +
        "without them.",
      options,
    );
    this.stream = stream;
    this.reason = reason;
    this.lastSequence = lastSequence;
    this.markedSequence = markedSequence;
  }
}
