/**
 * Handling one event after the other, with its retries, its reactions and its end.
 *
 * @module
 */

import { EventSchemaError } from "../event/errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { backoff } from "../sleep.ts";
import { blame, type EventIdentity, type Guard, HandlerFailure, isPending, referenceOf } from "./attempt.ts";
import type { CompiledProjection } from "./compile.ts";
import {
  type FailedEvent,
  type HandlerError,
  isTransactionRefused,
  processEnded,
  TransactionLostError,
} from "./errors.ts";
import { failingAt, forgetFailing, noteFailing } from "./failing.ts";
import { checkRoom, giveUp, ownKeyOf } from "./give_up.ts";
import { HandlerTurn } from "./handler_context.ts";
import type { HandlerSource } from "./observation.ts";
import { type Advance, moveOn } from "./draft.ts";
import type { Progress } from "./progress.ts";
import type { HandlerResult } from "./projection.ts";
import type { Reactions } from "./reaction.ts";
import { type ProjectionRecord, shortError } from "./record.ts";
import type { TimeLimit } from "./time_limit.ts";

/**
 * How many events are noted one by one after a process that did not end cleanly. If the one that has ended it comes later, the
 * next process begins so much closer to it. With lanes it is less, because it costs them more.
 */
const MAX_NOTED = 1_000;
const MAX_NOTED_PER_LANE = 4;
/** How long another process may have been handling an event that is taken for its end, in milliseconds. */
const LONGEST_GRACE = 5_000;

/** What handling events needs. */
export interface Handling<Tx> {
  readonly projection: CompiledProjection<Tx>;
  readonly progress: Progress<Tx>;
  readonly reactions: Reactions;
  readonly guard: Guard;
  readonly timeLimit: TimeLimit;
  /** The handlers, as telemetry has them observed. */
  handlerOf: HandlerSource<Tx>;
  /** Appends what a reaction is about to append by the record. */
  finishIntent(isRetry: boolean): Promise<void>;
}

/** Handles one event after the other. */
export class OneByOne<Tx> {
  readonly #handling: Handling<Tx>;
  readonly #projection: CompiledProjection<Tx>;
  readonly #progress: Progress<Tx>;
  readonly #guard: Guard;
  /** How many of the next events are noted before they are handled. */
  #toNote = 0;
  /** The position of the last of them. */
  #noted: string | undefined;
  /** Whether no other process may be handling the event too. */
  isLeased = false;

  /** Begins. */
  constructor(handling: Handling<Tx>) {
    this.#handling = handling;
    this.#projection = handling.projection;
    this.#progress = handling.progress;
    this.#guard = handling.guard;
  }

  /** Whether the next event is to be handled alone: it may end the process, or its writes may be refused. */
  get isNeeded(): boolean {
    return this.#toNote > 0 || this.#progress.isCareful;
  }

  /** From now on each event is noted before it is handled: a process before this one did not end cleanly. */
  noteEvents(): void {
    const { lanes } = this.#projection;
    this.#toNote = lanes === 1 ? MAX_NOTED : Math.min(MAX_NOTED, lanes * MAX_NOTED_PER_LANE);
  }

