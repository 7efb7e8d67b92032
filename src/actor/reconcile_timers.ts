/**
 * Comparing the index of timers with what the actors' states name, and correcting it.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { Event } from "../event/types.ts";
import {
  checkFlag,
  checkFunction,
  checkKnown,
  checkSignal,
  type OptionNames,
  readOptions,
} from "../options.ts";
import { sleep } from "../sleep.ts";
import { replayWith } from "../store/replay.ts";
import { warner, type Warning } from "../warning.ts";
import { deciderOf } from "./untyped.ts";
import { type AnyActor, definitionOf } from "./definition.ts";
import { withTimerIndex } from "./open_timer_index.ts";
import { checkActors } from "./reference.ts";
import { checkStore, type TimerStore } from "./run_timers.ts";
import {
  IndexConflict,
  type IndexedActor,
  type IndexedTimer,
  type StoredActor,
  type TimerIndex,
} from "./timer_index.ts";
import { eachActor, isOfThisLog } from "./timer_log.ts";
import { kindsWithTimers, MAX_TIMERS, type TimerSetup, timersOf } from "./timers.ts";

/**
 * How timers are reconciled.
 *
 * @category Actors
 */
export interface ReconcileTimersOptions {
  /** Whether differences are only reported, and not corrected. @default {false} */
  readonly dryRun?: boolean;
  /** Ends it: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Receives warnings: of timers that are not sound. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

/**
 * A timer for which the index and the actor's state differ.
 *
 * @category Actors
 */
export interface TimerDifference {
  /** The actor. */
  readonly actorId: string;
  /** The timer's name. */
  readonly name: string;
  /** When it is due by the index; `undefined` if it was missing there. */
  readonly indexed: Date | undefined;
  /** When it is due by the state; `undefined` if the state does not name it. */
  readonly expected: Date | undefined;
}

/**
 * What {@linkcode reconcileTimers} has found.
 *
 * @category Actors
 */
export interface ReconcileTimersResult {
  /** How many actors were looked at. */
  readonly actors: number;
  /** How many timers differed. */
  readonly differing: number;
  /** The first 1,000 of them. */
  readonly differences: readonly TimerDifference[];
}

const OPTIONS: OptionNames<ReconcileTimersOptions> = { dryRun: true, signal: true, onWarning: true };
const MAX_SHOWN = 1_000;
/** How long what differs is given to become equal by itself, in milliseconds: the index follows the log. */
const SETTLING = 250;
const MAX_TRIES = 10;

/**
 * Compares the index of timers with what the actors' states name, and corrects the index. Call it after a change of a
 * `timers` function: from then on the new rule holds for actors that have had no event since. It reads every actor of the
 * given kinds. Hosts and runs may work meanwhile, and take over what was corrected within seconds.
 *
 * @example After a deployment
 * ```ts
 * import { type AnyActor, type EventStore, reconcileTimers } from "@flowmade-one/aether/actor";
 *
 * async function afterDeployment(store: EventStore, actors: AnyActor[]): Promise<void> {
 *   const { differing, differences } = await reconcileTimers(store, actors);
 *   console.log(`${differing} timers were corrected`);
 *   for (const { actorId, name, expected } of differences) console.log(actorId, name, expected);
 * }
 * ```
 *
 * @throws {InvalidArgumentError} If something is not sound.
 * @throws {BackendError} If the store, or the index, cannot be reached.
 *
 * @category Actors
 */
export async function reconcileTimers<E extends Event>(
  store: TimerStore<E>,
  actors: readonly AnyActor<E>[],
  options?: ReconcileTimersOptions,
): Promise<ReconcileTimersResult> {
  const { dryRun = false, signal, onWarning } = readOptions(options, checkReconcile);
  signal?.throwIfAborted();
  const setup = {
    store: checkStore(store),
    definitions: checkActors(actors, "actors"),
    warn: warner(onWarning),
  };
  return await withTimerIndex(store, signal, (index) => {
    return new Reconciliation(setup, index, dryRun, signal).run();
  });
}

function checkReconcile({ ...given }: ReconcileTimersOptions): ReconcileTimersOptions {
  checkKnown<ReconcileTimersOptions>(given, OPTIONS);
  checkFlag("options.dryRun", given.dryRun);
  checkSignal(given.signal);
  checkFunction("options.onWarning", given.onWarning);
  return given;
}

class Reconciliation {
  readonly #setup: Pick<TimerSetup, "store" | "definitions" | "warn">;
  readonly #index: TimerIndex;
  readonly #kinds: readonly AnyActor[];
  readonly #dryRun: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #seen = new Set<string>();
  readonly #suspects = new Set<string>();
  readonly #differences: TimerDifference[] = [];
  #differing = 0;

  constructor(
    setup: Pick<TimerSetup, "store" | "definitions" | "warn">,
    index: TimerIndex,
    dryRun: boolean,
    signal: AbortSignal | undefined,
  ) {
    this.#setup = setup;
    this.#index = index;
    this.#kinds = kindsWithTimers(setup.definitions);
    this.#dryRun = dryRun;
    this.#signal = signal;
  }

