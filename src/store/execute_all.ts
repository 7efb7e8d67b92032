/**
 * From a decision on several actors to one commit.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { Event, EventInput, NewEvent, StoredEvent } from "../event/types.ts";
import { checkKnown, readOptions } from "../options.ts";
import { type Warn, warner } from "../warning.ts";
import { describe } from "../text.ts";
import { checkActorId, checkDecision, checkView, isArray } from "./check_options.ts";
import { CommandSearch, withCommandId } from "./command_id.ts";
import { checkCondition } from "./commit.ts";
import type { View } from "./decider.ts";
import { VersionConflictError } from "./errors.ts";
import { keepSnapshot, waitAfterConflict, withMetadata } from "./execute.ts";
import {
  checkCommand,
  type CheckedCommand,
  COMMAND_OPTIONS,
  type CommandOptions,
} from "./execute_options.ts";
import { fold, type Replayed, type ReplayStore } from "./fold.ts";
import { type ReplayOptions, replayWith } from "./replay.ts";
import type { CommitCondition, SaveOptions } from "./types.ts";

/**
 * How a decision on several actors is executed.
 *
 * @category Deciders
 */
export type ExecuteAllOptions = CommandOptions;

/**
 * The actors that a decision is made on, under names of the caller's choice: what to fold, and the actor's id.
 *
 * @category Deciders
 */
// deno-lint-ignore no-explicit-any -- each has a state and events of its own, which are inferred from it
export type ActorViews = Readonly<Record<string, readonly [view: View<any, any>, actorId: string]>>;

/** The state of a view. */
export type StateOf<V> = V extends View<infer S, Event> ? S : never;

/** The events of a view. */
export type EventsOf<V> = V extends View<unknown, infer E extends Event> ? E : never;

/** The states that a decision is made on, by the names of the actors. */
export type StatesOf<A extends ActorViews> = { readonly [K in keyof A]: StateOf<A[K][0]> };

/** What was decided: events by the names of the actors. An actor that is left out, or has none, is only depended on. */
export type DecisionOf<A extends ActorViews> = {
  readonly [K in keyof A]?: readonly NewEvent<EventsOf<A[K][0]>>[];
};

/**
 * What became of one actor.
 *
 * @category Deciders
 */
export interface ExecutedActor<S, E extends Event> {
  /** The state after the command. */
  readonly state: S;
  /** The actor's version after the command. */
  readonly version: number;
  /** The events that were stored for it. */
  readonly events: readonly StoredEvent<E>[];
}

/**
 * What a decision led to, by the names of the actors.
 *
 * @category Deciders
 */
export type ExecutedAll<A extends ActorViews> = {
  readonly [K in keyof A]: ExecutedActor<StateOf<A[K][0]>, EventsOf<A[K][0]>>;
};

/**
 * A store that decisions on several actors can be executed on.
 *
 * @typeParam E The union of all their events.
 */
export interface ExecuteAllStore<E extends Event> extends Omit<ReplayStore<E>, "append"> {
  /** Stores the events of several actors in one commit. */
  readonly saveEvents: (
    events: readonly EventInput<E>[],
    options?: SaveOptions,
  ) => Promise<readonly StoredEvent[]>;
}

const warnOnConsole = warner(undefined);

/**
 * Decides on several actors at once, and stores what was decided in one commit: under the condition that each of them,
 * also one without new events, is still at the version that was read. If another writer comes in between, what is new is
 * read, and the decision made again, after a short random wait.
 *
 * @example A student takes a course, as long as there is room in both
 * ```ts
 * import { type Event, executeAll, InMemoryEventStore, type View } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * type Enrolled = Event<"Enrolled", { course: string }>;
 * type SeatTaken = Event<"SeatTaken", { student: string }>;
 * const courses: View<number, Enrolled> = { initialState: () => 0, evolve: (count) => count + 1 };
 * const seats: View<number, SeatTaken> = { initialState: () => 2, evolve: (free) => free - 1 };
 *
 * await using store = new InMemoryEventStore<Enrolled | SeatTaken>();
 * const { course } = await executeAll(store, {
 *   student: [courses, "student-1"],
 *   course: [seats, "course-7"],
 * }, ({ student, course }) => {
 *   if (student >= 10 || course === 0) throw new Error("no room");
 *   return {
 *     student: [{ eventType: "Enrolled", data: { course: "course-7" } }],
 *     course: [{ eventType: "SeatTaken", data: { student: "student-1" } }],
 *   };
 * });
 * assert.equal(course.state, 1);
 * ```
 *
 * @param store Where the events are.
 * @param actors What to decide on. Together they count against the actors that one commit may hold.
 * @param decide Returns the events of each actor, or throws to refuse. It may be called several times.
 * @param options How it is executed. With a `commandId` the ids of the events are `<commandId>/<name>/1` and so on.
 * @throws {VersionConflictError} If other writers came first on every try.
 * @throws {InvalidArgumentError} If an actor is named twice, or an argument is out of range.
 * @throws What `decide` and `evolve` throw, and what the store's reads and `saveEvents` throw.
 *
 * @category Deciders
 */
