/**
 * From commands to events.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { Event, EventMetadata, NewEvent, StoredEvent } from "../event/types.ts";
import { backoff, sleep } from "../sleep.ts";
import { telemetry } from "../telemetry.ts";
import { warner, type Warning } from "../warning.ts";
import { checkMetadata } from "../event/draft.ts";
import { checkFunction, checkKnown, type OptionNames, readOptions } from "../options.ts";
import { checkDecision, checkView, readSave } from "./arguments.ts";
import type { Decider } from "./decider.ts";
import { VersionConflictError } from "./errors.ts";
import { replay, type ReplayStore, resume } from "./replay.ts";
import type { EventStore, SaveOptions } from "./types.ts";

/** How a command is executed. */
export interface ExecuteOptions extends SaveOptions {
  /** How often to decide anew after a version conflict, before the conflict is thrown. @default {10} */
  readonly retries?: number;
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
 */
export interface Executed<S, E extends Event> {
  /** The state after the command. */
  readonly state: S;
  /** The actor's version after the command. */
  readonly version: number;
  /** The events that were stored; none if the command decided nothing. */
  readonly events: readonly StoredEvent<E>[];
}

/** A store that commands can be executed on. */
export type ExecuteStore<E extends Event> = ReplayStore<E> & Pick<EventStore<E>, "append">;

/** The bound of the wait after the first conflict, and after many, in milliseconds. */
const FIRST_WAIT = 5;
const LONGEST_WAIT = 500;
/** Events between two snapshots, unless the decider says otherwise. */
const SNAPSHOT_EVERY = 100;

const warnOnConsole = warner(undefined);

/**
 * Executes a command: replays the actor, lets the decider decide, appends what it decided. When another writer comes in
 * between, it folds the new events in and decides anew, after a short random wait.
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
 * @throws {VersionConflictError} If other writers came first on every try.
 * @throws {InvalidArgumentError} If the decider lacks a function, decides no array, or an option is out of range.
 * @throws What `decide` and `evolve` throw, and what the store's reads and `append` throw. Where `evolve` throws on the
 * new events, they are stored.
 */
export async function execute<S, C, E extends Event>(
  store: ExecuteStore<E>,
  actorId: string,
  decider: Decider<S, C, E>,
  command: NoInfer<C>,
  options?: ExecuteOptions,
): Promise<Executed<S, E>> {
  const { retries, metadata, onWarning, save } = readOptions(options, checkExecute);
  checkView("decider", decider);
  if (typeof decider.decide !== "function") {
    throw new InvalidArgumentError("decider.decide", "must be a function of a command and a state");
  }
  const warn = onWarning ? warner(onWarning) : warnOnConsole;
  const { signal } = save;
  let current = await replay(store, actorId, decider, { ...(signal && { signal }), onWarning: warn });
  for (let attempt = 1;; attempt++) {
    const decided = decider.decide(command, current.state);
    if (checkDecision(decided) === 0) return { state: current.state, version: current.version, events: [] };
    try {
      const events = await store.append(actorId, withMetadata(decided, metadata), {
        ...save,
        expectedVersion: current.version,
      });
      const state = (events as readonly E[]).reduce(
        (before, event) => decider.evolve(before, event),
        current.state,
      );
      const version = events.at(-1)!.version;
      await keepSnapshot(version, state, current.snapshotVersion);
      return { state, version, events };
    } catch (error) {
      if (!(error instanceof VersionConflictError) || attempt > retries) throw error;
    }
    telemetry()?.count("aether.execute.retries", 1, {});
    await sleep(backoff(attempt, FIRST_WAIT, LONGEST_WAIT), signal);
    current = await resume(store, actorId, decider, current, signal);
  }

  /** Takes a snapshot where enough has come since the last one. It is an optimisation: its failure is a warning. */
  async function keepSnapshot(version: number, state: S, since: number): Promise<void> {
    const { snapshot } = decider;
    if (!snapshot || !store.saveSnapshot || version - since < (snapshot.every ?? SNAPSHOT_EVERY)) return;
    const { kind, schemaVersion } = snapshot;
    try {
      await store.saveSnapshot({ actorId, kind, schemaVersion, version, state });
    } catch (cause) {
      warn({
        code: "snapshot-not-saved",
        message: `the snapshot "${kind}" of "${actorId}" was not saved`,
        cause,
      });
    }
  }
}

const EXECUTE_OPTIONS: OptionNames<ExecuteOptions> = {
  fencingToken: true,
  unfenced: true,
  conditions: true,
  signal: true,
  retries: true,
  metadata: true,
  onWarning: true,
};

/** Returns the options, those of the append apart. */
function checkExecute({ ...options }: ExecuteOptions): CheckedExecute {
  checkKnown<ExecuteOptions>(options, EXECUTE_OPTIONS);
  const { retries = 10, metadata, onWarning, ...save } = options;
  if (!Number.isSafeInteger(retries) || retries < 0) {
    throw new InvalidArgumentError("options.retries", "must be a non-negative integer");
  }
  checkFunction("options.onWarning", onWarning);
  readSave(save);
  return { retries, metadata: metadata === undefined ? undefined : checkMetadata(metadata), onWarning, save };
}

interface CheckedExecute {
  readonly retries: number;
  readonly metadata: EventMetadata | undefined;
  readonly onWarning: ExecuteOptions["onWarning"];
  readonly save: SaveOptions;
}

function withMetadata<E extends Event>(
  events: readonly NewEvent<E>[],
  metadata: EventMetadata | undefined,
): readonly NewEvent<E>[] {
  if (!metadata) return events;
  return events.map((event) => {
    try {
      return { ...event, metadata: { ...metadata, ...event.metadata } };
    } catch {
      return event; // no event, or one that cannot be read: append says so
    }
  });
}
