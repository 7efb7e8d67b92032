/**
 * One actor in memory: its mailbox, its state, and its commits.
 *
 * Commands that wait while a commit is on its way are decided together, one after the other on the state that the ones
 * before lead to, and are stored in one commit. Each is answered once that is stored. If the commit is refused because
 * another writer came first, the actor reads what is new and decides all of them again.
 *
 * @module
 */

import type { Event, NewEvent, StoredEvent } from "../event/types.ts";
import { copyJson } from "../event/json.ts";
import { AetherError, ClosedError } from "../errors.ts";
import { backoff, sleep } from "../sleep.ts";
import type { Warn } from "../warning.ts";
import { checkDecision } from "../store/check_options.ts";
import { eventId, withCommandId } from "../store/command_id.ts";
import type { Decider } from "../store/decider.ts";
import {
  BackendError,
  FencedError,
  LogReplacedError,
  OutcomeUnknownError,
  VersionConflictError,
} from "../store/errors.ts";
import { keepSnapshot, SNAPSHOT_EVERY, waitAfterConflict } from "../store/execute.ts";
import { type Replayed, replayWith, resume } from "../store/replay.ts";
import type { EventStore, SnapshotStore } from "../store/types.ts";
import { type CallResult, CommandCall, type QueryCall } from "./call.ts";
import { CommandIds } from "./command_ids.ts";
import type { AnyActor } from "./definition.ts";
import { ActorFailedError } from "./errors.ts";

/** The bounds of the wait between two tries of a commit whose outcome is unknown, in milliseconds. */
const FIRST_WAIT = 50;
const LONGEST_WAIT = 1_000;
/** How often commands are decided again after a conflict. */
const MAX_CONFLICTS = 10;

/** Under what an actor works: a shard that this process owns. */
export interface ActorOwner {
  /** Whether it is owned at this instant. */
  readonly isHeld: boolean;
  /** Higher than that of every earlier owner. */
  readonly fencingToken: number;
}

/** The actor is no longer this process's own: its caller finds the new owner. */
export class MovedError extends Error {
  /** Whether the command may have been stored before: the new owner finds it by its id. */
  readonly mayBeStored: boolean;

  constructor(mayBeStored: boolean) {
    super("the actor is another process's");
    this.mayBeStored = mayBeStored;
  }
}

/** What actors work with. */
export interface ActorSetup {
  /** Where their events are stored. */
  readonly store: EventStore & Partial<SnapshotStore>;
  /** Receives warnings. */
  readonly warn: Warn;
  /** Is called when the actor has no calls left. */
  readonly onIdle: () => void;
  /** Under what the actor works; none if this process has all actors. */
  readonly owner: ActorOwner | undefined;
}

/** A command that has been decided on, and what it led to: events, or an error. */
interface Decided {
  readonly call: CommandCall;
  readonly events: readonly NewEvent<Event>[];
  readonly error?: unknown;
}

/** An actor in memory. */
export class ActiveActor {
  /** The actor. */
  readonly id: string;
  readonly #definition: AnyActor;
  readonly #decider: Decider<unknown, unknown, Event>;
  readonly #setup: ActorSetup;
  readonly #queue: (CommandCall | QueryCall)[] = [];
  #ids: CommandIds;
  #current: Replayed<unknown> | undefined;
  #running: Promise<void> | undefined;
  #snapshot: Promise<void> | undefined;
  /** How many commands are decided together: fewer after a commit that was refused. */
  #groupLimit = Infinity;
  #conflicts = 0;
  /** When it was last called, on the clock of `performance.now()`. */
  lastUsed = 0;

  /** Loads nothing before the first call. */
  constructor(id: string, definition: AnyActor, setup: ActorSetup) {
    this.id = id;
    this.#definition = definition;
    this.#decider = definition.decider as unknown as Decider<unknown, unknown, Event>;
    this.#setup = setup;
    this.#ids = new CommandIds(setup.store, id);
  }

  /** Under what it works. */
  get owner(): ActorOwner | undefined {
    return this.#setup.owner;
  }

