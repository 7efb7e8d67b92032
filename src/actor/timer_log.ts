/**
 * Reading the log for the timers of a kind of actors: which timers the states name that its events lead to.
 *
 * @module
 */

import { BackendError, ClosedError } from "../errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { backoff, sleep } from "../sleep.ts";
import { HistoryTruncatedError, InvalidPositionError, LogReplacedError } from "../store/errors.ts";
import type { EventStore } from "../store/types.ts";
import { type AnyActor, definitionOf } from "./definition.ts";
import { IndexConflict } from "./timer_index.ts";
import { TimerStates } from "./timer_states.ts";
import type { TimerTable } from "./timer_table.ts";
import { type TimerSetup, timersOf } from "./timers.ts";

/** The bounds of the wait before the log is followed, or the index written, again, in milliseconds. */
export const FIRST_RETRY = 100;
export const LONGEST_RETRY = 10_000;
/** How many actors are read at once. */
const READS_AT_ONCE = 64;

/** The warning of work that is tried again. */
export const INTERRUPTED = {
  code: "timers-interrupted",
  message: "work on timers was interrupted and is tried again: until then timers may be late",
};

/** Reads the log, and keeps a table of timers up to date with it. */
export class TimerLog {
  readonly #setup: TimerSetup;
  readonly #definition: AnyActor;
  readonly #table: TimerTable;
  readonly #states: TimerStates;
  readonly #onProgress: () => void;
  /** How far it has read; `undefined` before the first event. */
  position: string | undefined;
  /** Whether the store was closed. */
  isClosed = false;

  /** @param onProgress Is called after each event. */
  constructor(setup: TimerSetup, definition: AnyActor, table: TimerTable, onProgress: () => void) {
    this.#setup = setup;
    this.#definition = definition;
    this.#table = table;
    this.#states = new TimerStates(setup);
    this.#onProgress = onProgress;
  }

  /** Asks every actor for its timers. */
  async build(signal: AbortSignal): Promise<void> {
    this.position = await this.#askAll(signal, false);
  }

  /** @returns The position from which on the log is to be read: what comes meanwhile is read again. */
  async #askAll(signal: AbortSignal, isForced: boolean): Promise<string | undefined> {
    const position = await this.#setup.store.getLastPosition();
    await eachActor(this.#setup, this.#definition, (actorId) => this.refresh(actorId, isForced), signal);
    await this.#table.flush();
    return position;
  }

  /** Asks an actor's present state for its timers. */
  async refresh(actorId: string, isForced = false): Promise<void> {
    await this.#look(actorId, (definition) => this.#states.latest(definition, actorId), isForced);
  }

