/**
 * One write of an actor at a time: a replicated stream refuses a second one while the first is under way.
 *
 * @module
 */

import type { KnownActors } from "./known_actors.ts";
import type { Write } from "./write.ts";

/** Lets writes wait for the actors that they write to, first come, first served. */
export class ActorQueues {
  readonly #actors: KnownActors;

  /** @param actors Keeps those that are written to; each knows the last in its line, who knows nobody behind him. */
  constructor(actors: KnownActors) {
    this.#actors = actors;
  }

  /** Lines a write up; says whether all its actors are free, so that it may begin. */
  enter(write: Write): boolean {
    for (const part of write.parts) {
      const actor = this.#actors.hold(part.part.actorId);
      part.actor = actor;
      if (actor.lastQueued) {
        actor.lastQueued.next = part;
        write.waitsFor++;
      }
      actor.lastQueued = part;
    }
    return write.waitsFor === 0;
  }

  /** Takes a write out that is done; returns those that may begin now. */
  leave(write: Write): readonly Write[] {
    let ready: Write[] | undefined;
    for (const { actor, next } of write.parts) {
      if (!next) {
        actor!.lastQueued = undefined;
        this.#actors.release(actor!);
      } else if (--next.write.waitsFor === 0) (ready ??= []).push(next.write);
    }
    return ready ?? NONE;
  }
}

const NONE: readonly Write[] = [];
