/**
 * One write of an actor at a time: a replicated stream refuses a second one while the first is under way.
 *
 * @module
 */

import type { Write, WritePart } from "./write.ts";

/** Lets writes wait for the actors that they write to, first come, first served. */
export class Lanes {
  /** The last part in the line of each busy actor; each part knows the next one behind it. */
  readonly #last = new Map<string, WritePart>();

  /** Lines a write up; says whether all its actors are free, so that it may begin. */
  enter(write: Write): boolean {
    for (const part of write.parts) {
      const { actorId } = part.part;
      const last = this.#last.get(actorId);
      if (last) {
        last.next = part;
        write.waitsFor++;
      }
      this.#last.set(actorId, part);
    }
    return write.waitsFor === 0;
  }

  /** Takes a write out that is done; returns those that may begin now. */
  leave(write: Write): Write[] {
    const ready: Write[] = [];
    for (const { part: { actorId }, next } of write.parts) {
      if (!next) this.#last.delete(actorId);
      else if (--next.write.waitsFor === 0) ready.push(next.write);
    }
    return ready;
  }
}
