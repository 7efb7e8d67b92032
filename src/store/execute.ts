/**
 * From commands to events.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { Event, EventMetadata, NewEvent, StoredEvent } from "../event/types.ts";
import { backoff, sleep } from "../sleep.ts";
import { telemetry } from "../telemetry.ts";
import { type Warn, warner } from "../warning.ts";
import { describe } from "../text.ts";
import { readOptions } from "../options.ts";
import { checkDecision, checkView } from "./check_options.ts";
import type { Decider, View } from "./decider.ts";
import { VersionConflictError } from "./errors.ts";
import { CommandSearch, withCommandId } from "./command_id.ts";
import { checkExpected } from "./commit.ts";
import { checkExecute, type ExecuteOptions } from "./execute_options.ts";
import { type HistoryStore, replayWith } from "./replay.ts";
import { fold, type Replayed, type ReplayStore } from "./fold.ts";
import type { SnapshotInput } from "./snapshot.ts";
import type { AppendOptions, SnapshotStore } from "./types.ts";

/**
 * What a command led to.
 *
 * @typeParam S The state.
 * @typeParam E The union of the actor's events.
 *
 * @category Deciders
 */
export interface Executed<S, E extends Event> {
  /** The state after the command. */
  readonly state: S;
  /** The actor's version after the command. */
  readonly version: number;
  /** The events that were stored; none if the command decided nothing. */
  readonly events: readonly StoredEvent<E>[];
  /** The version of the latest snapshot, as far as is known; 0 if there is none. */
  readonly snapshotVersion: number;
}

/**
 * A store that commands can be executed on. It may hold more kinds of events than the decider's.
 *
 * @typeParam E The union of the decider's events.
 */
export interface ExecuteStore<E extends Event> extends Omit<ReplayStore<E>, "append"> {
  /** Appends the decider's events. */
  readonly append: (
    actorId: string,
    events: readonly NewEvent<E>[],
    options: AppendOptions,
  ) => Promise<readonly StoredEvent[]>;
}

/** The bound of the wait after the first conflict, and after many, in milliseconds. */
const FIRST_WAIT = 5;
const LONGEST_WAIT = 500;

/** Waits after a conflict, a random time that grows. */
export async function waitAfterConflict(attempt: number, signal: AbortSignal | undefined): Promise<void> {
  telemetry()?.count("aether.execute.retries", 1, {});
  await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), signal);
}

/** Events between two snapshots, unless the decider has another number. */
export const SNAPSHOT_EVERY = 100;

const warnOnConsole = warner(undefined);

/**
 * Executes a command: replays the actor, lets the decider decide, appends what it decided. When another writer comes in
 * between, it folds the new events in and decides again, after a short random wait.
 *
 * @example
 * ```ts
 * import { type Decider, type Event, execute, InMemoryEventStore } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * type Moved = Event<"Deposited" | "Withdrawn", { amount: number }>;
 * const account: Decider<number, { withdraw: number }, Moved> = {
 *   initialState: () => 0,
 *   evolve: (balance, event) => balance + (event.eventType === "Deposited" ? 1 : -1) * event.data.amount,
 *   decide: ({ withdraw }, balance) => {
 *     if (withdraw > balance) throw new Error("not enough money");
 *     return [{ eventType: "Withdrawn", data: { amount: withdraw } }];
 *   },
 * };
 * await using store = new InMemoryEventStore<Moved>();
 * await store.append("account-1", [{ eventType: "Deposited", data: { amount: 10 } }], { expectedVersion: 0 });
 * const { state, version } = await execute(store, "account-1", account, { withdraw: 3 });
 * assert.deepEqual({ state, version }, { state: 7, version: 2 });
 * ```
 *
 * @param store Where the events are.
 * @param actorId The actor.
 * @param decider The domain.
 * @param command What is to happen.
 * @param options How it is executed.
 * @throws {VersionConflictError} If other writers came first on every try, or the actor is not at `expectedVersion`.
 * @throws {InvalidArgumentError} If the decider lacks a function, decides no array, or an option is out of range.
 * @throws What `decide` and `evolve` throw, and what the store's reads and `append` throw. Where `evolve` throws on the
 * new events, they are stored.
 *
 * @category Deciders
 */
