/**
 * Which actors have messages, as long as one store has written all of the log.
 *
 * @module
 */

import type { ConnectionListener } from "../../../nats/connection_state.ts";
import { HashSet } from "./hash_set.ts";
import type { KnownActor } from "./known_actor.ts";
import type { Write } from "./write.ts";

/** For how long an acknowledgement counts, in milliseconds: another program may write to the log after it. */
const VALIDITY = 1_000;
/** How many actors are remembered at most; 8 to 16 bytes each. */
const MAX_ACTORS = 1 << 20;

/**
 * Follows the sequences that a store's writes are stored at. While they are consecutive from the first one on, no other
 * program has written to the log, and an actor that the store has not written to has no message: the server need not be
 * asked. One sequence that is missing ends that.
 */
export class SoleWriter implements ConnectionListener {
  readonly #actors = new HashSet();
  readonly #maxActors: number;
  #isSole = true;
  /** The sequence of the last message. */
  #last = 0;
  /** Until when the last acknowledgement counts, on the clock of `performance.now()`. */
  #validUntil = -Infinity;

  /** @param maxActors How many actors are remembered; with more, the server is asked again. */
  constructor(maxActors = MAX_ACTORS) {
    this.#maxActors = maxActors;
  }

  /**
   * Whether it is known that an actor has no message.
   *
   * @param now The time of `performance.now()`.
   */
  hasNone({ hash }: KnownActor, now: number): boolean {
    return now < this.#validUntil && !this.#actors.has(hash);
  }

  /**
   * Takes a write that was stored, in the order of the log.
   *
   * @param firstSequence The sequence of its first message.
   * @param begun When it began, on the clock of `performance.now()`: the acknowledgement is later.
   */
  stored({ parts, messageCount }: Write, firstSequence: number, begun: number): void {
    if (!this.#isSole) return;
    if (firstSequence !== this.#last + 1) return this.#end();
    this.#last += messageCount;
    this.#validUntil = begun + VALIDITY;
    for (const { actor, head } of parts) if (head.sequence === 0) this.#actors.add(actor!.hash);
    if (this.#actors.size > this.#maxActors) this.#end();
  }

  /** An actor may have a message: it is unknown whether a write was stored. */
  mayHave({ hash }: KnownActor): void {
    if (this.#isSole) this.#actors.add(hash);
  }

  /** The server may come back with other data, and others may have written to it. */
  onDisconnect(): void {
    this.#validUntil = -Infinity;
  }

  #end(): void {
    this.#isSole = false;
    this.#validUntil = -Infinity;
    this.#actors.clear();
  }
}
