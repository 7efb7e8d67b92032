/**
 * The worker of a projection: hands events to handlers one after the other, and keeps the checkpoint behind them.
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
import { backoff } from "../sleep.ts";
import {
  blame,
  type EventIdentity,
  type Guard,
  HandlerFailure,
  inTime,
  isPending,
  referenceOf,
} from "./attempt.ts";
import { isOfHistory } from "./ends.ts";
import {
  type HandlerError,
  isTransactionRefused,
  processEnded,
  ProjectionInUseError,
  STOP_THIS,
  TransactionLostError,
} from "./errors.ts";
import { checkRoom, eventOf, giveUp, giveUpIntent } from "./give_up.ts";
import { HandlerTurn } from "./handler_context.ts";
import { type HandlerSource, observedHandlers } from "./observation.ts";
import { type Advance, type Draft, moveOn, Progress } from "./progress.ts";
import type { CompiledProjection, HandlerResult } from "./projection.ts";
import { isRefusal, Reactions, type ReactionStore } from "./reaction.ts";
import { type ParkedEvent, type ProjectionRecord, shortError } from "./record.ts";

/** This process, as records name it. */
const PROCESS = crypto.randomUUID();
/** How many events are noted one by one after a process that did not end cleanly: it has committed all before them. */
const MAX_NOTED = 1_000;
/** How long another process may have been handling an event that is taken for its end, in milliseconds. */
const LONGEST_GRACE = 5_000;

/** The worker of a projection. */
export class Worker<Tx> {
  readonly #projection: CompiledProjection<Tx>;
  #handlerOf: HandlerSource<Tx>;
  readonly #reactions: Reactions;
  readonly #guard: Guard;
  readonly #progress: Progress<Tx>;
  /** How many of the next events are noted before they are handled. */
  #toNote = 0;
  /** The position of the last of them. */
  #noted: string | undefined;
  #isLeased = false;
  #isOnce = false;

