/**
 * What a store remembers of one actor.
 *
 * @module
 */

import type { Head } from "./head.ts";

/** A part of a write in the queue of its actor. */
export interface QueuedPart {
  /** The next part in the queue. */
  next: QueuedPart | undefined;
}

/** What is remembered of an actor. */
export class KnownActor {
  /** The actor. */
  readonly actorId: string;
  /** The hash of its id. */
  readonly hash: number;
  /** Its head as it was last seen, if it was. */
  head: Head | undefined;
  /** Until when it counts, on the clock of `performance.now()`, that the server was asked and counts no message of it. */
  noneUntil = 0;
  /** The last part in its queue; `undefined` while no write is queued. */
  lastQueued: QueuedPart | undefined;

  constructor(actorId: string, hash: number) {
    this.actorId = actorId;
    this.hash = hash;
  }
}
