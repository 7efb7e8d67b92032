/**
 * The worker of a projection: hands events to handlers, and keeps the checkpoint behind them.
 *
 * **The argument.** Every write of a checkpoint is a compare-and-set over the one that the worker read or wrote before, and
 * a worker that begins writes first. From then on, nothing that an older worker still writes is accepted, however late
 * it comes: neither its checkpoint nor, where they commit together, its read model.
 *
 * @module
 */

import { EventSchemaError } from "../event/errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { partOf } from "../event/upcast.ts";
import type { Guard } from "./attempt.ts";
import { type CompiledProjection, recordIdOf } from "./compile.ts";
import { isOfHistory } from "./ends.ts";
import { ProjectionInUseError, STOP_THIS } from "./errors.ts";
import { eventOf, giveUpIntent } from "./give_up.ts";
import { Lanes } from "./lanes.ts";
import { observedHandlers } from "./observation.ts";
import { type Handling, OneByOne } from "./one_by_one.ts";
import { type Advance, type Draft, moveOn } from "./draft.ts";
import { Progress } from "./progress.ts";
import { isRefusal, Reactions, type ReactionStore } from "./reaction.ts";
import { isIn, type ParkedEvent, type ProjectionRecord } from "./record.ts";
import { TimeLimit } from "./time_limit.ts";

/** This process, as records name it. */
const PROCESS = crypto.randomUUID();

/** The worker of a projection. */
export class Worker<Tx> {
  readonly #projection: CompiledProjection<Tx>;
  readonly #guard: Guard;
  readonly #progress: Progress<Tx>;
  readonly #handling: Handling<Tx>;
  readonly #one: OneByOne<Tx>;
  /** Where events of different keys are handled at once. */
  readonly #lanes: Lanes<Tx> | undefined;
  #isOnce = false;

