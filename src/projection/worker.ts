/**
 * The worker of a projection: hands events to handlers one after the other, and keeps the checkpoint behind them.
 *
 * **The argument.** Every write of a checkpoint is a compare-and-set over the one that the worker read or wrote before, and
 * whoever begins to work writes first. So from then on nothing that an older worker still writes is accepted, however late
 * it comes: neither its checkpoint nor, where they commit together, its read model.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { BucketUnreachableError } from "../cluster/errors.ts";
import { backoff } from "../sleep.ts";
import { BackendError, StoreClosedError } from "../store/errors.ts";
import { Checkpointer } from "./checkpointer.ts";
import type { UnitOfWork } from "./checkpoints.ts";
import {
  CheckpointConflictError,
  type FailedEvent,
  HandlerTimeoutError,
  ParkedListFullError,
  ProjectionFencedError,
  ProjectionStoppedError,
} from "./errors.ts";
import { HandlerTurn } from "./handler_context.ts";
import type { CompiledProjection, HandlerResult } from "./projection.ts";
import { intend, type ReactionStore, settleAppend } from "./reaction.ts";
import { type ProjectionRecord, shortError } from "./record.ts";

/** The limits of a worker's right to work. */
export interface Guard {
  /** Throws where the right to work is over. */
  check(): void;
  /** Fires when it is over, or the run is aborted. */
  readonly signal: AbortSignal;
  /** Waits before a further attempt. */
  sleep(milliseconds: number): Promise<void>;
}

/** A record that is being worked on. */
type Draft = { -readonly [K in keyof ProjectionRecord]: ProjectionRecord[K] };

/** How many events without waiting go by between two looks at the clock. */
const EVENTS_PER_LOOK = 32;

/** Notes in the record that an event is done with. */
export type Advance = (draft: Draft, event: StoredEvent) => void;

const moveOn: Advance = (draft, event) => {
  draft.position = event.position;
};

/** The worker of a projection. */
export class Worker<Tx> {
  readonly #projection: CompiledProjection<Tx>;
  readonly #store: ReactionStore;
  readonly #checkpointer: Checkpointer<Tx>;
  readonly #guard: Guard;
  readonly #unit: UnitOfWork<Tx> | undefined;
  readonly #onProgress: ((position: string) => void) | undefined;
  readonly #draft: Draft;
  readonly #blocked = new Set<string>();
  #unitUsed = false;
  #dirty = false;
  #uncommitted = 0;
  #committedAt = performance.now();

  private constructor(
    store: ReactionStore,
    projection: CompiledProjection<Tx>,
    checkpointer: Checkpointer<Tx>,
    guard: Guard,
    onProgress?: (position: string) => void,
  ) {
    this.#store = store;
    this.#projection = projection;
    this.#checkpointer = checkpointer;
    this.#guard = guard;
    this.#onProgress = onProgress;
    this.#unit = projection.checkpoints.begin?.(projection.id);
    this.#draft = { ...checkpointer.record };
    this.#noteBlocked();
  }

  /** Reads the checkpoint. */
  static async load<Tx>(
    store: ReactionStore,
    projection: CompiledProjection<Tx>,
    guard: Guard,
    onProgress?: (position: string) => void,
  ): Promise<Worker<Tx>> {
    return new Worker(store, projection, await Checkpointer.load(projection), guard, onProgress);
  }

  /** The record as it is being worked on. */
  get record(): ProjectionRecord {
    return this.#draft;
  }

  /** Whether something is not committed yet. */
  get isDirty(): boolean {
    return this.#dirty;
  }

  /** Whether it should be committed as soon as no further event is at hand. */
  get isUrgent(): boolean {
    return this.#unitUsed;
  }

