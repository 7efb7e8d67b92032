/**
 * From commands to events.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { Event, EventMetadata, NewEvent, StoredEvent } from "../event/types.ts";
import { backoff, sleep } from "../sleep.ts";
import { telemetry } from "../telemetry.ts";
import { type Warn, warner, type Warning } from "../warning.ts";
import { checkMetadata, isVersion } from "../event/draft.ts";
import { describe } from "../text.ts";
import { checkFunction, checkKnown, type OptionNames, readOptions } from "../options.ts";
import { checkDecision, checkView, readSave } from "./check_options.ts";
import type { Decider, View } from "./decider.ts";
import { VersionConflictError } from "./errors.ts";
import { checkCommandId, COMMAND_HISTORY, CommandSearch, withCommandId } from "./command_id.ts";
import { checkExpected } from "./commit.ts";
import { type HistoryStore, type ReplayStore, replayWith, resume } from "./replay.ts";
import type { AppendOptions, SaveOptions, SnapshotStore } from "./types.ts";

/**
 * How a command is executed.
 *
 * @category Deciders
 */
export interface ExecuteOptions extends SaveOptions {
  /** How often to decide again after a version conflict, before the conflict is thrown. @default {10} */
  readonly retries?: number;
  /**
   * The version that the actor must be at for the command to be decided, 0 for a new actor; an HTTP `If-Match`, say. If it
   * is at another one, nothing is decided. @default {any}
   */
  readonly expectedVersion?: number;
  /**
   * Names the command, so that it can be repeated: its events get the ids `<commandId>/1`, `<commandId>/2` and so on, and
   * a repetition is answered with what the first one stored, without deciding again, also after other events have come.
   * A text of 1 to 128 UTF-8 bytes. A command that decided nothing is decided again. @default {none}
   */
  readonly commandId?: string;
  /**
   * How many of the actor's latest events are searched for a command of this id, at least. The events that are replayed
   * anyway are always searched; only what a snapshot stands for is read in addition. @default {1_000}
   */
  readonly commandHistory?: number;
  /** Metadata for each event; what `decide` gives an event goes before it. */
  readonly metadata?: EventMetadata;
  /** Takes warnings: a snapshot that could not be used or saved. @default {console.warn, once a kind and minute} */
  readonly onWarning?: (warning: Warning) => void;
}

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
  options?: ExecuteOptions,
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
  let current = await replayWith(
    store,
    actorId,
    decider,
    { ...(signal && { signal }), onWarning: warn },
    end.onEvent,
  );
  await search?.before(current, checked.commandHistory);
  for (let attempt = 1;; attempt++) {
    const repeated = await search?.found();
    if (repeated) return await answer(repeated as readonly StoredEvent<E>[]);
    if (expectedVersion !== undefined) checkExpected(actorId, expectedVersion, current);
    const decided = decider.decide(command, current.state);
    if (checkDecision(decided) === 0) return { state: current.state, version: current.version, events: [] };
    const named = commandId === undefined ? decided : withCommandId(decided, commandId);
    const events = await tryAppend(withMetadata(named, metadata), attempt > retries);
    if (events) return await finish(events);
    await waitAfterConflict(attempt, signal);
    current = await resume(store, actorId, decider, current, end);
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
    await keepSnapshot(store, decider, { actorId, version, state, since: current.snapshotVersion }, warn);
    return { state, version, events };
  }

  /** What an earlier execution of the same command led to. */
  async function answer(events: readonly StoredEvent<E>[]): Promise<Executed<S, E>> {
    const version = events.at(-1)!.version;
    if (version === current.version) return { state: current.state, version, events };
    const then = { atVersion: version, ...(signal && { signal }), onWarning: warn };
    return { state: (await replayWith(store, actorId, decider, then, undefined)).state, version, events };
  }
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
  try {
    await store.saveSnapshot({ actorId, kind, schemaVersion, version, state });
    return true;
  } catch (cause) {
    warn({
      code: "snapshot-not-saved",
      message: `the snapshot "${kind}" of "${actorId}" was not saved`,
      cause,
    });
    return false;
  }
}

/** The names of the options that executions of one and of several actors have in common. */
export const COMMAND_OPTIONS: OptionNames<CommandOptions> = {
  fencingToken: true,
  unfenced: true,
  conditions: true,
  signal: true,
  retries: true,
  commandId: true,
  commandHistory: true,
  metadata: true,
  onWarning: true,
};

const EXECUTE_OPTIONS: OptionNames<ExecuteOptions> = { ...COMMAND_OPTIONS, expectedVersion: true };

/** Returns the options, those of the append apart. */
function checkExecute(options: ExecuteOptions): CheckedExecute {
  checkKnown<ExecuteOptions>(options, EXECUTE_OPTIONS);
  const { expectedVersion, ...common } = options;
  if (expectedVersion !== undefined && expectedVersion !== 0 && !isVersion(expectedVersion)) {
    throw new InvalidArgumentError(
      "options.expectedVersion",
      `must be the version that the actor must be at, 0 for a new one, and is ${describe(expectedVersion)}`,
    );
  }
  return { ...checkCommand(common), expectedVersion };
}

/**
 * The options that executions of one and of several actors have in common.
 *
 * @category Deciders
 */
export type CommandOptions = Omit<ExecuteOptions, "expectedVersion">;

/** The options of a command, checked. */
export interface CheckedCommand {
  /** How often to decide again. */
  readonly retries: number;
  /** Metadata for each event. */
  readonly metadata: EventMetadata | undefined;
  /** The command's name. */
  readonly commandId: string | undefined;
  /** How many events to search for it. */
  readonly commandHistory: number;
  /** Takes warnings. */
  readonly onWarning: ExecuteOptions["onWarning"];
  /** What is passed on to the store. */
  readonly save: SaveOptions;
}

interface CheckedExecute extends CheckedCommand {
  readonly expectedVersion: number | undefined;
}

/** Checks the options of a command. */
export function checkCommand(options: CommandOptions): CheckedCommand {
  const { retries = 10, metadata, commandId, commandHistory = COMMAND_HISTORY, onWarning, ...save } = options;
  for (const [name, count] of Object.entries({ retries, commandHistory })) {
    if (Number.isSafeInteger(count) && count >= 0) continue;
    throw new InvalidArgumentError(
      `options.${name}`,
      `must be a non-negative integer, and is ${describe(count)}`,
    );
  }
  checkFunction("options.onWarning", onWarning);
  if (commandId !== undefined) checkCommandId(commandId);
  readSave(save);
  return {
    retries,
    metadata: metadata === undefined ? undefined : checkMetadata(metadata),
    commandId,
    commandHistory,
    onWarning,
    save,
  };
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
