/**
 * One write of an actor at a time: a replicated stream refuses a second one while the first is under way.
 *
 * @module
 */

import type { Write } from "./write.ts";

/** Lets writes wait for the actors that they write to, first come, first served. */
export class Lanes {
  /** The writes of each busy actor, in order; the first of them is at work, or waits for another of its actors. */
  readonly #lanes = new Map<string, Set<Write>>();

  /** Lines a write up; says whether all its actors are free, so that it may begin. */
  enter(write: Write): boolean {
    for (const { part: { actorId } } of write.parts) {
      const lane = this.#lanes.get(actorId);
      if (lane) {
        lane.add(write);
        write.waitsFor++;
      } else this.#lanes.set(actorId, new Set([write]));
    }
    return write.waitsFor === 0;
  }

  /** Takes a write out that is done; returns those that may begin now. */
  leave(write: Write): Write[] {
    const ready: Write[] = [];
    for (const { part: { actorId } } of write.parts) {
      const lane = this.#lanes.get(actorId)!;
      lane.delete(write);
      const [next] = lane;
      if (!next) this.#lanes.delete(actorId);
      else if (--next.waitsFor === 0) ready.push(next);
    }
    return ready;
  }
}