  /** How long what was handled may wait for its checkpoint, in ms. */
  get patience(): number {
    return Math.max(0, this.#committedAt + this.#projection.checkpointInterval - performance.now());
  }

  /**
   * Takes the projection over: from now on what older workers write is refused.
   *
   * @param id The worker.
   * @param fencingToken The token of its lease, if there are leases; without them the worker that comes last goes on.
   * @throws {ProjectionFencedError} If the holder of a newer lease has taken it over.
   */
  async claim(id: string, fencingToken: number | undefined): Promise<void> {
    const { owner, stopped } = this.#draft;
    const newest = owner?.fencingToken ?? 0;
    if (fencingToken !== undefined && newest > fencingToken) {
      throw new ProjectionFencedError(this.#projection.id);
    }
    this.#draft.owner = { id, fencingToken: fencingToken ?? newest };
    this.#draft.stopped = false;
    // Somebody has looked at it since: the attempts begin anew.
    if (stopped) delete this.#draft.failing;
    await this.#commit();
  }

  /** Finishes the appends that a worker before had recorded. */
  async finishIntent(): Promise<void> {
    while (this.#draft.intent?.[0]) {
      await settleAppend(this.#store, this.#draft.intent[0], this.#guard, async (again) => {
        this.#draft.intent = [again, ...this.#draft.intent!.slice(1)];
        await this.#commit();
      });
      this.#draft.intent = this.#draft.intent.slice(1);
      this.#dirty = true;
    }
    delete this.#draft.intent;
  }

  /** Handles the next event. It answers at once where the handler does: a promise an event costs more than the rest. */
  handle(event: StoredEvent, advance: Advance = moveOn): Promise<void> | undefined {
    this.#guard.check();
    if (advance === moveOn && this.#blocked.size > 0 && this.#blocked.has(event.actorId)) {
      this.#draft.handled--; // it waits behind a parked event of its actor
      return this.#pass(event, advance, false);
    }
    const { failing } = this.#draft;
    const attempt = failing?.position === event.position ? failing.attempts + 1 : 1;
    const turn = new HandlerTurn(this.#unit, this.#projection.id.version, attempt);
    let result: HandlerResult | Promise<HandlerResult>;
    try {
      result = this.#projection.handlerOf(event.eventType)(event, turn);
      if (result === undefined && !turn.scope) {
        turn.end("done");
        return this.#pass(event, advance, false);
      }
    } catch (error) {
      turn.end({ reason: error });
      if (turn.broken) throw turn.broken.error;
      return this.#retry(event, advance, error, attempt);
    }
    return this.#handleSlowly(event, advance, turn, result);
  }

  async #handleSlowly(
    event: StoredEvent,
    advance: Advance,
    turn: HandlerTurn<Tx>,
    result: HandlerResult | Promise<HandlerResult>,
  ): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#finish(event, advance, turn, result);
    } catch (error) {
      if (!(error instanceof HandlerFailure)) throw error;
      failure = { error: error.cause };
    }
    if (failure) await this.#retry(event, advance, failure.error, turn.attempt);
  }

  /** Waits for a handler, keeps its writes and appends what it asked for. */
  async #finish(
    event: StoredEvent,
    advance: Advance,
    turn: HandlerTurn<Tx>,
    result: HandlerResult | Promise<HandlerResult>,
  ): Promise<void> {
    let intent: ProjectionRecord["intent"];
    try {
      turn.hasReturned = !(result instanceof Promise);
      const reactions = result instanceof Promise ? await this.#inTime(result, turn) : result;
      intent = reactions && reactions.length > 0 ? await intend(this.#store, event, reactions) : undefined;
      this.#guard.check();
      if (turn.scope?.keep() === "full") {
        await this.flush();
        turn.scope.keep();
      }
    } catch (cause) {
      turn.end({ reason: cause });
      throw this.#blame(turn, cause);
    }
    if (turn.scope) this.#unitUsed = true;
    turn.end("done");
    if (!intent) return await this.#pass(event, advance, result instanceof Promise);
    advance(this.#draft, event);
    this.#draft.handled++;
    delete this.#draft.failing;
    this.#draft.intent = intent;
    await this.#commit();
    await this.finishIntent();
    this.#onProgress?.(event.position);
  }

  /** Tells a handler's failure from that of the machinery around it, which says nothing of the handler. */
  #blame(turn: HandlerTurn<Tx>, cause: unknown): unknown {
    this.#guard.check();
    if (turn.broken) return turn.broken.error;
    const isMachinery = cause instanceof CheckpointConflictError || cause instanceof BackendError ||
      cause instanceof BucketUnreachableError || cause instanceof StoreClosedError;
    return isMachinery && turn.hasReturned ? cause : new HandlerFailure(cause);
  }

  /** Waits for a handler for as long as it may take. */
  async #inTime<T>(result: Promise<T>, turn: HandlerTurn<Tx>): Promise<T> {
    const { handlerTimeout } = this.#projection;
    const { promise, reject } = Promise.withResolvers<never>();
    const { signal } = this.#guard;
    const end = (reason: unknown): void => {
      turn.end({ reason });
      reject(reason);
    };
    const timer = setTimeout(() => end(new HandlerTimeoutError(handlerTimeout)), handlerTimeout);
    const abort = (): void => end(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      const value = await Promise.race([result, promise]);
      turn.hasReturned = true;
      return value;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Tries an event again and again, and gives it up in the end. */
  async #retry(event: StoredEvent, advance: Advance, error: unknown, failed: number): Promise<void> {
    const { failure, id } = this.#projection;
    for (let attempts = failed;; attempts++) {
      this.#guard.check();
      this.#draft.failing = { ...referenceOf(event), error: shortError(error), attempts };
      this.#dirty = true;
      if (attempts > failure.retries) return await this.#giveUp(event, advance, error, attempts);
      // What was handled before must not wait, and the attempts are remembered.
      await this.flush();
      await this.#guard.sleep(backoff(attempts, failure.firstDelay, failure.longestDelay));
      this.#guard.check();
      const turn = new HandlerTurn(this.#unit, id.version, attempts + 1);
      try {
        let result: HandlerResult | Promise<HandlerResult>;
        try {
          result = this.#projection.handlerOf(event.eventType)(event, turn);
        } catch (cause) {
          turn.end({ reason: cause });
          throw this.#blame(turn, cause);
        }
        return await this.#finish(event, advance, turn, result);
      } catch (cause) {
        if (!(cause instanceof HandlerFailure)) throw cause;
        error = cause.cause;
      }
    }
  }

  /** Stops before the event, or sets it aside. */
  async #giveUp(event: StoredEvent, advance: Advance, cause: unknown, attempts: number): Promise<void> {
    const { failure: { then, laterEvents, mostParked }, id } = this.#projection;
    if (advance !== moveOn || then === "stop" || this.#draft.parked.length >= mostParked) {
      if (advance === moveOn) this.#draft.stopped = true;
      await this.#commit();
      if (advance === moveOn && then === "park") throw new ParkedListFullError(id, mostParked, { cause });
      throw new ProjectionStoppedError(id, referenceOf(event), attempts, { cause });
    }
    const parkedAt = new Date().toISOString();
    const error = shortError(cause);
    const blocksActor = laterEvents === "wait";
    const parked = { ...referenceOf(event), error, attempts, parkedAt, blocksActor };
    this.#draft.parked = [...this.#draft.parked, parked];
    delete this.#draft.failing;
    advance(this.#draft, event);
    this.#noteBlocked();
    await this.#commit();
    this.#onProgress?.(event.position);
  }

  /** Goes past an event that is done with. */
  #pass(event: StoredEvent, advance: Advance, waited: boolean): Promise<void> | undefined {
    advance(this.#draft, event);
    this.#draft.handled++;
    if (this.#draft.failing) delete this.#draft.failing;
    this.#dirty = true;
    // While an actor waits, somebody else may have freed it: only a commit tells that nobody has.
    if (!this.#unitUsed && this.#blocked.size === 0) this.#onProgress?.(event.position);
    const count = ++this.#uncommitted;
    if (count >= this.#projection.checkpointEvents) return this.flush();
    if ((waited || count % EVENTS_PER_LOOK === 0) && this.patience === 0) return this.flush();
    return undefined;
  }

  /** Moves the checkpoint past events that the filter left out. */
  skipTo(position: string | undefined): void {
    if (position === undefined || position <= (this.#draft.position ?? "")) return;
    this.#draft.position = position;
    this.#dirty = true;
  }

  /** Changes the record; `flush()` commits it. */
  amend(change: (draft: Draft) => void): void {
    change(this.#draft);
    this.#dirty = true;
  }

  /** Commits what is not committed yet. */
  async flush(): Promise<void> {
    if (this.#dirty) await this.#commit();
  }

  /** Forgets what was not committed. */
  discard(): void {
    this.#unit?.discard();
  }

  async #commit(): Promise<void> {
    this.#guard.check();
    await this.#checkpointer.commit(this.#draft, this.#unitUsed ? this.#unit : undefined);
    this.#unitUsed = false;
    this.#dirty = false;
    this.#uncommitted = 0;
    this.#committedAt = performance.now();
    if (this.#draft.position !== undefined) this.#onProgress?.(this.#draft.position);
  }

  #noteBlocked(): void {
    this.#blocked.clear();
    for (const { actorId, blocksActor } of this.#draft.parked) if (blocksActor) this.#blocked.add(actorId);
  }
}

/** Marks what the handler, and not the machinery around it, has failed with. */
class HandlerFailure extends Error {
  constructor(cause: unknown) {
    super("", { cause });
  }
}

/** Names an event. */
function referenceOf(
  { position, id: eventId, eventType, actorId, version: eventVersion }: StoredEvent,
): FailedEvent {
  return { position, eventId, eventType, actorId, eventVersion };
}