  /** How many calls wait. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Whether it works on calls. */
  get isBusy(): boolean {
    return this.#running !== undefined;
  }

  /** Takes a call, to be answered after those before it. */
  enqueue(call: CommandCall | QueryCall): void {
    this.#queue.push(call);
    this.#running ??= this.#run();
  }

  /** Waits until all calls are answered, and keeps a snapshot if that shortens the next load. */
  async passivate(): Promise<void> {
    await this.#running;
    await this.#snapshot;
    const current = this.#current;
    const { snapshot } = this.#decider;
    if (!current || !snapshot) return;
    const every = Math.ceil((snapshot.every ?? SNAPSHOT_EVERY) / 2);
    await this.#keepSnapshot(current, every);
  }

  /** Rejects the calls that wait, and waits for the one that is being stored. */
  async close(error: unknown): Promise<void> {
    for (const call of this.#queue.splice(0)) call.reject(error);
    await this.#running;
    await this.#snapshot;
  }

  async #run(): Promise<void> {
    await undefined; // calls of the same turn of the event loop are decided together
    while (this.#queue.length > 0) {
      try {
        await this.#next();
      } catch (error) {
        this.#current = undefined;
        for (const call of this.#queue.splice(0)) call.reject(error);
      }
    }
    this.#running = undefined;
    this.#setup.onIdle();
  }

  /** Works on the calls at the head of the queue: those that one commit answers. */
  async #next(): Promise<void> {
    this.#current ??= await this.#load();
    const hasId = this.#queue.some((call) => call instanceof CommandCall && call.id !== undefined);
    if (hasId && !this.#ids.isComplete) await this.#ids.complete();
    this.#assertOwned();
    const group = this.#decide(this.#current);
    const events = group.flatMap((decided) => decided.events);
    if (events.length === 0) return void answer(group, this.#current, [], this.#decider);
    const stored = await this.#store(this.#current, group, events);
    if (stored) await this.#take(this.#current, group, stored);
  }

  /** @throws {MovedError} If another process may own the actor now: its history holds what was stored here. */
  #assertOwned(): void {
    const { owner } = this.#setup;
    if (owner && !owner.isHeld) throw new MovedError(false);
  }

  async #load(): Promise<Replayed<unknown>> {
    const { store, warn } = this.#setup;
    this.#ids = new CommandIds(store, this.id);
    const current = await replayWith(store, this.id, this.#decider, { onWarning: warn }, this.#ids.note);
    this.#ids.beginAt(current.snapshotVersion);
    return current;
  }

  /** Takes calls from the queue: queries are answered, commands decided until the commit is full. */
  #decide({ state, version }: Replayed<unknown>): Decided[] {
    const group: Decided[] = [];
    const named = new Set<string>();
    const { eventsPerCommit } = this.#setup.store.limits;
    let count = 0;
    let folded: { readonly state: unknown } | undefined = { state };
    while (this.#queue.length > 0 && group.length < this.#groupLimit) {
      const call = this.#queue[0]!;
      if (call.isSettled) {
        this.#queue.shift();
        continue;
      }
      if (!(call instanceof CommandCall)) {
        if (count > 0) break; // it is answered from what is stored
        this.#queue.shift();
        this.#query(call, state);
        continue;
      }
      if (call.id !== undefined) {
        if (named.has(call.id)) break; // it is found once the first one is stored
        const earlier = this.#ids.versionOf(call.id);
        if (earlier !== undefined) {
          this.#queue.shift();
          this.#repeat(call, call.id, earlier);
          continue;
        }
      }
      if (group.length > 0) folded = this.#fold(folded.state, version, group.at(-1)!);
      if (!folded) break;
      const decided = this.#decideOne(call, folded.state);
      if (count > 0 && count + decided.events.length > eventsPerCommit) break;
      this.#queue.shift();
      version += group.at(-1)?.events.length ?? 0;
      count += decided.events.length;
      if (call.id !== undefined) named.add(call.id);
      group.push(decided);
    }
    return group;
  }