  /** An attempt that was interrupted, in a process that does not end with it, was none. */
  forgetNoted(): void {
    const noted = this.#noted === undefined ? undefined : failingAt(this.#progress.draft, this.#noted);
    if (noted?.inHandSince === undefined) return;
    const { inHandSince: _, ...before } = noted;
    const attempts = noted.attempts - 1;
    this.#progress.amend((draft) => {
      if (attempts > 0) noteFailing(draft, { ...before, attempts });
      else forgetFailing(draft, noted.position);
    });
  }

  /** Handles the next event. It returns at once if the handler does: a promise for each event costs more than the rest. */
  handle(event: StoredEvent, advance: Advance = moveOn): Promise<void> | undefined {
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
    const { attempts = 0, inHandSince } = failingAt(progress.draft, event.position) ?? {};
    if (inHandSince !== undefined && attempts > this.#projection.failure.retries) {
      return await this.#hasEndedProcesses(event, attempts, Date.parse(inHandSince));
    }
    const error = shortError(processEnded(attempts + 1));
    const since = new Date().toISOString();
    this.#noted = event.position;
    progress.amend((draft) => {
      noteFailing(draft, { ...this.#reference(event), error, attempts: attempts + 1, inHandSince: since });
    });
    await progress.flush();
    await this.#handleReserved(event, moveOn);
  }

  async #hasEndedProcesses(event: StoredEvent, attempts: number, since: number): Promise<void> {
    if (!this.isLeased) {
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
    const { draft } = progress;
    const known = draft.failing && failingAt(draft, event.position);
    const attempt = known ? known.attempts + (known.inHandSince === undefined ? 1 : 0) : 1;
    const turn = new HandlerTurn(progress.unit, this.#projection.id.version, attempt);
    let result: HandlerResult | Promise<HandlerResult>;
    try {
      result = this.#handling.handlerOf(event.eventType)(event, turn);
    } catch (error) {
      turn.end({ reason: error });
      const failure = blame(turn, error, this.#guard);
      if (!(failure instanceof HandlerFailure)) throw failure;
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
      const reactions = isWaitedFor ? await this.#handling.timeLimit.wait(result, turn) : result;
      if (reactions !== undefined) {
        intent = await this.#handling.reactions.intend(
          event,
          reactions,
          turn.traceparent ?? event.metadata?.traceparent,
        );
      }
      if (intent) checkRoom(intent, progress.room);
      this.#guard.check();
      if (turn.broken) throw turn.broken.error;
      const kept = turn.scope?.keep();
      if ((kept instanceof Promise ? await kept : kept) === "full") {
        isFlushing = true;
        await progress.flush();
        isFlushing = false;
        await turn.scope!.keep();
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
      forgetFailing(draft, event.position);
      draft.intent = intent;
      draft.intendedFor = this.#reference(event);
    });
    await this.#commitAlone(advance);
    await this.#handling.finishIntent(advance !== moveOn);
  }

  /** Commits what an event did. A refused commit is met where the log is read, or is the failure of the retried event. */
  async #commitAlone(advance: Advance): Promise<void> {
    try {
      await this.#progress.flush();
    } catch (cause) {
      if (advance === moveOn || !(isTransactionRefused(cause))) throw cause;
      await this.#progress.takeBack(undefined);
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
    const failing = { ...this.#reference(event), error: shortError(error), attempts };
    progress.amend((draft) => noteFailing(draft, failing));
    if (attempts > failure.retries) {
      const isRetry = advance !== moveOn;
      await giveUp(this.#projection, progress, event, { advance, cause: error, attempts, isRetry });
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
   * @param until The last position that was handed out, if events are not handled in order.
   * @throws What is no refusal of an event.
   */
  async refused(error: unknown, advance: Advance, until?: string): Promise<void> {
    if (isTransactionRefused(error)) return await this.#writesRefused(error, until);
    if (!(error instanceof EventSchemaError)) throw error;
    const { eventId: id, eventType, actorId, version, position } = error;
    const event: EventIdentity = { id, eventType, actorId, version, position };
    const progress = this.#progress;
    if (advance === moveOn && progress.isBlocked(event)) return await progress.leave(event);
    const attempts = (failingAt(progress.draft, position)?.attempts ?? 0) + 1;
    await this.#failed(event, advance, error, attempts);
  }

  async #writesRefused(error: HandlerError, until: string | undefined): Promise<void> {
    const event = await this.#progress.takeBack(until);
    if (!event || error instanceof TransactionLostError) return;
    const attempts = (failingAt(this.#progress.draft, event.position)?.attempts ?? 0) + 1;
    await this.#failed(event, moveOn, error, attempts);
  }

  #reference(event: EventIdentity): FailedEvent {
    return referenceOf(event, ownKeyOf(this.#projection, event));
  }

  #call(event: StoredEvent, turn: HandlerTurn<Tx>): HandlerResult | Promise<HandlerResult> {
    try {
      return this.#handling.handlerOf(event.eventType)(event, turn);
    } catch (cause) {
      turn.end({ reason: cause });
      throw blame(turn, cause, this.#guard);
    }
  }
}
