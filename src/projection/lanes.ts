/**
 * Lanes: events of one key in order, different keys at once.
 *
 * **How an event comes to its handler.** The log is read once, in order, and each event is handed to `handle()`. If its key has
 * nothing in hand and a lane is free, its handler is called there and then; one that does not wait for anything is done with that,
 * without a promise. Otherwise the event waits in the queue of its key. A key that is free again, or whose wait before another
 * attempt is over, is served behind the keys that wait for a lane. `handle()` returns a promise only while too many
 * events wait.
 *
 * **What the record holds.** Its position moves to the place before the first event that is not done; what is done behind it is
 * recorded as ranges. So the process that follows handles nothing again whose end was committed, in any order.
 *
 * **What is committed together.** The writes of a handler are kept, and its event is noted as done, in one step without a wait, and
 * never while a commit is in progress. So a commit holds the writes of exactly those events that its record calls done.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import type { UnitOfWork } from "./checkpoints.ts";
import { HandlerTurn, type HandlerUnit } from "./handler_context.ts";
import { failingAt } from "./failing.ts";
import { type Begun, type Item, Lane } from "./lane.ts";
import type { Handling } from "./one_by_one.ts";
import { type Draft, isWhole, moveOn, reach } from "./draft.ts";
import type { Progress } from "./progress.ts";
import type { HandlerResult } from "./projection.ts";
import { type DoneRange, isIn } from "./record.ts";
import { type Place, Window } from "./window.ts";

/** Events that may wait, for each lane: keys often come in runs. */
const WAITING_PER_LANE = 128;
const MAX_WAITING = 8_192;
/** The most ranges that a record holds: with as many, only the first event that is not done is begun. */
const MAX_RANGES = 256;

/** The events of a key that wait, and whether one of them is in hand. */
interface KeyQueue {
  readonly key: string;
  readonly items: Item[];
  isBusy: boolean;
}

/** The lanes of a worker. */
export class Lanes<Tx> {
  readonly #handling: Handling<Tx>;
  readonly #progress: Progress<Tx>;
  readonly #hasOwnKey: boolean;
  readonly #version: number;
  readonly #window = new Window();
  readonly #keys = new Map<string, KeyQueue>();
  /** The keys that wait for a lane, in order. */
  #ready: KeyQueue[] = [];
  readonly #unit: HandlerUnit<Tx> | undefined;
  readonly #lane: Lane<Tx>;
  readonly #maxWaiting: number;
  /** What the record of the process before holds of the events behind its position. */
  #recorded: readonly DoneRange[] | undefined;
  /** Whether it holds any, as far as it is known. */
  #mayBeRecorded = true;
  /** How many may work at this moment: fewer while handlers disturb each other. */
  #limit: number;
  #running = 0;
  #sleeping = 0;
  #isHalted = false;
  #failure: { readonly error: unknown } | undefined;
  #postponed: { readonly error: unknown } | undefined;
  #halted = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Called whenever something has ended. */
  readonly #waiting: (() => void)[] = [];
  /** Whether what handlers have written is committed as soon as none of them works. */
  isLive = false;

