/**
 * The index of timers in the memory of the process that works on it.
 *
 * @module
 */

import { type Due, DueQueue } from "./due_queue.ts";
import {
  type IndexedActor,
  type IndexedTimer,
  isHeld,
  type StoredActor,
  type TimerIndex,
} from "./timer_index.ts";
import type { TimerReference } from "./timer.ts";
import type { CheckedTimers } from "./timers.ts";

/** How many rows are written at once. */
const WRITES_AT_ONCE = 256;

/** An actor with timers. */
export class TimerRow implements Due {
  /** The actor. */
  readonly actorId: string;
  /** What the index holds; `undefined` if nothing. */
  stored: StoredActor | undefined;
  /** What it is to hold. */
  current: IndexedActor;
  /** Whether a timer of it is being fired. */
  isFiring = false;
  /** How often firing has failed in a row. */
  failures = 0;
  /** No timer is fired before, in milliseconds since 1970. */
  notBefore = -Infinity;
  due = Infinity;
  place = -1;

  constructor(actorId: string, stored: StoredActor | undefined) {
    this.actorId = actorId;
    this.stored = stored;
    this.current = stored ?? { actorId, version: 0, timers: [] };
  }

  /** The timer that is due first; `undefined` if none waits. */
  get next(): IndexedTimer | undefined {
    let next: IndexedTimer | undefined;
    for (const timer of this.current.timers) {
      if (!timer.isFired && timer.at < (next?.at ?? Infinity)) next = timer;
    }
    return next;
  }
}

/** All actors with timers, and which is due next. */
export class TimerTable {
  readonly #index: TimerIndex;
  readonly #isOwn: (actorId: string) => boolean;
  readonly #onChange: () => void;
  readonly #rows = new Map<string, TimerRow>();
  readonly #queue = new DueQueue<TimerRow>();
  readonly #dirty = new Set<TimerRow>();
  /** Whether every actor of the index is in the table. */
  #isComplete = false;

  /**
   * @param isOwn Which actors are taken from the index.
   * @param onChange Is called when something is to be written, or may be due earlier than before.
   */
  constructor(index: TimerIndex, isOwn: (actorId: string) => boolean, onChange: () => void) {
    this.#index = index;
    this.#isOwn = isOwn;
    this.#onChange = onChange;
  }

