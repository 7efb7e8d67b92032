/**
 * One event in a lane: an attempt at it while other lanes work, and what follows from its outcome.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { backoff } from "../sleep.ts";
import { blame, HandlerFailure, isPending, referenceOf } from "./attempt.ts";
import { isOfHistory } from "./ends.ts";
import { TransactionBusyError } from "./errors.ts";
import { forgetFailing, noteFailing } from "./failing.ts";
import { checkRoom, giveUp, giveUpIntent, ownKeyOf, sizeOf } from "./give_up.ts";
import { HandlerTurn, type HandlerUnit } from "./handler_context.ts";
import type { Handling } from "./one_by_one.ts";
import type { Advance } from "./draft.ts";
import type { HandlerResult } from "./projection.ts";
import { isRefusal } from "./reaction.ts";
import { type IntendedAppend, type PendingReaction, shortError } from "./record.ts";
import type { Place } from "./window.ts";

/** An event that was handed out and is not done. */
export interface Item {
  readonly event: StoredEvent;
  /** Its place in the window. */
  readonly place: Place;
  /** Notes in the record that it is done with. */
  readonly advance: Advance;
  /** Which attempt comes next, from 1. */
  attempt: number;
}

/** A handler that was called. */
export interface Begun<Tx> {
  readonly turn: HandlerTurn<Tx>;
  readonly result: HandlerResult | Promise<HandlerResult>;
}

/** What a lane needs of the others. */
export interface Lanework {
  /** Whether the work goes on: else what is written is not kept, and a failure does not count. */
  goesOn(): boolean;
  /** Another lane has changed what the handler has read, or has the transaction. */
  disturbed(): void;
}

/** What handling takes in a lane. */
export class Lane<Tx> {
  readonly #handling: Handling<Tx>;
  readonly #unit: HandlerUnit<Tx> | undefined;
  readonly #lanework: Lanework;
  /** Called when the record has room again for what reactions append. */
  #settled = Promise.withResolvers<void>();

  /** Begins. */
  constructor(handling: Handling<Tx>, unit: HandlerUnit<Tx> | undefined, lanework: Lanework) {
    this.#handling = handling;
    this.#unit = unit;
    this.#lanework = lanework;
  }

  /**
   * Handles an event.
   *
   * @param begun Its handler's call, if it was called already.
   * @returns How long to wait before another attempt, in milliseconds; `undefined` if there is none.
   */
  async handle(item: Item, begun: Begun<Tx> | undefined): Promise<number | undefined> {
    const { progress, guard } = this.#handling;
    const { event, advance } = item;
    if (!begun && progress.isBlocked(event)) return void await progress.leave(event, advance);
    if (!begun && progress.isDone(event)) return void await progress.goPast(event, advance);
    let called = begun;
    for (;;) {
      guard.check();
      called ??= this.#call(item);
      try {
        if (await this.#finish(item, called) === "done") return undefined;
      } catch (cause) {
        if (!(cause instanceof HandlerFailure)) throw cause;
        return await this.#failed(item, cause.cause);
      }
      called = undefined;
    }
  }

  #call({ event, attempt }: Item): Begun<Tx> {
    const { handlerOf, projection } = this.#handling;
    const turn = new HandlerTurn(this.#unit, projection.id.version, attempt);
    try {
      return { turn, result: handlerOf(event.eventType)(event, turn) };
    } catch (error) {
      return { turn, result: Promise.reject(error) };
    }
  }

  /** Waits for a handler, keeps its writes and appends what it asked for. It is called again if others have disturbed it. */
  async #finish(item: Item, { turn, result }: Begun<Tx>): Promise<"done" | "disturbed"> {
    const { progress, guard, reactions, timeLimit } = this.#handling;
    const { event } = item;
    let intent: readonly IntendedAppend[] | undefined;
    try {
      turn.hasReturned = !isPending(result);
      const returned = isPending(result) ? await timeLimit.wait(result, turn) : result;
      if (returned !== undefined) {
        intent = await reactions.intend(event, returned, turn.traceparent ?? event.metadata?.traceparent);
      }
      if (intent) checkRoom(intent, progress.room);
      guard.check();
      if (turn.broken) throw turn.broken.error;
    } catch (cause) {
      turn.end({ reason: cause });
      if (await this.#wasDisturbed(turn)) return "disturbed";
      throw blame(turn, cause, guard);
    }
    return await this.#keep(item, turn, intent ?? []);
  }

  /** Whether it was not the handler that failed: it is called again. */
  async #wasDisturbed({ broken, scope }: HandlerTurn<Tx>): Promise<boolean> {
    const busy = broken?.error instanceof TransactionBusyError ? broken.error : undefined;
    if (!busy && !scope?.isDisturbed) return false;
    this.#lanework.disturbed();
    await busy?.whenFree;
    return true;
  }

