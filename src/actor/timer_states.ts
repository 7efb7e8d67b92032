/**
 * The states of actors as the log leads to them, for their timers.
 *
 * @module
 */

import type { Event, StoredEvent } from "../event/types.ts";
import { replayWith } from "../store/replay.ts";
import type { EventStore, SnapshotStore } from "../store/types.ts";
import type { Warn } from "../warning.ts";
import { deciderOf } from "./untyped.ts";
import type { AnyActor } from "./definition.ts";

/** How many states are kept. */
const MAX_STATES = 10_000;

/** A state and the version that it is of. */
export interface KnownState {
  readonly state: unknown;
  readonly version: number;
}

/** Folds events as they come; what it has forgotten it reads again. */
export class TimerStates {
  readonly #store: EventStore & Partial<SnapshotStore>;
  readonly #warn: Warn;
  /** Those used last are at the end. */
  readonly #states = new Map<string, KnownState>();

  constructor(store: EventStore & Partial<SnapshotStore>, warn: Warn) {
    this.#store = store;
    this.#warn = warn;
  }

  /** The state after an event of the log; a later one if the actor was read meanwhile. */
  async after(definition: AnyActor, event: StoredEvent): Promise<KnownState> {
    const { actorId, version } = event;
    const known = this.#states.get(actorId);
    if (known && known.version >= version) return known;
    if (!known && version > 1) return await this.latest(definition, actorId);
    const decider = deciderOf(definition);
    this.#states.delete(actorId);
    const state = decider.evolve(known ? known.state : decider.initialState(), event as Event);
    return this.#keep(actorId, { state, version });
  }

  /** The present state of an actor. */
  async latest(definition: AnyActor, actorId: string): Promise<KnownState> {
    this.#states.delete(actorId);
    const options = { onWarning: this.#warn };
    const { state, version } = await replayWith(
      this.#store,
      actorId,
      deciderOf(definition),
      options,
      undefined,
    );
    return this.#keep(actorId, { state, version });
  }

  #keep(actorId: string, known: KnownState): KnownState {
    this.#states.set(actorId, known);
    if (this.#states.size > MAX_STATES) {
      for (const oldest of this.#states.keys()) {
        this.#states.delete(oldest);
        break;
      }
    }
    return known;
  }
}
