/**
 * The states of actors as the log leads to them, for their timers.
 *
 * @module
 */

import type { Event, StoredEvent } from "../event/types.ts";
import { RecentMap } from "../store/recent_map.ts";
import { replayWith } from "../store/replay.ts";
import type { EventStore, SnapshotStore } from "../store/types.ts";
import type { Warn } from "../warning.ts";
import { deciderOf } from "./untyped.ts";
import type { AnyActor } from "./definition.ts";
import type { KnownState, TimerSetup } from "./timers.ts";

/** How many states are kept at least. */
const KEPT_STATES = 5_000;

/** Folds events as they come; what it has forgotten it reads again. */
export class TimerStates {
  readonly #store: EventStore & Partial<SnapshotStore>;
  readonly #warn: Warn;
  readonly #inMemory: (actorId: string) => KnownState | undefined;
  readonly #states = new RecentMap<KnownState>(KEPT_STATES);

  constructor({ store, warn, stateOf }: Pick<TimerSetup, "store" | "warn" | "stateOf">) {
    this.#store = store;
    this.#warn = warn;
    this.#inMemory = stateOf ?? (() => undefined);
  }

  /** The state after an event of the log; a later one if the actor was read meanwhile. */
  async after(definition: AnyActor, event: StoredEvent): Promise<KnownState> {
    const { actorId, version } = event;
    const kept = this.#states.get(actorId);
    if (kept && kept.version >= version) return kept;
    if ((kept?.version ?? 0) < version - 1) {
      const active = this.#inMemory(actorId);
      return active && active.version >= version ? active : await this.latest(definition, actorId);
    }
    const decider = deciderOf(definition);
    this.#states.delete(actorId); // should the fold fail, it is not known
    const state = decider.evolve(kept ? kept.state : decider.initialState(), event as Event);
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
    return known;
  }
}
