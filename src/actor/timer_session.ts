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
import { ClosedError } from "../errors.ts";
import { backoff, sleep } from "../sleep.ts";
import type { AnyActor } from "./definition.ts";
import { type TimerCounts, TimerFiring } from "./timer_firing.ts";
import { IndexConflict, type PendingTimer, type TimerIndex } from "./timer_index.ts";
import { FIRST_RETRY, INTERRUPTED, isOfKind, LONGEST_RETRY, TimerLog } from "./timer_log.ts";
import { TimerTable } from "./timer_table.ts";
import type { TimerSetup } from "./timers.ts";

/** How often the position in the log is written, and another writer of the index is looked for, in milliseconds. */
const HEAD_INTERVAL = 1_000;
/**
 * How long changes are gathered before they are written, in milliseconds. A timer is noted as fired, and then goes because of
 * the event that it has led to: together that is one write.
 */
const GATHERING = 50;
/** The longest wait for the next timer: the clock may be set, and the machine may sleep. In milliseconds. */
const LONGEST_WAIT = 1_000;
/** How long timers are fired before other work of the process gets its time, in milliseconds. */
const LONGEST_RUN = 10;
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
  readonly #log: TimerLog;
  readonly #firing: TimerFiring;
  readonly #due: Wakeup;
  readonly #changed: Wakeup;
  #saved: string | undefined;
  #revision: string | undefined;
  /** Whether timers are fired: before the log was read to its end, many would be out of date. */
  #isReady = false;

  /** @param definition The kind of actors that it works on. */
  constructor(setup: TimerSetup, definition: AnyActor, index: TimerIndex) {
    const { clock } = setup;
    this.#setup = setup;
    this.#index = index;
    this.#definition = definition;
    this.#due = new Wakeup(clock);
    this.#changed = new Wakeup(clock);
    this.#table = new TimerTable(index, (actorId) => isOfKind(setup, definition, actorId), () => {
      this.#due.notify();
      this.#changed.notify();
    });
    this.#log = new TimerLog(setup, definition, this.#table, () => this.#changed.notify());
    this.#firing = new TimerFiring(setup, definition.name, this.#table, {
      refresh: (actorId) => this.#log.refresh(actorId),
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
    const loops = [
      this.#log.follow(over, () => this.#begin()),
      this.#write(over),
      this.#fireDue(isOwn, over),
    ];
    const outcomes = await Promise.allSettled(loops.map((loop) => loop.finally(() => ending.abort())));
    await this.#firing.idle();
    this.#firing.endReport();
    if (this.#log.isClosed) return; // then its database may be closed too
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    if (!isOwn()) return;
    await this.#table.flush();
    if (this.#log.position !== this.#saved) await this.#saveHead();
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
      await this.#log.catchUp(signal);
      await this.#table.flush();
      if (this.#log.position !== this.#saved) await this.#saveHead();
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
      for (const { actorId } of page) {
        if (!tried.has(actorId) && isOfKind(this.#setup, this.#definition, actorId)) found.add(actorId);
      }
      if (found.size > 0 || page.length < FIRED_TOGETHER) return found;
      after = page.at(-1);
    }
  }

  /** Reads the index, and builds it if none exists. */
  async #open(signal: AbortSignal, isWhole = true): Promise<void> {
    const { head, revision } = await this.#index.head(this.#definition.name);
    this.#revision = revision;
    if (isWhole) await this.#table.load();
    this.#log.position = this.#saved = head?.position;
    if (!head) {
      await this.#log.build(signal);
      await this.#saveHead();
    }
    // A new version of a definition may have corrected them.
    for (const actorId of this.#table.faultyActorIds()) await this.#log.refresh(actorId);
  }

  #begin(): void {
    this.#isReady = true;
    this.#due.notify();
  }

  /** Writes what has changed. */
  async #write(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted;) {
      try {
        await this.#save();
        attempt = 1;
        await this.#changed.sleep(HEAD_INTERVAL);
        await sleep(GATHERING, signal).catch(() => {});
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
    const position = this.#log.position;
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

  async #saveHead(position = this.#log.position): Promise<void> {
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