  /** Begins. */
  constructor(handling: Handling<Tx>) {
    this.#handling = handling;
    const { progress, projection } = handling;
    this.#progress = progress;
    this.#hasOwnKey = projection.keyOf !== undefined;
    this.#version = projection.id.version;
    this.#unit = shared(progress.unit);
    this.#limit = projection.lanes;
    this.#maxWaiting = Math.min(projection.lanes * WAITING_PER_LANE, MAX_WAITING);
    this.#lane = new Lane(handling, this.#unit, {
      goesOn: () => !this.#failure,
      disturbed: () => this.#limit = Math.max(1, this.#limit >> 1),
    });
    progress.rangesOf = () => this.#ranges();
  }

  /** Where the log is read on: behind the last event that was handed out. */
  get head(): string | undefined {
    return this.#window.head;
  }

  /** Fires when nothing more is handled. */
  get halted(): AbortSignal {
    return this.#halted.signal;
  }

  /**
   * Takes the next event.
   *
   * @returns `"alone"` if it must be handled alone, after all before it.
   */
  handle(event: StoredEvent): Promise<void> | "alone" | undefined {
    const progress = this.#progress;
    // Of a handler that does not wait nothing is in hand: each further condition is one more for each event.
    if (this.#keys.size > 0 || this.#isHalted || this.#mayBeRecorded || this.#hasOwnKey) {
      return this.#handleAmong(event);
    }
    if (progress.isBlocked(event)) return progress.leave(event, this.#skipping);
    if (progress.isDone(event)) return progress.goPast(event, this.#skipping);
    return this.#begin(event, event.actorId);
  }

  /** The same while others are in hand. */
  #handleAmong(event: StoredEvent): Promise<void> | "alone" | undefined {
    if (this.#failure) return this.#rethrow();
    const progress = this.#progress;
    this.#recorded ??= progress.draft.done ?? [];
    this.#mayBeRecorded = this.#recorded.length > 0;
    if (this.#mayBeRecorded && isIn(this.#recorded, event.position)) {
      return progress.goPast(event, this.#skipping);
    }
    const key = this.#hasOwnKey ? this.#keyOf(event) : event.actorId;
    if (key === undefined) return "alone";
    const queue = this.#keys.size > 0 ? this.#keys.get(key) : undefined;
    if (!queue) {
      if (progress.isBlocked(event)) return progress.leave(event, this.#skipping);
      if (progress.isDone(event)) return progress.goPast(event, this.#skipping);
      if (this.#mayBegin(undefined)) return this.#begin(event, key);
    }
    this.#enqueue(queue ?? this.#queue(key), this.#item(event));
    return this.#window.open < this.#maxWaiting ? undefined : this.#room();
  }

  /** The checkpoint may move to a place up to which there are no other events of the filter. */
  skipTo(position: string): void {
    if (this.#window.open === 0) return this.#handling.progress.skipTo(position);
    if (position <= this.#window.head!) return;
    this.#window.skip(position);
    this.#handling.progress.amend(() => {});
  }

  /**
   * Waits until all that was handed out is done, as far as the right to work goes.
   *
   * @returns Whether all of it is done.
   */
  async drain(): Promise<boolean> {
    this.#pump();
    while (!this.#failure && (this.#running > 0 || this.#sleeping > 0 || this.#ready.length > 0)) {
      if (this.#running === 0 && this.#sleeping === 0 && this.#handling.guard.isOver()) break;
      await this.#change();
      this.#pump();
    }
    if (this.#failure) await this.#rethrow();
    if (this.#postponed) throw this.#postponed.error;
    return this.#keys.size === 0;
  }

  /** Begins nothing more, and waits for the handlers that work. Those that wait before another attempt are not waited for. */
  async halt(): Promise<void> {
    this.stop();
    while (this.#running > 0 || this.#sleeping > 0) await this.#change();
    this.stop();
  }

  /** Begins nothing more. */
  stop(): void {
    this.#isHalted = true;
    this.#halted.abort();
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Throws what has ended the work, if anything has. */
  assertSound(): void {
    if (this.#failure) throw this.#failure.error;
  }

  /** Forgets what is not done, after `halt()` or `drain()`: it is handed out again. Returns the last position that was. */
  reset(): string | undefined {
    const { progress } = this.#handling;
    progress.draft.done = this.#ranges();
    const { head } = this.#window;
    this.#window.clear();
    this.#keys.clear();
    this.#ready = [];
    this.#recorded = this.#failure = this.#postponed = undefined;
    this.#mayBeRecorded = true;
    this.#isHalted = false;
    if (this.#halted.signal.aborted) this.#halted = new AbortController();
    return head;
  }

  #keyOf(event: StoredEvent): string | undefined {
    const { keyOf } = this.#handling.projection;
    if (!keyOf) return event.actorId;
    try {
      return keyOf(event);
    } catch {
      return undefined;
    }
  }

  /** Whether the handler of an event may be called: the next one of the log, unless it is in the window. */
  #mayBegin(place: Place | undefined): boolean {
    if (this.#isHalted || this.#running >= this.#limit) return false;
    if (this.#running === 0 && this.#window.runs === 0) return true;
    if (this.#window.runs + this.#running < MAX_RANGES) return true;
    return place ? this.#window.isFirst(place) : this.#window.open === 0;
  }

  /** Calls the handler of the event that has come. Most handlers that do not wait are done with that. */
  #begin(event: StoredEvent, key: string): Promise<void> | undefined {
    const progress = this.#progress;
    const attempt = progress.draft.failing ? this.#attemptOf(event.position) : 1;
    const turn = new HandlerTurn(this.#unit, this.#version, attempt);
    let result: HandlerResult | Promise<HandlerResult>;
    try {
      result = this.#handling.handlerOf(event.eventType)(event, turn);
    } catch (error) {
      result = Promise.reject(error);
    }
    if (result === undefined && !turn.scope && !turn.broken) {
      turn.end("done");
      // Nothing before it is in hand: the position itself moves on.
      return progress.pass(event, this.#window.open === 0 ? moveOn : this.#skipping, false);
    }
    return this.#follow(event, key, { turn, result });
  }

  /** Follows a handler that waits, or has written, to its end. */
  #follow(event: StoredEvent, key: string, begun: Begun<Tx>): Promise<void> | undefined {
    const queue = this.#queue(key);
    void this.#run(queue, this.#item(event), begun);
    return this.#window.open < this.#maxWaiting ? undefined : this.#room();
  }

  /** The attempts that the record remembers. */
  #attemptOf(position: string): number {
    const { draft } = this.#handling.progress;
    const known = draft.failing && failingAt(draft, position);
    return known ? known.attempts + (known.inHandSince === undefined ? 1 : 0) : 1;
  }

  #queue(key: string): KeyQueue {
    const queue: KeyQueue = { key, items: [], isBusy: false };
    this.#keys.set(key, queue);
    return queue;
  }

  /** An event as an item of the window: those that one stored event is turned into share a place. */
  #item(event: StoredEvent): Item {
    const last = this.#window.last;
    const isShared = last?.position === event.position;
    const place = isShared ? last : this.#window.push(event.position);
    const advance = (draft: Draft): void => {
      if (!isWhole(draft, event)) return;
      const reached = this.#window.finish(place);
      if (reached !== undefined) reach(draft, reached);
    };
    return { event, place, advance, attempt: this.#attemptOf(event.position) };
  }

  /** Notes that the event that has come is done. */
  readonly #skipping = (draft: Draft, event: { readonly position: string }): void => {
    if (!isWhole(draft, event as StoredEvent)) return;
    const { position } = event;
    const last = this.#window.last;
    const reached = last?.position === position ? this.#window.finish(last) : this.#window.skip(position);
    if (reached !== undefined) reach(draft, reached);
  };

  #enqueue(queue: KeyQueue, item: Item): void {
    queue.items.push(item);
    if (queue.isBusy || queue.items.length > 1) return;
    this.#ready.push(queue);
    this.#pump();
  }

  /** Gives lanes that are free to the keys that wait for one. */
  #pump(): void {
    while (this.#ready.length > 0 && this.#running < this.#limit && !this.#handling.guard.isOver()) {
      const next = this.#ready.findIndex(({ items }) => this.#mayBegin(items[0]!.place));
      if (next < 0) return;
      const [queue] = this.#ready.splice(next, 1);
      const item = queue!.items.shift()!;
      void this.#run(queue!, item, undefined);
    }
  }

  /** One event in a lane, from its handler's call to its end or the wait before another attempt. */
  async #run(queue: KeyQueue, item: Item, begun: Begun<Tx> | undefined): Promise<void> {
    queue.isBusy = true;
    this.#running++;
    let wait: number | undefined;
    try {
      wait = await this.#lane.handle(item, begun);
    } catch (error) {
      this.#fail(error);
    }
    this.#running--;
    if (wait !== undefined) void this.#sleep(queue, item, wait);
    else this.#free(queue);
    const { lanes } = this.#handling.projection;
    if (this.#limit < lanes) this.#limit = Math.min(lanes, this.#limit + 1 / this.#limit);
    this.#ended();
  }

  /** A key waits before another attempt, and keeps no lane. */
  async #sleep(queue: KeyQueue, item: Item, wait: number): Promise<void> {
    this.#sleeping++;
    try {
      await this.#handling.guard.sleep(wait, this.#halted.signal);
      queue.items.unshift(item);
      this.#free(queue);
    } catch (error) {
      // The right to work, or the time for it, is over: the event is not done.
      if (!this.#isHalted) this.#postponed ??= { error };
    }
    this.#sleeping--;
    this.#ended();
  }

  #free(queue: KeyQueue): void {
    queue.isBusy = false;
    if (queue.items.length > 0) this.#ready.push(queue);
    else this.#keys.delete(queue.key);
  }

  /** Something has ended: others may begin, and what they did is committed in time. */
  #ended(): void {
    if (!this.#isHalted) this.#pump();
    for (const wake of this.#waiting.splice(0)) wake();
    const { progress } = this.#handling;
    if (this.#isHalted || !progress.isDirty) return;
    progress.tell();
    const isIdle = this.#running === 0 && this.isLive && progress.isUrgent;
    if (isIdle) return void this.#commit();
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#commit();
    }, progress.patience);
  }

  async #commit(): Promise<void> {
    try {
      await this.#handling.progress.flush();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.stop();
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async #rethrow(): Promise<never> {
    await this.halt();
    throw this.#failure!.error;
  }

  async #room(): Promise<void> {
    while (this.#window.open >= this.#maxWaiting && !this.#failure && !this.#handling.guard.isOver()) {
      await this.#change();
    }
    if (this.#failure) await this.#rethrow();
  }

  #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return promise;
  }

  #ranges(): readonly DoneRange[] | undefined {
    const { draft } = this.#handling.progress;
    if (this.#recorded === undefined) return draft.done;
    const { head: last = "" } = this.#window;
    const { position = "" } = draft;
    const head = last > position ? last : position;
    const ranges = [...this.#window.ranges(), ...this.#recorded.filter(({ to }) => to > head)];
    return ranges.length > 0 ? ranges : undefined;
  }
}

/** A unit of work as handlers use it that work at the same time. */
function shared<Tx>(unit: UnitOfWork<Tx> | undefined): HandlerUnit<Tx> | undefined {
  return unit && { enter: () => unit.enterShared!(), rest: () => unit.rest?.() };
}