  #query(call: QueryCall, state: unknown): void {
    try {
      call.resolve(call.answer(state));
    } catch (error) {
      call.reject(this.#declared(error));
    }
  }

  #decideOne(call: CommandCall, state: unknown): Decided {
    try {
      const decided = this.#decider.decide(call.command, state);
      checkDecision(decided);
      const named = call.id === undefined ? decided : withCommandId(decided, call.id);
      const timestamp = new Date().toISOString();
      return {
        call,
        events: named.map((event) => ({ id: crypto.randomUUID(), timestamp, ...event })),
      };
    } catch (error) {
      return { call, events: [], error: this.#declared(error) };
    }
  }

  /** An error as a caller gets it. */
  #declared(error: unknown): unknown {
    const isDeclared = Object.values(this.#definition.errors).some((type) => error instanceof type);
    return isDeclared ? error : new ActorFailedError(this.id, error);
  }

  /**
   * The state after events that are not stored yet, for the next command of the same commit. `undefined` if it cannot be
   * known before they are: the store may refuse them.
   */
  #fold(before: unknown, version: number, { events }: Decided): { readonly state: unknown } | undefined {
    try {
      let state = before;
      for (const event of events) {
        const data = copyJson(event.data, "data", this.#setup.store.limits.bytesPerEvent).value;
        const stored = { ...event, data, actorId: this.id, version: ++version } as unknown as Event;
        state = this.#decider.evolve(state, Object.freeze(stored));
      }
      return { state };
    } catch {
      return undefined;
    }
  }

