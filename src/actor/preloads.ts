/**
 * Actors that are about to move to this process: what of their histories was read before that.
 *
 * @module
 */

import type { ActorHistory } from "./history.ts";

/** How long a history is kept for an actor that has not come, or is not called, in milliseconds. */
const MAX_AGE = 10_000;

/** A history that was read early. */
interface Preload {
  readonly history: ActorHistory;
  /** Since when, on the clock of `performance.now()`. */
  readonly since: number;
}

/** Histories that wait for the first call of their actor, the oldest first. */
export class Preloads {
  readonly #waiting = new Map<string, Preload>();

  /** How many there are. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Keeps a history for a while. */
  add(actorId: string, history: ActorHistory): void {
    this.removeOld();
    this.#waiting.delete(actorId); // it goes to the end
    this.#waiting.set(actorId, { history, since: performance.now() });
  }

  /** The history of an actor, to go on with; `undefined` if none was read, or long ago: a snapshot may be newer. */
  take(actorId: string): ActorHistory | undefined {
    this.removeOld();
    const preload = this.#waiting.get(actorId);
    this.#waiting.delete(actorId);
    return preload?.history;
  }

  /** Forgets those that were read long ago. */
  removeOld(): void {
    if (this.#waiting.size === 0) return;
    const latest = performance.now() - MAX_AGE;
    for (const [actorId, { since }] of this.#waiting) {
      if (since > latest) return;
      this.#waiting.delete(actorId);
    }
  }

  /** Forgets the oldest ones. */
  remove(count: number): void {
    for (const actorId of this.#waiting.keys()) {
      if (count-- <= 0) return;
      this.#waiting.delete(actorId);
    }
  }
}