export async function execute<S, C, Stored extends Event, E extends Event = Stored>(
  store: HistoryStore<Stored> & ExecuteStore<E>,
  actorId: string,
  decider: Decider<S, C, E>,
  command: NoInfer<C>,
  options?: ExecuteOptions<NoInfer<S>>,
): Promise<Executed<S, E>> {
  const checked = readOptions(options, checkExecute);
  checkView("decider", decider);
  if (typeof decider.decide !== "function") {
    throw new InvalidArgumentError(
      "decider.decide",
      `must be a function of a command and a state, and is ${describe(decider.decide)}`,
    );
  }
  const { retries, expectedVersion, metadata, commandId, onWarning, save } = checked;
  const warn = onWarning ? warner(onWarning) : warnOnConsole;
  const { signal } = save;
  const search = commandId === undefined ? undefined : new CommandSearch(store, actorId, commandId);
  const end = { signal, onEvent: search?.onEvent };
  const from = checked.from as Pick<Replayed<S>, "state" | "version" | "snapshotVersion"> | undefined;
  signal?.throwIfAborted();
  let current: Replayed<S> = from ? { ...from, events: 0 } : await replayWith(
    store,
    actorId,
    decider,
    { ...(signal && { signal }), onWarning: warn },
    end.onEvent,
  );
  await search?.before(
    from ? { ...current, snapshotVersion: from.version } : current,
    checked.commandHistory,
  );
  /** Whether the state is the caller's, and events may have been stored since. */
  let isGiven = from !== undefined;
  for (let attempt = 1;;) {
    const repeated = await search?.found();
    if (repeated) return await answer(repeated as readonly StoredEvent<E>[]);
    const decided = tryDecide();
    if (decided === undefined) {
      current = await fold(store, actorId, decider, current, end);
      isGiven = false;
      continue;
    }
    if (decided.length === 0) return { ...reached(current), events: [] };
    const named = commandId === undefined ? decided : withCommandId(decided, commandId);
    const events = await tryAppend(withMetadata(named, metadata), attempt > retries);
    if (events) return await finish(events);
    await waitAfterConflict(attempt++, signal);
    current = await fold(store, actorId, decider, current, end);
    isGiven = false;
  }

  /** Decides; `undefined` if nothing came of the caller's state, so that what was stored since must be read. */
  function tryDecide(): readonly NewEvent<E>[] | undefined {
    try {
      if (expectedVersion !== undefined) checkExpected(actorId, expectedVersion, current);
      const decided = decider.decide(command, current.state);
      return checkDecision(decided) === 0 && isGiven ? undefined : decided;
    } catch (error) {
      if (isGiven) return undefined;
      throw error;
    }
  }

  /** Appends; `undefined` if another writer came first and there is another try. */
  async function tryAppend(
    events: readonly NewEvent<E>[],
    isLast: boolean,
  ): Promise<readonly StoredEvent<E>[] | undefined> {
    try {
      const append = { ...save, expectedVersion: current.version };
      return await store.append(actorId, events, append) as readonly StoredEvent<E>[];
    } catch (error) {
      if (isLast || !(error instanceof VersionConflictError) || error.isCondition) throw error;
      return undefined;
    }
  }

  async function finish(events: readonly StoredEvent<E>[]): Promise<Executed<S, E>> {
    const state = (events as readonly E[]).reduce(
      (before, event) => decider.evolve(before, event),
      current.state,
    );
    const version = events.at(-1)!.version;
    const since = current.snapshotVersion;
    const isKept = await keepSnapshot(store, decider, { actorId, version, state, since }, warn);
    return { state, version, events, snapshotVersion: isKept ? version : since };
  }

  /** What an earlier execution of the same command led to. */
  async function answer(events: readonly StoredEvent<E>[]): Promise<Executed<S, E>> {
    const version = events.at(-1)!.version;
    if (version === current.version) return { ...reached(current), events };
    const then = { atVersion: version, ...(signal && { signal }), onWarning: warn };
    return { ...reached(await replayWith(store, actorId, decider, then, undefined)), events };
  }
}

function reached<S>({ state, version, snapshotVersion }: Replayed<S>): Omit<Executed<S, never>, "events"> {
  return { state, version, snapshotVersion };
}

/** A state that may be worth a snapshot. */
export interface ReachedState<S> {
  /** The actor. */
  readonly actorId: string;
  /** Its version. */
  readonly version: number;
  /** Its state at that version. */
  readonly state: S;
  /** The version of the latest snapshot. */
  readonly since: number;
  /** How many events must have come since. @default {as the view declares} */
  readonly every?: number | undefined;
}

/**
 * Takes a snapshot if enough has come since the last one. It is an optimisation: its failure is a warning.
 *
 * @returns Whether it was taken.
 */
export async function keepSnapshot<S, E extends Event>(
  store: Partial<SnapshotStore>,
  { snapshot }: View<S, E>,
  { actorId, version, state, since, every }: ReachedState<S>,
  warn: Warn,
): Promise<boolean> {
  const least = every ?? snapshot?.every ?? SNAPSHOT_EVERY;
  if (!snapshot || !store.saveSnapshot || version - since < least) return false;
  const { kind, schemaVersion } = snapshot;
  return await saveSnapshot(store, { actorId, kind, schemaVersion, version, state }, warn);
}

/** Saves a snapshot; returns whether it was saved: a failure is a warning. */
export async function saveSnapshot(
  store: Partial<SnapshotStore>,
  snapshot: SnapshotInput,
  warn: Warn,
): Promise<boolean> {
  try {
    await store.saveSnapshot?.(snapshot);
    return true;
  } catch (cause) {
    const { kind, actorId } = snapshot;
    warn({
      code: "snapshot-not-saved",
      message: `the snapshot "${kind}" of "${actorId}" was not saved`,
      cause,
    });
    return false;
  }
}

/** Adds metadata to each event; its own goes before it. */
export function withMetadata<E extends Event>(
  events: readonly NewEvent<E>[],
  metadata: EventMetadata | undefined,
): readonly NewEvent<E>[] {
  if (!metadata) return events;
  return events.map((event) => {
    try {
      return { ...event, metadata: { ...metadata, ...event.metadata } };
    } catch {
      return event; // no event, or one that cannot be read: append reports it
    }
  });
}