  /** Stores the events; `undefined` if the commands were answered otherwise, or are to be decided again. */
  async #store(
    current: Replayed<unknown>,
    group: readonly Decided[],
    events: readonly NewEvent<Event>[],
  ): Promise<readonly StoredEvent[] | undefined> {
    const { store } = this.#setup;
    const expectedVersion = current.version;
    for (const { call, events } of group) {
      call.sent = { events, expectedVersion };
    }
    try {
      const stored = await store.append(this.id, events, { expectedVersion, ...this.#fence });
      this.#groupLimit *= 2;
      this.#conflicts = 0;
      return stored;
    } catch (error) {
      if (error instanceof OutcomeUnknownError) return await this.#learn(current, group, events);
      if (error instanceof VersionConflictError && this.#conflicts++ < MAX_CONFLICTS) {
        await this.#decideAgain(current, group);
      } else if (group.length > 1 && !isOfStore(error)) {
        // One of the commands is at fault, or there are too many: fewer are tried together.
        this.#groupLimit = Math.floor(group.length / 2);
        this.#requeue(group);
      } else {
        const reason = error instanceof FencedError && this.#setup.owner ? new MovedError(false) : error;
        for (const decided of group) decided.call.reject(reason);
        this.#conflicts = 0;
        if (isOfStore(error) || error instanceof VersionConflictError) this.#current = undefined;
      }
      return undefined;
    }
  }

  get #fence(): { readonly fencingToken?: number } {
    const { owner } = this.#setup;
    return owner ? { fencingToken: owner.fencingToken } : {};
  }

  #requeue(group: readonly Decided[]): void {
    for (const { call } of group) call.sent = undefined;
    this.#queue.unshift(...group.map(({ call }) => call));
  }

  /** Another writer came first: reads what is new. */
  async #decideAgain(current: Replayed<unknown>, group: readonly Decided[]): Promise<void> {
    this.#requeue(group);
    await waitAfterConflict(this.#conflicts, undefined);
    this.#current = await resume(this.#setup.store, this.id, this.#decider, current, {
      signal: undefined,
      onEvent: this.#ids.note,
    });
  }

  /** Repeats a commit of unknown outcome, which stores it once, until the store answers or no caller waits any more. */
  async #learn(
    current: Replayed<unknown>,
    group: readonly Decided[],
    events: readonly NewEvent<Event>[],
  ): Promise<readonly StoredEvent[] | undefined> {
    const { store } = this.#setup;
    for (let attempt = 1; group.some(({ call }) => !call.isSettled); attempt++) {
      await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT));
      try {
        // The same ids: an append that was stored is answered with what was stored.
        return await store.append(this.id, events, { expectedVersion: current.version, ...this.#fence });
      } catch (error) {
        if (error instanceof VersionConflictError) {
          await this.#decideAgain(current, group);
          return undefined;
        }
        const isUnknown = error instanceof OutcomeUnknownError || error instanceof BackendError;
        if (isUnknown) continue;
        // The first try may have been stored all the same: the new owner finds that out, or no process here can.
        for (const { call } of group) {
          if (error instanceof FencedError && this.#setup.owner) call.reject(new MovedError(true));
          else call.expire();
        }
      }
    }
    this.#current = undefined;
    return undefined;
  }

  /** Folds what was stored, and answers. */
  async #take(
    current: Replayed<unknown>,
    group: readonly Decided[],
    stored: readonly StoredEvent[],
  ): Promise<void> {
    for (const event of stored) this.#ids.note(event);
    const { owner } = this.#setup;
    if (owner && !owner.isHeld) { for (const { call } of group) call.reject(new MovedError(true)); }
    const state = answer(group, current, stored, this.#decider);
    if (!state) return void (this.#current = undefined);
    this.#current = {
      state: state.value,
      version: stored.at(-1)!.version,
      events: current.events + stored.length,
      snapshotVersion: current.snapshotVersion,
    };
    await this.#snapshot;
    this.#snapshot = this.#keepSnapshot(this.#current).finally(() => this.#snapshot = undefined);
  }

  /** Keeps a snapshot, if enough has come since the last one. */
  async #keepSnapshot(current: Replayed<unknown>, every?: number): Promise<void> {
    const { store, warn } = this.#setup;
    const { version, state, snapshotVersion: since } = current;
    const isKept = await keepSnapshot(store, this.#decider, {
      actorId: this.id,
      version,
      state,
      since,
      every,
    }, warn);
    if (isKept && this.#current) this.#current = { ...this.#current, snapshotVersion: version };
  }

  /** Answers a command that was executed before. */
  async #repeat(call: CommandCall, commandId: string, version: number): Promise<void> {
    try {
      const { store, warn } = this.#setup;
      let last = version;
      for await (const event of store.readEvents(this.id, { fromVersion: version })) {
        if (event.id !== eventId(commandId, event.version - version + 1)) break;
        last = event.version;
      }
      const options = { atVersion: last, onWarning: warn };
      const { state } = await replayWith(store, this.id, this.#decider, options, undefined);
      call.resolve({ version: last, state } satisfies CallResult<unknown>);
    } catch (error) {
      call.reject(error);
    }
  }
}

/** Whether a failure is the store's, and not that of what was to be stored. */
function isOfStore(error: unknown): boolean {
  return !(error instanceof AetherError) || error instanceof BackendError || error instanceof ClosedError ||
    error instanceof FencedError || error instanceof LogReplacedError;
}

/**
 * Answers decided commands, each with the state and the version that it led to.
 *
 * @returns The state after all of them; `undefined` if the fold has failed.
 */
function answer(
  group: readonly Decided[],
  current: Replayed<unknown>,
  stored: readonly StoredEvent[],
  decider: Decider<unknown, unknown, Event>,
): { readonly value: unknown } | undefined {
  let { state, version } = current;
  let failure: unknown;
  let next = 0;
  for (const { call, events, error } of group) {
    for (let index = 0; index < events.length; index++) {
      const event = stored[next++]!;
      try {
        if (failure === undefined) state = decider.evolve(state, event);
      } catch (cause) {
        failure = new ActorFailedError(call.actorId, cause, true);
      }
      version = event.version;
    }
    if (error !== undefined) call.reject(error);
    else if (failure !== undefined) call.reject(failure);
    else call.resolve({ version, state } satisfies CallResult<unknown>);
  }
  return failure === undefined ? { value: state } : undefined;
}
