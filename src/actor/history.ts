/**
 * What an actor reads from the store: its state, and the ids of its commands.
 *
 * @module
 */

import type { Warn } from "../warning.ts";
import { eventId } from "../store/command_id.ts";
import { fold, type Replayed } from "../store/fold.ts";
import { replayWith } from "../store/replay.ts";
import type { CallResult } from "./call.ts";
import { CommandIds } from "./command_ids.ts";
import { refusePromise } from "./decision.ts";
import type { AnyDecider, AnyStore } from "./untyped.ts";

/** Where a history is read. */
export interface HistorySetup {
  /** Where the events are stored. */
  readonly store: AnyStore;
  /** Receives warnings. */
  readonly warn: Warn;
}

/** The history of one actor. */
export class ActorHistory {
  readonly #actorId: string;
  readonly #decider: AnyDecider;
  readonly #setup: HistorySetup;
  #ids: CommandIds;
  /** The state as it was read before the actor was called. */
  #preloaded: Replayed<unknown> | undefined;

  /** Reads nothing at first. */
  constructor(actorId: string, decider: AnyDecider, setup: HistorySetup) {
    this.#actorId = actorId;
    this.#decider = decider;
    this.#setup = setup;
    this.#ids = new CommandIds(setup.store, actorId);
  }

  /** The ids of the commands that were read so far. */
  get ids(): CommandIds {
    return this.#ids;
  }

  /** Reads the state early: the first load then reads what has come since. */
  async preload(): Promise<void> {
    this.#preloaded = await this.#loadAll();
  }

  /** Reads the state. */
  async load(): Promise<Replayed<unknown>> {
    const preloaded = this.#preloaded;
    this.#preloaded = undefined;
    return preloaded ? await this.loadNew(preloaded) : await this.#loadAll();
  }

  async #loadAll(): Promise<Replayed<unknown>> {
    const { store, warn } = this.#setup;
    this.#ids = new CommandIds(store, this.#actorId);
    const options = { onWarning: warn };
    const current = await replayWith(store, this.#actorId, this.#decider, options, this.#ids.note);
    refusePromise("evolve() and initialState()", current.state);
    this.#ids.beginAt(current.snapshotVersion);
    return current;
  }

  /** Reads what has come since a state. */
  async loadNew(current: Replayed<unknown>): Promise<Replayed<unknown>> {
    const end = { signal: undefined, onEvent: this.#ids.note };
    return await fold(this.#setup.store, this.#actorId, this.#decider, current, end);
  }

  /** The answer to a command that was executed before: the state after its last event. */
  async answerTo(commandId: string, firstVersion: number): Promise<CallResult<unknown>> {
    const { store, warn } = this.#setup;
    let version = firstVersion;
    for await (const event of store.readEvents(this.#actorId, { fromVersion: firstVersion })) {
      if (event.id !== eventId(commandId, event.version - firstVersion + 1)) break;
      version = event.version;
    }
    const options = { atVersion: version, onWarning: warn };
    const { state } = await replayWith(store, this.#actorId, this.#decider, options, undefined);
    return { version, state };
  }
}
