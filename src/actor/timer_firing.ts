/**
 * Firing timers that are due.
 *
 * @module
 */

import { ClosedError } from "../errors.ts";
import { backoff } from "../sleep.ts";
import { telemetry } from "../telemetry.ts";
import { type AnyActor, definitionOf } from "./definition.ts";
import { InvalidTimersError } from "./errors.ts";
import type { TimerRow, TimerTable } from "./timer_table.ts";
import type { TimerReference } from "./timer.ts";
import { timerCommandId, type TimerSetup } from "./timers.ts";

/** How many timers are fired at once. */
const FIRED_AT_ONCE = 256;
/** The bounds of the wait before a timer is fired again, in milliseconds. */
const FIRST_RETRY = 100;
const LONGEST_RETRY = 30_000;
/** A timer that is late by more than this counts as late, in milliseconds. */
const LATE = 1_000;

/** What has become of timers. */
export interface TimerCounts {
  /** Those whose command took effect. */
  fired: number;
  /** Those whose command the decider refused. */
  refused: number;
  /** Those that the actor's state did not name any more. */
  dropped: number;
  /** Tries that failed: they are repeated. */
  failed: number;
}

/** What firing leads to. */
export interface FiringHooks {
  /** Asks an actor for its timers. */
  refresh(actorId: string): Promise<void>;
  /** A timer is not being fired any more. */
  onDone(): void;
}

type Outcome = keyof TimerCounts;

/** Fires timers, each actor's one after the other. */
export class TimerFiring {
  readonly #setup: TimerSetup;
  readonly #kind: string;
  readonly #table: TimerTable;
  readonly #hooks: FiringHooks;
  readonly #running = new Set<Promise<void>>();
  readonly counts: TimerCounts = { fired: 0, refused: 0, dropped: 0, failed: 0 };

  /** @param kind The name of the kind of actors. */
  constructor(setup: TimerSetup, kind: string, table: TimerTable, hooks: FiringHooks) {
    this.#setup = setup;
    this.#kind = kind;
    this.#table = table;
    this.#hooks = hooks;
  }

  /** Whether no more can be fired before one has ended. */
  get isFull(): boolean {
    return this.#running.size >= FIRED_AT_ONCE;
  }

  /** Begins to fire the timer that is due first; returns whether there was one. */
  fireNext(signal: AbortSignal): boolean {
    const row = this.isFull ? undefined : this.#table.takeDue(this.#setup.clock.wall());
    if (!row) return false;
    const done: Promise<void> = this.#fire(row, signal).finally(() => {
      this.#running.delete(done);
      this.#table.release(row);
      this.#hooks.onDone();
    });
    this.#running.add(done);
    return true;
  }

  /** Waits until nothing is being fired. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Waits until less is being fired. */
  async progress(): Promise<void> {
    if (this.#running.size > 0) await Promise.race(this.#running);
  }

  /** Reports how many timers wait, and how many are late. */
  report(): void {
    const observed = telemetry();
    if (!observed) return;
    const kind = { "aether.actor_kind": this.#kind };
    observed.set("aether.actor.timers.pending", this.#table.pending + this.#running.size, kind);
    observed.set("aether.actor.timers.late", this.#table.countDue(this.#setup.clock.wall() - LATE), kind);
  }

  /** Another process reports from now on. */
  endReport(): void {
    const kind = { "aether.actor_kind": this.#kind };
    telemetry()?.set("aether.actor.timers.pending", undefined, kind);
    telemetry()?.set("aether.actor.timers.late", undefined, kind);
  }

  async #fire(row: TimerRow, signal: AbortSignal): Promise<void> {
    const timer = row.next;
    const { definitions, clock } = this.#setup;
    const definition = definitionOf(row.actorId, definitions.values());
    if (!timer || !definition?.timers) return void (timer && this.#table.settle(row, timer));
    const lateness = Math.max(0, clock.wall() - timer.at);
    const outcome = await this.#try(definition, row, timer, signal);
    if (outcome === undefined) return;
    this.counts[outcome]++;
    const observed = telemetry();
    observed?.count("aether.actor.timers", 1, {
      "aether.actor_kind": definition.name,
      "aether.outcome": outcome,
    });
    if (outcome === "failed") return;
    observed?.record("aether.actor.timer.lateness", lateness / 1_000, {
      "aether.actor_kind": definition.name,
    });
    this.#table.settle(row, timer);
  }

  /** `undefined` if it is to be fired at another time, and nothing is wrong. */
  async #try(
    definition: AnyActor,
    row: TimerRow,
    timer: TimerReference,
    signal: AbortSignal,
  ): Promise<Outcome | undefined> {
    const { actorId, current: { version } } = row;
    try {
      const id = await timerCommandId(actorId, timer);
      const outcome = await this.#setup.fire(definition, actorId, timer, id, signal);
      if (outcome === "early") return this.#postpone(row, FIRST_RETRY);
      if (outcome === "dropped") {
        await this.#hooks.refresh(actorId);
        assertGone(definition, row, version, timer);
      }
      if (typeof outcome === "string") return outcome;
      const what = `was refused, and is not fired again: ${outcome.refused}`;
      this.#setup.warn({ code: "timer-refused", message: describeTimer(row, timer, what) });
      return "refused";
    } catch (cause) {
      if (signal.aborted || cause instanceof ClosedError) return this.#postpone(row, FIRST_RETRY);
      const message = describeTimer(row, timer, "could not be fired, and is tried again");
      this.#setup.warn({ code: "timer-failed", message, cause });
      this.#postpone(row, backoff(row.failures + 1, FIRST_RETRY, LONGEST_RETRY));
      return "failed";
    }
  }

  #postpone(row: TimerRow, wait: number): undefined {
    this.#table.postpone(row, this.#setup.clock.wall() + wait);
  }
}

function describeTimer({ actorId }: TimerRow, { name }: TimerReference, what: string): string {
  return `timer "${name}" of actor "${actorId}" ${what}`;
}

/**
 * A timer that the actor's state did not name must be gone from the table too.
 *
 * @param version The version that the table knew before.
 * @throws If it is not: the timer is tried again, more and more seldom.
 */
function assertGone(
  { name: kind }: AnyActor,
  { current }: TimerRow,
  version: number,
  { name, at }: TimerReference,
): void {
  const waiting = current.timers.find((timer) => timer.name === name && !timer.isFired);
  if (waiting?.at === at) throw new Error("the host of the actor has another version of the definition");
  if (waiting && current.version === version) {
    throw new InvalidTimersError(
      kind,
      name,
      "its time is another one at each call, though the state is the same",
    );
  }
}
