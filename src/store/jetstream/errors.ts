/**
 * What can be wrong with a server or a stream, beside what every store's errors say.
 *
 * @module
 */

import { registerClass } from "../../copies.ts";
import { AetherError } from "../../errors.ts";

/** The server has no JetStream, or the account may not use it. */
export class JetStreamDisabledError extends AetherError {
  static {
    registerClass(this, "JetStreamDisabledError");
  }

  /** The server's name. */
  readonly server: string;

  /** Names the server. */
  constructor(server: string, options?: ErrorOptions) {
    super(
      `The NATS server "${server}" does not run JetStream for this account: start it with --jetstream, and enable ` +
        "JetStream for the account",
      options,
    );
    this.server = server;
  }
}

/** The oldest nats-server that the store works with: 2.12.0 never completes a commit over several actors. */
export const OLDEST_SERVER = "2.12.1";

/** The server is older than what the store needs: commits over several actors are atomic from 2.12.1 on. */
export class ServerTooOldError extends AetherError {
  static {
    registerClass(this, "ServerTooOldError");
  }

  /** The server's version. */
  readonly version: string;
  /** The oldest version that works. */
  readonly required: string;

  /** Names both versions. */
  constructor(version: string, required: string) {
    super(
      `The NATS server is of version ${version}, and the event store needs ${required} or newer: update it`,
    );
    this.version = version;
    this.required = required;
  }
}

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