  /** Reads all of the index that is its own. */
  async load(): Promise<void> {
    for await (const stored of this.#index.all()) {
      const { actorId } = stored;
      if (this.#isOwn(actorId) && !this.#rows.has(actorId)) this.#add(actorId, stored);
    }
    this.#isComplete = true;
  }

  /** How many actors have a timer that waits. */
  get pending(): number {
    return this.#queue.size;
  }

  /** The actors. */
  get actorIds(): Iterable<string> {
    return this.#rows.keys();
  }

  /** The actors whose timers are at fault. */
  faultyActorIds(): string[] {
    return [...this.#rows.values()].filter(({ current }) => current.fault !== undefined).map(({ actorId }) =>
      actorId
    );
  }

  /** The actors whose last timer could not be fired. */
  failedActorIds(): string[] {
    return [...this.#rows.values()].filter(({ failures }) => failures > 0).map(({ actorId }) => actorId);
  }

  /** Whether something is to be written. */
  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** How many actors have had a timer due at a time. */
  countDue(time: number): number {
    return this.#queue.countUntil(time);
  }

  /** When the next timer is to be fired, in milliseconds since 1970. */
  get nextDue(): number {
    return this.#queue.peek()?.due ?? Infinity;
  }

  /** Takes an actor that has a timer due: it is being fired from now on. */
  takeDue(now: number): TimerRow | undefined {
    const row = this.#queue.peek();
    if (!row || row.due > now) return undefined;
    this.#queue.delete(row);
    row.isFiring = true;
    return row;
  }

  /** What is known of an actor. */
  async find(actorId: string): Promise<TimerRow | undefined> {
    const known = this.#rows.get(actorId);
    if (known || this.#isComplete) return known;
    const stored = await this.#index.get(actorId);
    return stored && (this.#rows.get(actorId) ?? this.#add(actorId, stored));
  }

  /**
   * Takes over the timers of a state.
   *
   * @param isForced Whether they count although the index has those of a later version: it is of another log.
   */
  async apply(actorId: string, version: number, checked: CheckedTimers, isForced = false): Promise<void> {
    const known = await this.find(actorId);
    if (!known && checked.timers.size === 0 && !checked.fault) return;
    const row = known ?? this.#add(actorId, undefined);
    const { timers: before, version: seen } = row.current;
    if (seen > version && !isForced) return;
    const timers = [...checked.timers].map(([name, { at }]): IndexedTimer => {
      const isFired = before.some((timer) => timer.name === name && timer.at === at && timer.isFired);
      return { name, at, isFired };
    });
    const fault = checked.fault && { fault: checked.fault.message };
    this.#change(row, { actorId, version, timers, ...fault });
  }

  /** Notes that an actor's state is not known: what the index has of it stays. */
  async spoil(actorId: string, fault: string): Promise<void> {
    const row = await this.find(actorId) ?? this.#add(actorId, undefined);
    this.#change(row, { ...row.current, fault });
  }

  /** A timer was fired, or never will be. */
  settle(row: TimerRow, { name, at }: TimerReference): void {
    row.failures = 0;
    row.notBefore = -Infinity;
    const timers = row.current.timers.map((timer) =>
      timer.name === name && timer.at === at ? { ...timer, isFired: true } : timer
    );
    this.#change(row, { ...row.current, timers });
  }

  /** A timer is tried again, in milliseconds since 1970. */
  postpone(row: TimerRow, notBefore: number): void {
    row.failures++;
    row.notBefore = notBefore;
  }

  /** A timer is not being fired any more. */
  release(row: TimerRow): void {
    row.isFiring = false;
    this.#enqueue(row);
  }

  /** Writes what has changed until now; what could not be written stays to be written. */
  async flush(): Promise<void> {
    const changed = [...this.#dirty];
    for (let first = 0; first < changed.length; first += WRITES_AT_ONCE) {
      const rows = changed.slice(first, first + WRITES_AT_ONCE).filter((row) => this.#dirty.has(row));
      const outcomes = await Promise.allSettled(rows.map((row) => this.#write(row)));
      for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    }
  }

  async #write(row: TimerRow): Promise<void> {
    const { current, stored } = row;
    this.#dirty.delete(row);
    if (!stored && !isHeld(current)) return this.#forget(row);
    try {
      const revision = await this.#index.put(current, stored);
      row.stored = revision === undefined ? undefined : { ...current, revision };
      if (row.stored && row.current === current) row.current = row.stored; // one object in memory
    } catch (error) {
      this.#dirty.add(row);
      throw error;
    }
    this.#forget(row);
  }

  /** Forgets an actor that the index does not hold. */
  #forget(row: TimerRow): void {
    if (row.stored || row.isFiring || this.#dirty.has(row) || isHeld(row.current)) return;
    this.#rows.delete(row.actorId);
  }

  #add(actorId: string, stored: StoredActor | undefined): TimerRow {
    const row = new TimerRow(actorId, stored);
    this.#rows.set(actorId, row);
    this.#enqueue(row);
    return row;
  }

  #change(row: TimerRow, to: IndexedActor): void {
    const isSame = to.fault === row.current.fault && isSameTimers(to.timers, row.current.timers);
    // What the index holds does not name a later version for events that change no timer.
    row.current = isSame ? { ...row.current, version: to.version } : to;
    if (!isSame) {
      this.#dirty.add(row);
      this.#enqueue(row);
      this.#onChange();
    } else if (!isHeld(to) && !row.stored) this.#forget(row);
  }

  #enqueue(row: TimerRow): void {
    const next = row.isFiring ? undefined : row.next;
    row.due = Math.max(next?.at ?? Infinity, row.notBefore);
    if (next) this.#queue.update(row);
    else this.#queue.delete(row);
  }
}

function isSameTimers(a: readonly IndexedTimer[], b: readonly IndexedTimer[]): boolean {
  return a.length === b.length && a.every((timer) => {
    return b.some(({ name, at, isFired }) =>
      name === timer.name && at === timer.at && isFired === timer.isFired
    );
  });
}