  async run(): Promise<ReconcileTimersResult> {
    // What comes meanwhile is read again by those that follow the log.
    const position = await abortable(this.#setup.store.getLastPosition(), this.#signal);
    await this.#find();
    if (this.#suspects.size > 0) await sleep(SETTLING, this.#signal);
    for (const actorId of this.#suspects) {
      this.#signal?.throwIfAborted();
      await this.#correct(actorId);
    }
    if (!this.#dryRun) { for (const { name } of this.#kinds) await this.#announce(name, position); }
    return { actors: this.#seen.size, differing: this.#differing, differences: this.#differences };
  }

  /** Finds the actors that differ. */
  async #find(): Promise<void> {
    const indexed = new Map<string, StoredActor>();
    for await (const actor of this.#index.all()) indexed.set(actor.actorId, actor);
    for (const definition of this.#kinds) {
      await eachActor(this.#setup, definition, async (actorId) => {
        this.#seen.add(actorId);
        const expected = await this.#expected(actorId, definition);
        const differences = await this.#compare(indexed.get(actorId), expected);
        if (differences.length > 0) this.#suspects.add(actorId);
      }, this.#signal);
    }
    for (const actorId of indexed.keys()) {
      if (!this.#seen.has(actorId) && this.#definition(actorId)) this.#suspects.add(actorId);
    }
  }

  async #compare(stored: StoredActor | undefined, expected: IndexedActor): Promise<TimerDifference[]> {
    if (!stored || !this.#index.hasOwnOrder) return differencesOf(stored, expected);
    const { actorId } = stored;
    const ordered: IndexedTimer[] = [];
    for (const timer of stored.timers) {
      const { at } = timer;
      const range = { after: { at, actorId, name: "" }, until: at, limit: MAX_TIMERS };
      const found = timer.isFired ? [timer] : await this.#index.pending(range);
      if (found.some(({ name }) => name === timer.name)) ordered.push(timer);
    }
    return differencesOf({ ...stored, timers: ordered }, expected);
  }

  #definition(actorId: string): AnyActor | undefined {
    const definition = definitionOf(actorId, this.#setup.definitions.values());
    return definition?.timers ? definition : undefined;
  }

  async #expected(actorId: string, definition: AnyActor): Promise<IndexedActor> {
    const { store, warn } = this.#setup;
    try {
      const options = { onWarning: warn, ...(this.#signal && { signal: this.#signal }) };
      const { state, version } = await replayWith(store, actorId, deciderOf(definition), options, undefined);
      const { timers, fault } = timersOf(definition, state, version);
      if (fault) warn({ code: "timers-invalid", message: fault.message, cause: fault });
      const expected = [...timers].map(([name, { at }]) => ({ name, at, isFired: false }));
      return { actorId, version, timers: expected, ...(fault && { fault: fault.message }) };
    } catch (cause) {
      this.#signal?.throwIfAborted();
      const message = `the timers of actor "${actorId}" are not known, because its events cannot be folded`;
      warn({ code: "timers-unknown", message, cause });
      const stored = await this.#index.get(actorId);
      return stored ?? { actorId, version: 0, timers: [] };
    }
  }

  /** Compares an actor again, and writes what its state names. */
  async #correct(actorId: string): Promise<void> {
    const definition = this.#definition(actorId)!;
    for (let attempt = 1;; attempt++) {
      const stored = await this.#index.get(actorId);
      const expected = await this.#expected(actorId, definition);
      const differences = await this.#compare(stored, expected);
      if (differences.length === 0) return;
      try {
        if (!this.#dryRun) await this.#index.put(withFired(expected, stored), stored);
      } catch (error) {
        // The one that follows the log came first.
        if (!(error instanceof IndexConflict) || attempt === MAX_TRIES) throw error;
        continue;
      }
      this.#differing += differences.length;
      this.#differences.push(...differences.slice(0, MAX_SHOWN - this.#differences.length));
      return;
    }
  }

  /** Writes the head of a kind, by which those that work on the index notice that it has changed. */
  async #announce(kind: string, position: string | undefined): Promise<void> {
    for (let attempt = 1;; attempt++) {
      const { head, revision } = await this.#index.head(kind);
      const isOld = head?.position !== undefined &&
        !await isOfThisLog(this.#setup.store, head.position, this.#signal);
      if (head && !isOld && this.#differing === 0) return;
      const reached = head && !isOld ? head.position : position;
      try {
        await this.#index.saveHead(kind, reached === undefined ? {} : { position: reached }, revision);
        return;
      } catch (error) {
        if (!(error instanceof IndexConflict) || attempt === MAX_TRIES) throw error;
      }
    }
  }
}

/** What was fired stays so. */
function withFired(expected: IndexedActor, stored: StoredActor | undefined): IndexedActor {
  const timers = expected.timers.map(({ name, at }) => ({
    name,
    at,
    isFired: stored?.timers.some((timer) => timer.name === name && timer.at === at && timer.isFired) ?? false,
  }));
  return { ...expected, timers };
}

function differencesOf(stored: StoredActor | undefined, expected: IndexedActor): TimerDifference[] {
  const times = (actor: IndexedActor | undefined): Map<string, number> =>
    new Map(actor?.timers.map(({ name, at }) => [name, at]));
  const [indexed, named] = [times(stored), times(expected)];
  const differences: TimerDifference[] = [];
  for (const name of new Set([...indexed.keys(), ...named.keys()])) {
    const [found, due] = [indexed.get(name), named.get(name)];
    if (found === due) continue;
    differences.push({ actorId: expected.actorId, name, indexed: dateOf(found), expected: dateOf(due) });
  }
  return differences;
}

function dateOf(time: number | undefined): Date | undefined {
  return time === undefined ? undefined : new Date(time);
}