  private constructor(
    store: ReactionStore,
    projection: CompiledProjection<Tx>,
    guard: Guard,
    progress: Progress<Tx>,
  ) {
    this.#projection = projection;
    this.#guard = guard;
    this.#progress = progress;
    this.#handling = {
      projection,
      progress,
      reactions: new Reactions(store, projection, guard),
      guard,
      timeLimit: new TimeLimit(projection.handlerTimeout, guard.signal),
      handlerOf: observedHandlers(projection),
      finishIntent: (isRetry) => this.finishIntent(isRetry),
    };
    this.#one = new OneByOne(this.#handling);
    const { unit } = progress;
    // A unit of work that has one handler's writes at a time takes one handler at a time.
    const isParallel = projection.lanes > 1 && (!unit || unit.enterShared !== undefined);
    this.#lanes = isParallel ? new Lanes(this.#handling) : undefined;
  }

  /** Reads the checkpoint. */
  static async load<Tx>(
    store: ReactionStore,
    projection: CompiledProjection<Tx>,
    guard: Guard,
    onProgress?: (position: string) => void,
  ): Promise<Worker<Tx>> {
    return new Worker(store, projection, guard, await Progress.load(projection, guard, onProgress));
  }

  /** The record as it is being worked on. */
  get record(): ProjectionRecord {
    return this.#progress.draft;
  }

  /** How long it may wait for the next event before it should commit what it has done, in ms; nothing if it has. */
  get patience(): number | undefined {
    const { isDirty, isUrgent, patience } = this.#progress;
    return isUrgent ? 0 : isDirty ? patience : undefined;
  }

  /**
   * Takes the projection over: from now on what older workers write is refused.
   *
   * @param id The worker.
   * @param fencingToken The token of its lease, if there are leases; without them the worker that comes last goes on.
   * @param isAgain Whether the worker had it before: without leases, it then does not take it from the worker that came after.
   * @throws {ProjectionInUseError} If another worker has taken it over.
   */
  async claim(id: string, fencingToken: number | undefined, isAgain = false): Promise<void> {
    const { draft } = this.#progress;
    const { owner, stopped } = draft;
    const newest = owner?.fencingToken ?? 0;
    // A checkpoint that is missing is no other worker's: it was dropped with its table.
    const isOthers = owner !== undefined && owner.id !== id;
    const isTaken = fencingToken === undefined ? isAgain && isOthers : newest > fencingToken;
    if (isTaken) {
      throw new ProjectionInUseError(this.#projection.id, "taken-over", STOP_THIS);
    }
    draft.owner = { id, fencingToken: fencingToken ?? newest };
    draft.stopped = false;
    // It was started again by a person: the attempts begin again.
    if (stopped) draft.failing = draft.alsoFailing = undefined;
    this.#one.isLeased = fencingToken !== undefined;
    this.#noteRunning();
    await this.#projection.checkpoints.supersede?.(recordIdOf(this.#projection));
    await this.#progress.commit();
  }

  /**
   * Begins to work without a claim, if there is anything to do.
   *
   * @param end The end of the log.
   * @param isFirst Whether it is the call's first look at the record. Of those that overlap, each knows of itself that it lives.
   */
  async beginOnce(end: string | undefined, isFirst: boolean): Promise<void> {
    this.#isOnce = true;
    const { draft } = this.#progress;
    if (
      this.#projection.checkpoints.isVolatile || draft.position === end || draft.running === PROCESS ||
      !isFirst
    ) return;
    this.#noteRunning();
    await this.#progress.commit();
  }

  /** Notes which process works; after one that did not end cleanly, events are noted before they are handled. */
  #noteRunning(): void {
    const { draft } = this.#progress;
    const { running = PROCESS, failing, alsoFailing = [] } = draft;
    const isInHand = [failing, ...alsoFailing].some((event) => event?.inHandSince !== undefined);
    if (running !== PROCESS || isInHand) this.#one.noteEvents();
    draft.running = PROCESS;
  }

  /**
   * Commits what was handled, at the end of the log or of the right to work. Without a claim the work ends there.
   *
   * @returns Whether all that was handed out is done, or is still being handled.
   */
  async endLog(): Promise<boolean> {
    const lanes = this.#lanes;
    if (!this.#isOnce && !this.#guard.isOver()) {
      await this.flush();
      return true;
    }
    const isDone = !lanes || await lanes.drain();
    await lanes?.halt();
    if (this.#isOnce) this.#progress.endRunning(PROCESS);
    await this.flush();
    return isDone;
  }

  /** Notes that the work has ended cleanly. If it cannot be noted, the next worker is more careful than it need be. */
  async rest(): Promise<void> {
    await this.#lanes?.halt();
    this.#one.forgetNoted();
    if (this.#progress.endRunning(PROCESS)) await this.#progress.salvage();
  }

  /**
   * Finishes the appends that a worker before had recorded.
   *
   * @param isRetry Whether a parked event is being tried again: a refusal is thrown, under each policy.
   */
  async finishIntent(isRetry = false): Promise<void> {
    await this.#finishFirst(isRetry);
    const { draft } = this.#progress;
    while (draft.reactions?.[0]) {
      const [{ event, intent }, ...others] = draft.reactions;
      this.#progress.amend(() => {
        draft.intent = intent;
        draft.intendedFor = event;
        draft.reactions = others.length > 0 ? others : undefined;
      });
      await this.#finishFirst(false);
    }
  }

  async #finishFirst(isRetry: boolean): Promise<void> {
    const { draft } = this.#progress;
    while (draft.intent?.[0]) {
      const [first, ...others] = draft.intent;
      try {
        await this.#handling.reactions.settle(first, draft.intendedFor!);
      } catch (error) {
        if (!isRefusal(error) && !isOfHistory(error)) throw error;
        return await giveUpIntent(this.#projection, this.#progress, error, isRetry);
      }
      this.#progress.amend(() => draft.intent = others.length > 0 ? others : undefined);
    }
    if (draft.intendedFor) this.#progress.amend(() => draft.intendedFor = undefined);
  }

  /** Tries what the store had refused again, in the place of the handler's call. */
  async repeatRefused(entry: ParkedEvent, rest: ParkedEvent): Promise<void> {
    this.#progress.amend((draft) => {
      draft.parked = draft.parked.map((other) => other.position === entry.position ? rest : other);
      draft.intent = entry.refused;
      draft.intendedFor = eventOf(entry);
    });
    await this.#progress.commit();
    await this.finishIntent(true);
  }

  /**
   * Handles the next event. It returns at once if the handler does, or if the event can wait for a lane: a promise for each event
   * costs more than the rest. A caller that has waited for anything since the event before looks at the guard first.
   */
  handle(event: StoredEvent, advance: Advance = moveOn): Promise<void> | undefined {
    if (advance !== moveOn) return this.#one.handle(event, advance);
    if (this.#lanes && !this.#one.isNeeded) {
      const handling = this.#lanes.handle(event);
      return handling === "alone" ? this.#handleAlone(this.#lanes, event) : handling;
    }
    const progress = this.#progress;
    if (progress.draft.done && isIn(progress.draft.done, event.position)) return progress.goPast(event);
    if (progress.isBlocked(event)) return progress.leave(event);
    if (progress.isDone(event)) return partOf(event)!.isLast ? progress.leave(event) : undefined;
    return this.#one.handle(event);
  }

  /** Handles an event once all before it are done. */
  async #handleAlone(lanes: Lanes<Tx>, event: StoredEvent): Promise<void> {
    if (!await lanes.drain()) return;
    lanes.reset();
    await this.#one.handle(event);
  }

  /**
   * Takes a failed read of the log, or a failed commit: an event that its schema or an upcaster refuses, or whose writes the
   * database refuses, counts as an attempt of its handler that failed. The log is then to be read again from the worker's place.
   *
   * @throws What is no refusal of an event.
   */
  async refused(error: unknown, advance: Advance = moveOn): Promise<void> {
    const lanes = this.#lanes;
    if (!lanes) return await this.#one.refused(error, advance);
    let failure = error;
    try {
      if (error instanceof EventSchemaError) await lanes.drain();
    } catch (other) {
      failure = other;
    }
    await lanes.halt();
    await this.#one.refused(failure, advance, lanes.reset());
  }

  /** The last position that was handed out. */
  get place(): string | undefined {
    const { position } = this.#progress.draft;
    const head = this.#lanes?.head;
    return head !== undefined && (position === undefined || head > position) ? head : position;
  }

  /** Fires when nothing more is handled because something has failed; `flush()` throws it. */
  get halted(): AbortSignal | undefined {
    return this.#lanes?.halted;
  }

  /** From now on the log is followed: what is done is committed as soon as nothing else is in hand. */
  goLive(): void {
    if (this.#lanes) this.#lanes.isLive = true;
  }

  /** Begins with the events that have arrived. */
  begin(): void {
    this.#guard.check();
    this.#handling.handlerOf = observedHandlers(this.#projection);
  }

  /** Reports what was handled to the callers that wait in this process. */
  tell(): void {
    this.#progress.tell();
  }

  /** Moves the checkpoint past events that the filter left out. */
  skipTo(position: string | undefined): void {
    if (position === undefined) return;
    if (this.#lanes) this.#lanes.skipTo(position);
    else this.#progress.skipTo(position);
  }

  /** Changes the record; `flush()` commits it. */
  amend(change: (draft: Draft) => void): void {
    this.#progress.amend(change);
  }

  /** Commits what is not committed yet. */
  async flush(): Promise<void> {
    this.#lanes?.assertSound();
    await this.#progress.flush();
  }

  /** Commits what was handled before the work ends with a failure. */
  async salvage(): Promise<void> {
    await this.#lanes?.halt();
    await this.#progress.salvage();
  }

  /** Forgets what was not committed. */
  discard(): void {
    this.#lanes?.stop();
    this.#handling.timeLimit.close();
    this.#progress.discard();
  }
}
