/**
 * What a store keeps in mind of actors: of those that are being written to, and of a limited number of others.
 *
 * @module
 */

import { ActorTable, hashOf } from "./actor_table.ts";
import { KnownActor } from "./known_actor.ts";

/**
 * Keeps actors: as long as somebody writes to them, and then the ones that were used last, at least as many as it was
 * told and at most twice as many. They are put into a generation; when it is full, the one before is let go of. A map
 * from which the oldest is taken for each new one costs several times as much: it fills with holes that have to be
 * skipped.
 */
export class KnownActors {
  readonly #size: number;
  /** Those that were used last, and all that somebody writes to. */
  #recent = new ActorTable();
  #former = new ActorTable();
  #limit: number;

  /** @param size At least how many actors to keep that nobody writes to. */
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

  /** The actor, which is kept while its line is not empty. */
  hold(actorId: string): KnownActor {
    const hash = hashOf(actorId);
    const known = this.#recent.find(actorId, hash);
    if (known !== undefined) return known;
    const actor = this.#former.find(actorId, hash) ?? new KnownActor(actorId, hash);
    if (this.#recent.size >= this.#limit) this.#turn();
    this.#recent.add(actor);
    return actor;
  }

  /** Nobody writes to the actor any more: it is let go of if nothing is known of it. */
  release(actor: KnownActor): void {
    if (actor.head !== undefined) return;
    this.#recent.delete(actor);
    this.#former.delete(actor);
  }

  /** Begins a generation, with those that somebody writes to. */
  #turn(): void {
    this.#former = this.#recent;
    this.#recent = new ActorTable();
    for (const actor of this.#former) if (actor.lastQueued) this.#recent.add(actor);
    // With many of them, turns must not become so frequent that carrying them over takes all the time.
    this.#limit = Math.max(this.#size, 2 * this.#recent.size);
  }
}
