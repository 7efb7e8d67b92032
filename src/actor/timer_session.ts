/**
 * Working on timers: from taking the index to losing it.
 *
 * Four loops work at the same time. One follows the log and keeps the index in memory. One writes what has changed there,
 * and then how far the log was read. One fires what is due. One looks whether another process has written to the index.
 * A timer that the index names is only a hint: the actor asks its own state when the command arrives.
 *
 * @module
 */

import { Wakeup } from "../cluster/clock.ts";
import { BackendError, ClosedError } from "../errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { backoff, sleep } from "../sleep.ts";
import { HistoryTruncatedError, InvalidPositionError, LogReplacedError } from "../store/errors.ts";
import { type AnyActor, definitionOf } from "./definition.ts";
import { type TimerCounts, TimerFiring } from "./timer_firing.ts";
import { IndexConflict, type PendingTimer, type TimerIndex } from "./timer_index.ts";
import { TimerStates } from "./timer_states.ts";
import { TimerTable } from "./timer_table.ts";
import { type TimerSetup, timersOf } from "./timers.ts";

/** How often the position in the log is written, and another writer of the index is looked for, in milliseconds. */
const HEAD_INTERVAL = 1_000;
/** The longest wait for the next timer: the clock may be set, and the machine may sleep. In milliseconds. */
const LONGEST_WAIT = 1_000;
/** How long timers are fired before other work of the process gets its time, in milliseconds. */
const LONGEST_RUN = 10;
/** The bounds of the wait before the log is followed again, in milliseconds. */
const FIRST_RETRY = 100;
const LONGEST_RETRY = 10_000;
/** How many actors are read at once. */
const READS_AT_ONCE = 64;

/** How many timers are looked for at once. */
const FIRED_TOGETHER = 256;

/** Everything that was due is done; time was short or something failed; another process has written to the index. */
export type OnceResult = "complete" | "over" | "conflict";

/** Works on an index. */
export class TimerSession {
  readonly #setup: TimerSetup;
  readonly #index: TimerIndex;
  readonly #definition: AnyActor;
  readonly #table: TimerTable;
  readonly #states: TimerStates;
  readonly #firing: TimerFiring;
  readonly #due: Wakeup;
  readonly #changed: Wakeup;
  #position: string | undefined;
  #saved: string | undefined;
  #revision: string | undefined;
  /** Whether timers are fired: before the log was read to its end, many would be out of date. */
  #isReady = false;
  /** Whether the store was closed: then its database may be closed too. */
  #isClosed = false;