export async function executeAll<const A extends ActorViews>(
  store: ExecuteAllStore<EventsOf<A[keyof A][0]>>,
  actors: A,
  decide: (states: StatesOf<A>) => DecisionOf<A>,
  options?: ExecuteAllOptions,
): Promise<ExecutedAll<A>> {
  const checked = readOptions(options, (given) => {
    checkKnown(given, COMMAND_OPTIONS);
    return checkCommand(given);
  });
  if (typeof decide !== "function") {
    throw new InvalidArgumentError("decide", `must be a function of the states, and is ${describe(decide)}`);
  }
  const { retries, commandHistory, save } = checked;
  const members = readActors(actors).map((named) => new Member(store, named, checked));
  await Promise.all(members.map((member) => member.replay(commandHistory)));
  for (let attempt = 1;; attempt++) {
    const repeated = await Promise.all(members.map((member) => member.findRepetition()));
    if (repeated.some((events) => events !== undefined)) {
      return await collect(members, (member, index) => member.answer(repeated[index]));
    }
    const conditions = conditionsOn(members, save.conditions ?? []);
    const decided = decide(
      Object.fromEntries(members.map(({ name, state }) => [name, state])) as StatesOf<A>,
    );
    const events = eventsOf(members, decided);
    if (events.length === 0) return await collect(members, (member) => member.finish([]));
    const stored = await trySave(events, conditions, attempt > retries);
    if (stored) {
      return await collect(
        members,
        (member) => member.finish(stored.filter(({ actorId }) => actorId === member.actorId)),
      );
    }
    await waitAfterConflict(attempt, save.signal);
    await Promise.all(members.map((member) => member.resume()));
  }

  /** Saves; `undefined` if another writer came first to an actor that was read, and there is another try. */
  async function trySave(
    events: readonly EventInput<Event>[],
    conditions: readonly CommitCondition[],
    isLast: boolean,
  ): Promise<readonly StoredEvent[] | undefined> {
    try {
      return await store.saveEvents(events as never, { ...save, conditions });
    } catch (error) {
      const isOurs = error instanceof VersionConflictError &&
        members.some(({ actorId }) => actorId === error.actorId);
      if (isLast || !isOurs) throw error;
      return undefined;
    }
  }
}

/** What was read must be as it was, and what the caller requires besides. */
function conditionsOn(
  members: readonly Member[],
  required: readonly CommitCondition[],
): readonly CommitCondition[] {
  const byActor = new Map(members.map((member) => [member.actorId, member]));
  const others = required.filter((condition) => {
    const member = byActor.get(condition.actorId);
    if (member) checkCondition(condition, member);
    return !member;
  });
  return [...others, ...members.map(({ actorId, version }) => ({ actorId, version }))];
}

/** The events that were decided, numbered on from what was read. */
function eventsOf(members: readonly Member[], decided: unknown): EventInput<Event>[] {
  if (typeof decided !== "object" || decided === null || isArray(decided)) {
    throw new InvalidArgumentError(
      "decide",
      `must return events by the names of the actors, and returned ${describe(decided)}`,
    );
  }
  const byName = new Map(Object.entries(decided as DecisionOf<ActorViews>));
  const events = members.flatMap((member) => {
    const own = byName.get(member.name);
    byName.delete(member.name);
    return own === undefined ? [] : member.inputs(own);
  });
  for (const name of byName.keys()) {
    throw new InvalidArgumentError(
      "decide",
      `returned events for "${name}", and there is no actor of this name`,
    );
  }
  return events;
}

async function collect<A extends ActorViews>(
  members: readonly Member[],
  result: (member: Member, index: number) => Promise<ExecutedActor<unknown, Event>>,
): Promise<ExecutedAll<A>> {
  const results = await Promise.all(
    members.map(async (member, index) => [member.name, await result(member, index)]),
  );
  return Object.fromEntries(results) as ExecutedAll<A>;
}