  /** Keeps what a handler wrote and notes the event as done, in one step. */
  async #keep(
    item: Item,
    turn: HandlerTurn<Tx>,
    intent: readonly IntendedAppend[],
  ): Promise<"done" | "disturbed"> {
    const { progress, guard } = this.#handling;
    const { event, advance } = item;
    const { scope } = turn;
    const isJoined = scope !== undefined || intent.length > 0;
    for (let isKept = false; !isKept;) {
      if (isJoined) { while (progress.committing) await progress.committing; }
      guard.check();
      if (isJoined && !this.#lanework.goesOn()) {
        turn.end({ reason: undefined });
        return "done"; // with this attempt: the event is handed out again
      }
      if (!this.#hasRoom(intent)) {
        await this.#settled.promise;
        continue;
      }
      let kept: "kept" | "full" | "disturbed" | undefined;
      try {
        kept = scope?.keep() as typeof kept; // a shared scope answers at once
      } catch (cause) {
        turn.end({ reason: cause });
        throw blame(turn, cause, guard);
      }
      if (kept === "full") await this.#makeRoom(turn);
      else if (kept === "disturbed") {
        turn.end({ reason: undefined });
        this.#lanework.disturbed();
        return "disturbed";
      } else isKept = true;
    }
    if (scope) progress.useUnit(event);
    turn.end("done");
    if (intent.length === 0) await progress.pass(event, advance, true);
    else await this.#react(item, intent);
    return "done";
  }

  /** Commits the writes of the events before. If that fails, the handler has not. */
  async #makeRoom(turn: HandlerTurn<Tx>): Promise<void> {
    try {
      await this.#handling.progress.commit();
    } catch (cause) {
      turn.end({ reason: cause });
      throw cause;
    }
  }

  /** Whether the record has room for what a reaction appends. */
  #hasRoom(intent: readonly IntendedAppend[]): boolean {
    const { draft, room } = this.#handling.progress;
    if (intent.length === 0 || !draft.reactions?.length || room === Infinity) return true;
    return sizeOf([draft.reactions, intent]) <= room;
  }

  /** Records what a reaction appends together with the end of its event, and appends it then. */
  async #react({ event, advance }: Item, intent: readonly IntendedAppend[]): Promise<void> {
    const { progress, projection } = this.#handling;
    const cause = referenceOf(event, ownKeyOf(projection, event));
    let reaction: PendingReaction = { event: cause, intent };
    progress.amend((draft) => {
      advance(draft, event);
      draft.handled++;
      forgetFailing(draft, event.position);
      draft.reactions = [...(draft.reactions ?? []), reaction];
    });
    await progress.flush();
    while (reaction.intent.length > 0) {
      const rest = { ...reaction, intent: reaction.intent.slice(1) };
      try {
        await this.#handling.reactions.settle(reaction.intent[0]!, cause);
      } catch (error) {
        if (!isRefusal(error) && !isOfHistory(error)) throw error;
        if (this.#lanework.goesOn()) await this.#giveUp(reaction, error);
        return;
      }
      this.#replace(reaction, rest.intent.length > 0 ? rest : undefined);
      reaction = rest;
    }
    progress.tell();
  }

  /** The store will never take what a reaction appends. */
  async #giveUp(reaction: PendingReaction, error: unknown): Promise<void> {
    const { progress, projection } = this.#handling;
    this.#replace(reaction, undefined);
    progress.amend((draft) => {
      draft.intent = reaction.intent;
      draft.intendedFor = reaction.event;
    });
    await giveUpIntent(projection, progress, error, false);
  }

  #replace(reaction: PendingReaction, by: PendingReaction | undefined): void {
    this.#handling.progress.amend((draft) => {
      const others = (draft.reactions ?? []).flatMap((other) =>
        other !== reaction ? [other] : by ? [by] : []
      );
      draft.reactions = others.length > 0 ? others : undefined;
    });
    this.#settled.resolve();
    this.#settled = Promise.withResolvers();
  }

  /** Notes a failed attempt; returns how long to wait before the next one, if there is one. */
  async #failed(item: Item, error: unknown): Promise<number | undefined> {
    const { progress, projection, guard } = this.#handling;
    const { event, advance, attempt } = item;
    guard.check();
    if (!this.#lanework.goesOn()) return undefined;
    const failing = {
      ...referenceOf(event, ownKeyOf(projection, event)),
      error: shortError(error),
      attempts: attempt,
    };
    progress.amend((draft) => noteFailing(draft, failing));
    const { retries, firstDelay, longestDelay } = projection.failure;
    if (attempt > retries) {
      return void await giveUp(projection, progress, event, { advance, cause: error, attempts: attempt });
    }
    // What was handled before must not wait, and the attempts are remembered.
    await progress.flush();
    item.attempt++;
    return backoff(attempt, firstDelay, longestDelay);
  }
}