  async #look(
    actorId: string,
    read: (definition: AnyActor) => Promise<{ readonly state: unknown; readonly version: number }>,
    isForced = false,
  ): Promise<void> {
    const { warn } = this.#setup;
    const definition = this.#definition;
    if (!isOfKind(this.#setup, definition, actorId)) return;
    try {
      const { state, version } = await read(definition);
      const checked = timersOf(definition, state, version);
      if (checked.fault) {
        warn({ code: "timers-invalid", message: checked.fault.message, cause: checked.fault });
      }
      await this.#table.apply(actorId, version, checked, isForced || version === 0);
    } catch (cause) {
      if (cause instanceof IndexConflict || isOfStore(cause)) throw cause;
      const message = `the timers of actor "${actorId}" are not known, because its events cannot be folded`;
      warn({ code: "timers-unknown", message, cause });
      await this.#table.spoil(actorId, message);
    }
  }

  /**
   * Keeps the table up to date with the log, until the signal fires or the store is closed.
   *
   * @param onReady Is called when timers can be fired: the log was read to its end, or cannot be read.
   * @throws {LogReplacedError} If another log is in its place.
   */
  async follow(signal: AbortSignal, onReady: () => void): Promise<void> {
    for (let attempt = 1; !signal.aborted;) {
      const before = this.position;
      try {
        await this.#subscribe(signal, onReady);
        this.isClosed = !signal.aborted;
        return;
      } catch (error) {
        this.isClosed = error instanceof ClosedError;
        if (this.position !== before) attempt = 1;
        if (signal.aborted || error instanceof ClosedError) return;
        if (error instanceof IndexConflict || error instanceof LogReplacedError) throw error;
        const { code, message } = INTERRUPTED;
        this.#setup.warn({ code, message, cause: error });
        if (isOfAnotherLog(error)) await this.#rebuild(signal);
        else onReady(); // what is known is fired all the same
      }
      await sleep(backoff(attempt++, FIRST_RETRY, LONGEST_RETRY), signal).catch(() => {});
    }
  }

  async #subscribe(signal: AbortSignal, onReady: () => void): Promise<void> {
    const after = this.position ?? "start";
    await using subscription = this.#setup.store.subscribe({
      after,
      actorPrefix: this.#definition.name,
      signal,
    });
    subscription.caughtUp().then((isCaughtUp) => isCaughtUp && onReady(), () => {});
    for await (const event of subscription) {
      await this.#take(event);
      this.position = subscription.position ?? event.position;
      this.#onProgress();
    }
  }

  async #take(event: StoredEvent): Promise<void> {
    await this.#look(event.actorId, (definition) => this.#states.after(definition, event));
  }

  /** The log is another one than that which was read. */
  async #rebuild(signal: AbortSignal): Promise<void> {
    await this.#table.load();
    const position = await this.#askAll(signal, true);
    for (const actorId of [...this.#table.actorIds]) await this.refresh(actorId, true);
    await this.#table.flush();
    this.position = position;
  }

  /** Reads the log up to its present end. */
  async catchUp(signal: AbortSignal): Promise<void> {
    const after = this.position ?? "start";
    try {
      for await (
        const event of this.#setup.store.readAll({ after, actorPrefix: this.#definition.name, signal })
      ) {
        await this.#take(event);
        this.position = event.position;
      }
    } catch (error) {
      if (!isOfAnotherLog(error)) throw error;
      await this.#rebuild(signal);
    }
  }
}

/** Whether a failure is the store's, and not that of one actor. */
function isOfStore(error: unknown): boolean {
  return error instanceof BackendError || error instanceof ClosedError || error instanceof LogReplacedError;
}

/** Whether a position is refused because the log is another one than that which it is of. */
function isOfAnotherLog(error: unknown): boolean {
  return error instanceof InvalidPositionError || error instanceof HistoryTruncatedError;
}

/** Whether a position is one of the log that a store has open. */
export async function isOfThisLog(
  store: Pick<EventStore, "readAll">,
  after: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    for await (const _event of store.readAll({ after, ...(signal && { signal }) })) break;
    return true;
  } catch (error) {
    if (isOfAnotherLog(error)) return false;
    throw error;
  }
}

/** Whether an actor is of a kind. */
export function isOfKind(
  { definitions }: Pick<TimerSetup, "definitions">,
  definition: AnyActor,
  actorId: string,
): boolean {
  return definitionOf(actorId, definitions.values()) === definition;
}

/** Does something for every actor of a kind, for several at once. */
export async function eachActor(
  setup: Pick<TimerSetup, "store" | "definitions">,
  definition: AnyActor,
  run: (actorId: string) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const actors = setup.store.listActors({ actorPrefix: definition.name, ...(signal && { signal }) });
  for await (const { actorId } of actors) {
    if (!isOfKind(setup, definition, actorId)) continue;
    const done: Promise<void> = run(actorId)
      .catch((error) => void (failure ??= { error }))
      .finally(() => running.delete(done));
    running.add(done);
    if (running.size >= READS_AT_ONCE) await Promise.race(running);
    if (failure) break;
  }
  await Promise.all(running);
  if (failure) throw failure.error;
}
