/**
 * What a store remembers of actors: of those that are being written to, and of a limited number of others. A replicated
 * stream refuses a write of an actor while another one is under way, so the writes of an actor wait in a queue.
 *
 * @module
 */

import { ActorTable, hashOf } from "./actor_table.ts";
import { KnownActor } from "./known_actor.ts";
import type { Write } from "./write.ts";

/**
 * Remembers actors while writes are queued for them, and then those that were used last, at least the given number and at
 * most twice as many. They are put into a generation; when it is full, the generation before is released. A map from which
 * the oldest is taken for each new one costs several times as much: it fills with holes that have to be skipped.
 */
export class KnownActors {
  readonly #size: number;
  /** Those that were used last, and all with a queued write. */
  #recent = new ActorTable();
  #former = new ActorTable();
  #limit: number;

  /** @param size At least how many actors without a queued write to keep. */
  constructor(size: number) {
    this.#size = size;
    this.#limit = size;
  }

  /** The actor, if it is kept. */
  get(actorId: string): KnownActor | undefined {
    const hash = hashOf(actorId);
    return this.#recent.find(actorId, hash) ?? this.#former.find(actorId, hash);
  }

  /** All that are kept. */
  *all(): Iterable<KnownActor> {
    yield* this.#recent;
    for (const actor of this.#former) if (!this.#recent.find(actor.actorId, actor.hash)) yield actor;
  }

  /** The actor, which is kept while its queue is not empty. */
  hold(actorId: string): KnownActor {
    const hash = hashOf(actorId);
    const known = this.#recent.find(actorId, hash);
    if (known !== undefined) return known;
    const actor = this.#former.find(actorId, hash) ?? new KnownActor(actorId, hash);
    if (this.#recent.size >= this.#limit) this.#turn();
    this.#recent.add(actor);
    return actor;
  }

  /** Puts a write into the queues of its actors; returns whether it is the first in all of them, so that it may begin. */
  enter(write: Write): boolean {
    for (const part of write.parts) {
      const actor = part.actor = this.hold(part.part.actorId);
      if (actor.lastQueued) {
        actor.lastQueued.next = part;
        write.waitsFor++;
      }
      actor.lastQueued = part;
    }
    return write.waitsFor === 0;
  }

  /** Takes a write that is done out of the queues of its actors; returns those that may begin now. */
  leave(write: Write): readonly Write[] {
    let ready: Write[] | undefined;
    for (const { actor, next } of write.parts) {
      if (!next) {
        actor!.lastQueued = undefined;
        if (actor!.head === undefined) this.#forget(actor!);
      } else if (--next.write.waitsFor === 0) (ready ??= []).push(next.write);
    }
    return ready ?? NONE;
  }

  #forget(actor: KnownActor): void {
    this.#recent.delete(actor);
    this.#former.delete(actor);
  }

  /** Begins a generation, with the actors that have a queued write. */
  #turn(): void {
    this.#former = this.#recent;
    this.#recent = new ActorTable();
    for (const actor of this.#former) if (actor.lastQueued) this.#recent.add(actor);
    // With many of them, generations must not change so often that copying them takes all the time.
    this.#limit = Math.max(this.#size, 2 * this.#recent.size);
  }
}

const NONE: readonly Write[] = [];