  /** @param definition The kind of actors that it works on. */
  constructor(setup: TimerSetup, definition: AnyActor, index: TimerIndex) {
    const { store, clock, warn } = setup;
    this.#setup = setup;
    this.#index = index;
    this.#definition = definition;
    this.#due = new Wakeup(clock);
    this.#changed = new Wakeup(clock);
    this.#table = new TimerTable(index, (actorId) => this.#isOwn(actorId), () => {
      this.#due.notify();
      this.#changed.notify();
    });
    this.#states = new TimerStates(store, warn);
    this.#firing = new TimerFiring(setup, definition.name, this.#table, {
      refresh: (actorId) => this.refresh(actorId),
      onDone: () => this.#due.notify(),
    });
  }

  /**
   * Works until the signal fires or the store is closed.
   *
   * @param isOwn Is asked before each timer: whether the index is still this process's.
   * @throws {IndexConflict} If another process has written to the index: it is to be read again.
   */
  async run(isOwn: () => boolean, signal: AbortSignal): Promise<void> {
    await this.#open(signal);
    const ending = new AbortController();
    const over = AbortSignal.any([signal, ending.signal]);
    over.addEventListener("abort", () => {
      this.#due.notify();
      this.#changed.notify();
    }, { once: true });
    const loops = [this.#follow(over), this.#write(over), this.#fireDue(isOwn, over)];
    const outcomes = await Promise.allSettled(loops.map((loop) => loop.finally(() => ending.abort())));
    await this.#firing.idle();
    this.#firing.endReport();
    if (this.#isClosed) return;
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    if (!isOwn()) return;
    await this.#table.flush();
    if (this.#position !== this.#saved) await this.#saveHead();
  }

  /** What has become of the timers that were fired. */
  get counts(): TimerCounts {
    return this.#firing.counts;
  }

  /**
   * Reads what is new in the log, and fires what is due, once.
   *
   * @throws {IndexConflict} If another process has written to the index: it is to be read again.
   */
  async once(signal: AbortSignal): Promise<OnceResult> {
    const { clock } = this.#setup;
    await this.#open(signal, false);
    const tried = new Set<string>();
    while (!signal.aborted) {
      await this.#catchUp(signal);
      await this.#table.flush();
      if (this.#position !== this.#saved) await this.#saveHead();
      const actorIds = await this.#dueActors(clock.wall(), tried);
      if (actorIds.size === 0) return tried.size === 0 ? "complete" : "over";
      for (const actorId of actorIds) await this.#table.find(actorId);
      while (!signal.aborted && (this.#firing.fireNext(signal) || this.#firing.isFull)) {
        if (this.#firing.isFull) await this.#firing.progress();
      }
      await this.#firing.idle();
      for (const actorId of this.#table.failedActorIds()) tried.add(actorId);
      await this.#table.flush();
      await sleep(0); // in memory nothing else lets the end of the budget come
    }
    return "over";
  }

  /** Actors that have a timer due, without those that were tried and failed. */
  async #dueActors(until: number, tried: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    for (let after: PendingTimer | undefined = undefined;;) {
      const page: readonly PendingTimer[] = await this.#index.pending({
        until,
        limit: FIRED_TOGETHER,
        ...(after && { after }),
      });
      for (const { actorId } of page) if (!tried.has(actorId) && this.#isOwn(actorId)) found.add(actorId);
      if (found.size > 0 || page.length < FIRED_TOGETHER) return found;
      after = page.at(-1);
    }
  }

  /** Reads the log up to its present end. */
  async #catchUp(signal: AbortSignal): Promise<void> {
    const after = this.#position ?? "start";
    try {
      for await (
        const event of this.#setup.store.readAll({ after, actorPrefix: this.#definition.name, signal })
      ) {
        await this.#take(event);
        this.#position = event.position;
      }
    } catch (error) {
      if (!isOfAnotherLog(error)) throw error;
      await this.#rebuild(signal);
    }
  }

  /** Whether an actor is of the kind that is worked on. */
  #isOwn(actorId: string): boolean {
    return definitionOf(actorId, this.#setup.definitions.values()) === this.#definition;
  }

  /** Reads the index, and builds it if none exists. */
  async #open(signal: AbortSignal, isWhole = true): Promise<void> {
    const { head, revision } = await this.#index.head(this.#definition.name);
    this.#revision = revision;
    if (isWhole) await this.#table.load();
    this.#position = this.#saved = head?.position;
    if (!head) await this.#build(signal);
    // A new version of a definition may have corrected them.
    for (const actorId of this.#table.faultyActorIds()) await this.refresh(actorId);
  }

  /** Asks every actor for its timers. */
  async #build(signal: AbortSignal, isForced = false): Promise<void> {
    // What comes meanwhile is read again.
    const position = await this.#setup.store.getLastPosition();
    await eachActor(this.#setup, this.#definition, (actorId) => this.refresh(actorId, isForced), signal);
    await this.#table.flush();
    this.#position = position;
    await this.#saveHead();
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
    if (!this.#isOwn(actorId)) return;
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

  /** Keeps the table up to date with the log. */
  async #follow(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted;) {
      const before = this.#position;
      try {
        await this.#subscribe(signal);
        this.#isClosed = !signal.aborted;
        return;
      } catch (error) {
        this.#isClosed = error instanceof ClosedError;
        if (this.#position !== before) attempt = 1;
        if (signal.aborted || error instanceof ClosedError) return;
        if (error instanceof IndexConflict || error instanceof LogReplacedError) throw error;
        const { code, message } = INTERRUPTED;
        this.#setup.warn({ code, message, cause: error });
        if (isOfAnotherLog(error)) await this.#rebuild(signal);
        else this.#begin(); // what is known is fired all the same
      }
      await sleep(backoff(attempt++, FIRST_RETRY, LONGEST_RETRY), signal).catch(() => {});
    }
  }

  async #subscribe(signal: AbortSignal): Promise<void> {
    const after = this.#position ?? "start";
    await using subscription = this.#setup.store.subscribe({
      after,
      actorPrefix: this.#definition.name,
      signal,
    });
    subscription.caughtUp().then((isCaughtUp) => isCaughtUp && this.#begin(), () => {});
    for await (const event of subscription) {
      await this.#take(event);
      this.#position = subscription.position ?? event.position;
      this.#changed.notify();
    }
  }

  async #take(event: StoredEvent): Promise<void> {
    await this.#look(event.actorId, (definition) => this.#states.after(definition, event));
  }

  #begin(): void {
    this.#isReady = true;
    this.#due.notify();
  }

  /** The log is another one than that which was read. */
  async #rebuild(signal: AbortSignal): Promise<void> {
    await this.#table.load();
    await this.#build(signal, true);
    for (const actorId of [...this.#table.actorIds]) await this.refresh(actorId, true);
    await this.#table.flush();
  }

  /** Writes what has changed. */
  async #write(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted;) {
      try {
        await this.#save();
        attempt = 1;
        await this.#changed.sleep(HEAD_INTERVAL);
      } catch (error) {
        if (error instanceof IndexConflict) throw error;
        if (error instanceof ClosedError) return;
        const { code, message } = INTERRUPTED;
        this.#setup.warn({ code, message, cause: error });
        await sleep(backoff(attempt++, FIRST_RETRY, LONGEST_RETRY), signal).catch(() => {});
      }
    }
  }

  #lastHead = 0;

  async #save(): Promise<void> {
    const position = this.#position;
    await this.#table.flush();
    const now = performance.now();
    if (now - this.#lastHead < HEAD_INTERVAL) return;
    this.#lastHead = now;
    if (position !== this.#saved) await this.#saveHead(position);
    else if ((await this.#index.head(this.#definition.name)).revision !== this.#revision) {
      throw new IndexConflict();
    }
    this.#firing.report();
  }

  async #saveHead(position = this.#position): Promise<void> {
    const head = position === undefined ? {} : { position };
    this.#revision = await this.#index.saveHead(this.#definition.name, head, this.#revision);
    this.#saved = position;
  }

  /** Fires what is due. */
  async #fireDue(isOwn: () => boolean, signal: AbortSignal): Promise<void> {
    const { clock } = this.#setup;
    for (let yielded = performance.now(); !signal.aborted;) {
      // In memory, timers that are due again at once would otherwise let nothing else happen in the process.
      if (performance.now() - yielded > LONGEST_RUN) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        yielded = performance.now();
      }
      if (this.#isReady && isOwn() && this.#firing.fireNext(signal)) continue;
      const canFire = this.#isReady && isOwn() && !this.#firing.isFull;
      const wait = canFire ? this.#table.nextDue - clock.wall() : LONGEST_WAIT;
      await this.#due.sleep(Math.min(Math.max(wait, 1), LONGEST_WAIT));
    }
  }
}

const INTERRUPTED = {
  code: "timers-interrupted",
  message: "work on timers was interrupted and is tried again: until then timers may be late",
};

/** Whether a failure is the store's, and not that of one actor. */
function isOfStore(error: unknown): boolean {
  return error instanceof BackendError || error instanceof ClosedError || error instanceof LogReplacedError;
}

/** Whether a position is refused because the log is another one than that which it is of. */
export function isOfAnotherLog(error: unknown): boolean {
  return error instanceof InvalidPositionError || error instanceof HistoryTruncatedError;
}

/** Does something for every actor of a kind, for several at once. */
export async function eachActor(
  { store, definitions }: Pick<TimerSetup, "store" | "definitions">,
  definition: AnyActor,
  run: (actorId: string) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const actors = store.listActors({ actorPrefix: definition.name, ...(signal && { signal }) });
  for await (const { actorId } of actors) {
    if (definitionOf(actorId, definitions.values()) !== definition) continue;
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