  private constructor(
    store: ReactionStore,
    projection: CompiledProjection<Tx>,
    guard: Guard,
    progress: Progress<Tx>,
  ) {
    this.#reactions = new Reactions(store, projection, guard);
    this.#projection = projection;
    this.#handlerOf = observedHandlers(projection);
    this.#guard = guard;
    this.#progress = progress;
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
   * @throws {ProjectionInUseError} If the holder of a newer lease has taken it over.
   */
  async claim(id: string, fencingToken: number | undefined): Promise<void> {
    const { draft } = this.#progress;
    const { owner, stopped } = draft;
    const newest = owner?.fencingToken ?? 0;
    if (fencingToken !== undefined && newest > fencingToken) {
      throw new ProjectionInUseError(this.#projection.id, "taken-over", STOP_THIS);
    }
    draft.owner = { id, fencingToken: fencingToken ?? newest };
    draft.stopped = false;
    // It was started again by a person: the attempts begin again.
    if (stopped) draft.failing = undefined;
    this.#isLeased = fencingToken !== undefined;
    this.#noteRunning();
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
    const { running = PROCESS, failing } = draft;
    if (running !== PROCESS || failing?.inHandSince !== undefined) this.#toNote = MAX_NOTED;
    draft.running = PROCESS;
  }

  /** Commits what was handled up to the end of the log, which is the end of the work without a claim. */
  async endLog(): Promise<void> {
    if (this.#isOnce) this.#progress.endRunning(PROCESS);
    await this.#progress.flush();
  }

  /** Notes that the work has ended cleanly. If it cannot be noted, the next worker is more careful than it need be. */
  async rest(): Promise<void> {
    const { failing } = this.#progress.draft;
    if (failing?.inHandSince !== undefined && failing.position === this.#noted) {
      // The attempt was interrupted, and this process has not ended with it.
      const { inHandSince: _, ...before } = failing;
      const attempts = failing.attempts - 1;
      this.#progress.amend((draft) => draft.failing = attempts > 0 ? { ...before, attempts } : undefined);
    }
    if (this.#progress.endRunning(PROCESS)) await this.#progress.salvage();
  }

  /**
   * Finishes the appends that a worker before had recorded.
   *
   * @param isRetry Whether a parked event is being tried again: a refusal is thrown, under each policy.
   */
  async finishIntent(isRetry = false): Promise<void> {
    const { draft } = this.#progress;
    while (draft.intent?.[0]) {
      const [first, ...others] = draft.intent;
      try {
        await this.#reactions.settle(first, draft.intendedFor!);
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
   * Handles the next event. It returns at once if the handler does: a promise for each event costs more than the rest. A caller that
   * has waited for anything since the event before looks at the guard first.
   */
  handle(event: StoredEvent, advance: Advance = moveOn): Promise<void> | undefined {
    const progress = this.#progress;
    if (advance === moveOn && progress.isBlocked(event.actorId)) return progress.leave(event);
    if (advance === moveOn && progress.isDone(event)) {
      return partOf(event)!.isLast ? progress.leave(event) : undefined;
    }
    if (this.#toNote > 0 && advance === moveOn) return this.#handleNoted(event);
    return this.#handleReserved(event, advance);
  }

  /**
   * Handles an event that may be the one that ended the process before: the attempt is noted first, so that it counts as failed
   * unless it ends.
   */
  async #handleNoted(event: StoredEvent): Promise<void> {
    this.#toNote--;
    const progress = this.#progress;
    const { failing } = progress.draft;
    const known = failing?.position === event.position ? failing : undefined;
    const { attempts = 0, inHandSince } = known ?? {};
    if (inHandSince !== undefined && attempts > this.#projection.failure.retries) {
      return await this.#hasEndedProcesses(event, attempts, Date.parse(inHandSince));
    }
    const error = shortError(processEnded(attempts + 1));
    const since = new Date().toISOString();
    this.#noted = event.position;
    progress.amend((draft) => {
      draft.failing = { ...referenceOf(event), error, attempts: attempts + 1, inHandSince: since };
    });
    await progress.flush();
    await this.#handleReserved(event, moveOn);
  }

  async #hasEndedProcesses(event: StoredEvent, attempts: number, since: number): Promise<void> {
    if (!this.#isLeased) {
      // Without a lease, another process may still be handling it: its commit would then be met by this one's.
      const wait = Math.min(this.#projection.handlerTimeout, LONGEST_GRACE) - Math.max(0, Date.now() - since);
      if (wait > 0) await this.#guard.sleep(wait);
    }
    const cause = processEnded(attempts);
    await giveUp(this.#projection, this.#progress, event, { advance: moveOn, cause, attempts });
  }

  #handleReserved(event: StoredEvent, advance: Advance): Promise<void> | undefined {
    const reserving = this.#progress.unit?.reserve?.(this.#guard.signal);
    return reserving ? this.#handleAfter(reserving, event, advance) : this.#handle(event, advance);
  }

  async #handleAfter(reserving: Promise<void>, event: StoredEvent, advance: Advance): Promise<void> {
    await reserving;
    this.#guard.check();
    await this.#handle(event, advance);
  }

  #handle(event: StoredEvent, advance: Advance): Promise<void> | undefined {
    const progress = this.#progress;
    const { failing } = progress.draft;
    const known = failing?.position === event.position ? failing : undefined;
    const attempt = known ? known.attempts + (known.inHandSince === undefined ? 1 : 0) : 1;
    const turn = new HandlerTurn(progress.unit, this.#projection.id.version, attempt);
    let result: HandlerResult | Promise<HandlerResult>;
    try {
      result = this.#handlerOf(event.eventType)(event, turn);
    } catch (error) {
      turn.end({ reason: error });
      if (turn.broken) throw turn.broken.error;
      return this.#retry(event, advance, error, attempt);
    }
    if (result !== undefined || turn.scope || turn.broken) {
      return this.#handleSlowly(event, advance, turn, result);
    }
    turn.end("done");
    return progress.pass(event, advance, false);
  }

  async #handleSlowly(
    event: StoredEvent,
    advance: Advance,
    turn: HandlerTurn<Tx>,
    result: HandlerResult | Promise<HandlerResult>,
  ): Promise<void> {
    let failure: HandlerFailure;
    try {
      return await this.#finish(event, advance, turn, result);
    } catch (error) {
      if (!(error instanceof HandlerFailure)) throw error;
      failure = error;
    }
    await this.#retry(event, advance, failure.cause, turn.attempt);
  }

  /** Waits for a handler, keeps its writes and appends what it asked for. */
  async #finish(
    event: StoredEvent,
    advance: Advance,
    turn: HandlerTurn<Tx>,
    result: HandlerResult | Promise<HandlerResult>,
  ): Promise<void> {
    const progress = this.#progress;
    const isWaitedFor = isPending(result);
    const isAlone = progress.isCareful || advance !== moveOn;
    let isFlushing = false;
    let intent: ProjectionRecord["intent"];
    try {
      turn.hasReturned = !isWaitedFor;
      const reactions = isWaitedFor
        ? await inTime(result, turn, this.#projection.handlerTimeout, this.#guard.signal)
        : result;
      if (reactions !== undefined) {
        intent = await this.#reactions.intend(
          event,
          reactions,
          turn.traceparent ?? event.metadata?.traceparent,
        );
      }
      if (intent) checkRoom(intent, progress.room);
      this.#guard.check();
      if (turn.broken) throw turn.broken.error;
      if (turn.scope?.keep() === "full") {
        isFlushing = true;
        await progress.flush();
        isFlushing = false;
        turn.scope.keep();
      }
    } catch (cause) {
      turn.end({ reason: cause });
      if (isFlushing) throw cause; // the writes of the events before
      throw blame(turn, cause, this.#guard);
    }
    if (turn.scope) progress.useUnit(event);
    turn.end("done");
    if (!intent?.length) {
      await progress.pass(event, advance, isWaitedFor || intent !== undefined);
      return isAlone && turn.scope ? await this.#commitAlone(advance) : undefined;
    }
    progress.amend((draft) => {
      advance(draft, event);
      draft.handled++;
      draft.failing = undefined;
      draft.intent = intent;
      draft.intendedFor = referenceOf(event);
    });
    await this.#commitAlone(advance);
    await this.finishIntent(advance !== moveOn);
  }

  /** Commits what an event did. A refused commit is met where the log is read, or is the failure of the retried event. */
  async #commitAlone(advance: Advance): Promise<void> {
    try {
      await this.#progress.flush();
    } catch (cause) {
      if (advance === moveOn || !(isTransactionRefused(cause))) throw cause;
      await this.#progress.takeBack();
      throw new HandlerFailure(cause);
    }
  }

  /** Tries an event again and again, and gives it up in the end. */
  async #retry(event: StoredEvent, advance: Advance, error: unknown, failed: number): Promise<void> {
    for (let attempts = failed;; attempts++) {
      if (await this.#failed(event, advance, error, attempts)) return;
      await this.#progress.unit?.reserve?.(this.#guard.signal);
      this.#guard.check();
      const turn = new HandlerTurn(this.#progress.unit, this.#projection.id.version, attempts + 1);
      try {
        return await this.#finish(event, advance, turn, this.#call(event, turn));
      } catch (cause) {
        if (!(cause instanceof HandlerFailure)) throw cause;
        error = cause.cause;
      }
    }
  }

  /**
   * Notes a failed attempt, and waits before the next one.
   *
   * @returns Whether there is no next one, and the event was set aside.
   */
  async #failed(event: EventIdentity, advance: Advance, error: unknown, attempts: number): Promise<boolean> {
    const { failure } = this.#projection;
    const progress = this.#progress;
    this.#guard.check();
    const failing = { ...referenceOf(event), error: shortError(error), attempts };
    progress.amend((draft) => draft.failing = failing);
    if (attempts > failure.retries) {
      await giveUp(this.#projection, progress, event, { advance, cause: error, attempts });
      return true;
    }
    // What was handled before must not wait, and the attempts are remembered.
    await progress.flush();
    await this.#guard.sleep(backoff(attempts, failure.firstDelay, failure.longestDelay));
    this.#guard.check();
    return false;
  }

  /**
   * Takes a failed read of the log, or a failed commit: an event that its schema or an upcaster refuses, or whose writes the
   * database refuses, counts as an attempt of its handler that failed. The log is then to be read again from the record's
   * position.
   *
   * @throws What is no refusal of an event.
   */
  async refused(error: unknown, advance: Advance = moveOn): Promise<void> {
    if (isTransactionRefused(error)) return await this.#writesRefused(error);
    if (!(error instanceof EventSchemaError)) throw error;
    const { eventId: id, eventType, actorId, version, position } = error;
    const event: EventIdentity = { id, eventType, actorId, version, position };
    const progress = this.#progress;
    if (advance === moveOn && progress.isBlocked(actorId)) return await progress.leave(event);
    const { failing } = progress.draft;
    const attempts = failing?.position === position ? failing.attempts + 1 : 1;
    await this.#failed(event, advance, error, attempts);
  }

  async #writesRefused(error: HandlerError): Promise<void> {
    const event = await this.#progress.takeBack();
    if (!event || error instanceof TransactionLostError) return;
    const { failing } = this.#progress.draft;
    const attempts = failing?.position === event.position ? failing.attempts + 1 : 1;
    await this.#failed(event, moveOn, error, attempts);
  }

  #call(event: StoredEvent, turn: HandlerTurn<Tx>): HandlerResult | Promise<HandlerResult> {
    try {
      return this.#handlerOf(event.eventType)(event, turn);
    } catch (cause) {
      turn.end({ reason: cause });
      throw blame(turn, cause, this.#guard);
    }
  }

  /** Begins with the events that have arrived. */
  begin(): void {
    this.#guard.check();
    this.#handlerOf = observedHandlers(this.#projection);
  }

  /** Reports what was handled to the callers that wait in this process. */
  tell(): void {
    this.#progress.tell();
  }

  /** Moves the checkpoint past events that the filter left out. */
  skipTo(position: string | undefined): void {
    this.#progress.skipTo(position);
  }

  /** Changes the record; `flush()` commits it. */
  amend(change: (draft: Draft) => void): void {
    this.#progress.amend(change);
  }

  /** Commits what is not committed yet. */
  async flush(): Promise<void> {
    await this.#progress.flush();
  }

  /** Commits what was handled before the work ends with a failure. */
  async salvage(): Promise<void> {
    await this.#progress.salvage();
  }

  /** Forgets what was not committed. */
  discard(): void {
    this.#progress.discard();
  }
}