type Named = readonly [name: string, view: View<unknown, Event>, actorId: string];

/** Reads the actors, each named once. */
function readActors(actors: ActorViews): readonly Named[] {
  const ids = new Set<string>();
  return readOptions(actors, (given) =>
    Object.entries(given).map(([name, member]): Named => {
      if (!isArray(member)) {
        throw new InvalidArgumentError(
          `actors.${name}`,
          `must be [view, actorId], and is ${describe(member)}`,
        );
      }
      const [view, actorId] = member as ActorViews[string];
      checkView(`actors.${name}`, view);
      checkActorId(actorId);
      if (ids.has(actorId)) {
        throw new InvalidArgumentError(`actors.${name}`, `is "${actorId}", which has another name here too`);
      }
      ids.add(actorId);
      return [name, view, actorId];
    }), "actors");
}

/** One of the actors of a decision, and how far it was read. */
class Member {
  readonly name: string;
  readonly actorId: string;
  readonly #view: View<unknown, Event>;
  readonly #store: ExecuteAllStore<Event>;
  readonly #checked: CheckedCommand;
  readonly #commandId: string | undefined;
  readonly #search: CommandSearch | undefined;
  readonly #warn: Warn;
  #current: Replayed<unknown> = { state: undefined, version: 0, events: 0, snapshotVersion: 0 };

  constructor(store: ExecuteAllStore<never>, [name, view, actorId]: Named, checked: CheckedCommand) {
    this.name = name;
    this.actorId = actorId;
    this.#view = view;
    this.#store = store as ExecuteAllStore<Event>;
    this.#checked = checked;
    this.#warn = checked.onWarning ? warner(checked.onWarning) : warnOnConsole;
    if (checked.commandId === undefined) return;
    this.#commandId = `${checked.commandId}/${name}`;
    this.#search = new CommandSearch(this.#store, actorId, this.#commandId);
  }

  get state(): unknown {
    return this.#current.state;
  }

  get version(): number {
    return this.#current.version;
  }

  /** Reads the actor. */
  async replay(commandHistory: number): Promise<void> {
    this.#current = await replayWith(
      this.#store,
      this.actorId,
      this.#view,
      this.#options,
      this.#search?.onEvent,
    );
    await this.#search?.before(this.#current, commandHistory);
  }

  /** Reads what has come since. */
  async resume(): Promise<void> {
    const end = { signal: this.#checked.save.signal, onEvent: this.#search?.onEvent };
    this.#current = await fold(this.#store, this.actorId, this.#view, this.#current, end);
  }

  /** The events that an earlier execution of the same command stored for the actor. */
  async findRepetition(): Promise<readonly StoredEvent[] | undefined> {
    return await this.#search?.found();
  }

  /** Events as they are to be saved. */
  inputs(decided: unknown): EventInput<Event>[] {
    checkDecision(decided);
    const events = decided as readonly NewEvent<Event>[];
    const named = this.#commandId === undefined ? events : withCommandId(events, this.#commandId);
    return withMetadata(named, this.#checked.metadata).map((event, index) => ({
      ...event,
      actorId: this.actorId,
      version: this.version + 1 + index,
    }));
  }

  /** Folds the events that were stored. */
  async finish(events: readonly StoredEvent[]): Promise<ExecutedActor<unknown, Event>> {
    const state = events.reduce((before, event) => this.#view.evolve(before, event), this.state);
    const version = events.at(-1)?.version ?? this.version;
    if (events.length > 0) {
      const reached = { actorId: this.actorId, version, state, since: this.#current.snapshotVersion };
      await keepSnapshot(this.#store, this.#view, reached, this.#warn);
    }
    return { state, version, events };
  }

  /** What an earlier execution of the same command led to; as it is now, where that stored nothing for the actor. */
  async answer(events: readonly StoredEvent[] | undefined): Promise<ExecutedActor<unknown, Event>> {
    const version = events?.at(-1)?.version ?? this.version;
    if (!events || version === this.version) return { state: this.state, version, events: events ?? [] };
    const then = { ...this.#options, atVersion: version };
    const { state } = await replayWith(this.#store, this.actorId, this.#view, then, undefined);
    return { state, version, events };
  }

  get #options(): ReplayOptions & { readonly atTime?: string } {
    const { signal } = this.#checked.save;
    return { ...(signal && { signal }), onWarning: this.#warn };
  }
}
