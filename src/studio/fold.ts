/**
 * Folds an actor's events to its state with a decider of the user's program.
 *
 * @module
 */

import type { Event, StoredEvent } from "../event/types.ts";
import type { View } from "../store/decider.ts";
import type { EventStore } from "../store/types.ts";
import { ApiFailure, textOf } from "./failure.ts";
import type { Fold, StateAt } from "./parts.ts";

/** A view of any state and events. */
export type AnyView = View<unknown, Event>;

/** Of how many actors states are kept. */
const MAX_ACTORS = 4;
/** How many states of an actor are kept, so that an earlier version is not folded from the beginning. */
const MAX_STATES = 32;

/** The states of one actor at some versions, in rising order. */
type Kept = readonly StateAt[];

/** Makes a fold of a decider. It keeps some states of the actors that were folded last. */
export function foldOf(store: EventStore, name: string, view: AnyView): Fold {
  const recent = new Map<string, Kept>();
  return async (actorId, versions, signal) => {
    const kept = recent.get(actorId) ?? [];
    const [states, passed] = await foldFrom(store, { name, view, actorId, versions, signal }, kept);
    recent.delete(actorId);
    recent.set(actorId, spread(passed));
    if (recent.size > MAX_ACTORS) recent.delete(recent.keys().next().value!);
    return states;
  };
}

interface FoldRequest {
  readonly name: string;
  readonly view: AnyView;
  readonly actorId: string;
  readonly versions: readonly number[];
  readonly signal: AbortSignal;
}

/** Folds on from the latest state that is kept and early enough; returns also what to keep. */
async function foldFrom(
  store: EventStore,
  { name, view, actorId, versions, signal }: FoldRequest,
  kept: Kept,
): Promise<readonly [states: readonly StateAt[], passed: StateAt[]]> {
  const wanted = versions.toSorted((a, b) => a - b);
  const [first = 0] = wanted;
  const last = wanted.at(-1) ?? 0;
  const start = kept.findLast(({ version }) => version <= first);
  const step = Math.max(1, Math.floor(last / MAX_STATES));
  const passed: StateAt[] = [];
  const states: StateAt[] = [];
  const evolve = (state: unknown, event: StoredEvent<Event>): unknown =>
    guarded(name, event, () => view.evolve(state, event));
  let state = start ? start.state : guarded(name, undefined, () => view.initialState());
  let version = start?.version ?? 0;
  let noted = version;
  const takeUpTo = (next: number): void => {
    while (wanted.length > 0 && wanted[0]! < next) {
      states.push({ version: wanted.shift()!, state });
      passed.push({ version, state });
    }
  };
  if (last > version) {
    for await (
      const event of store.readEvents(actorId, { fromVersion: version + 1, toVersion: last, signal })
    ) {
      takeUpTo(event.version);
      state = evolve(state, event);
      version = event.version;
      if (version - noted < step) continue;
      noted = version;
      passed.push({ version, state });
    }
  }
  takeUpTo(Infinity);
  return [states, [...kept, ...passed].sort((a, b) => a.version - b.version)];
}

/** Some of the states, spread over the versions, the latest among them. */
function spread(states: readonly StateAt[]): Kept {
  const distinct = states.filter(({ version }, index) => version !== states[index - 1]?.version);
  const step = Math.ceil(distinct.length / MAX_STATES);
  return distinct.filter((_, index) => (distinct.length - 1 - index) % step === 0);
}

function guarded<T>(name: string, event: StoredEvent<Event> | undefined, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const where = event ? ` on event ${event.version}` : "";
    throw new ApiFailure("decider-failed", `The decider "${name}" failed${where}: ${textOf(cause)}`, {
      cause,
    });
  }
}
