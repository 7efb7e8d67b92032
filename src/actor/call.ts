/**
 * What waits in the mailbox of an actor.
 *
 * @module
 */

import type { Event, NewEvent } from "../event/types.ts";
import { EventTooLargeError, InvalidEventError } from "../event/errors.ts";
import { InvalidArgumentError } from "../errors.ts";
import { CommitTooLargeError, OutcomeUnknownError } from "../store/errors.ts";
import { ActorFailedError, ActorUnavailableError } from "./errors.ts";
import type { Deadlines, Timed } from "../deadlines.ts";
import type { TimerOutcome, TimerReference } from "./timer.ts";
import { asStored } from "./untyped.ts";

/**
 * The answer to a command.
 *
 * @typeParam S The state.
 *
 * @category Actors
 */
export interface CallResult<S> {
  /** The actor's version after the command. */
  readonly version: number;
  /** The actor's state after the command. */
  readonly state: S;
}

/** Where a call comes from. */
export interface CallOrigin {
  /** The actors that wait for the answer, the first one first. */
  readonly chain: readonly string[];
  /** The W3C trace context of the caller. */
  readonly traceparent?: string | undefined;
}

/** A command or a query that waits for its answer. It is answered once: what comes later changes nothing. */
export class Call implements Timed {
  /** The actor. */
  readonly actorId: string;
  /** How long it may take, in milliseconds. */
  readonly timeout: number;
  /** When it began to wait, on the clock of `performance.now()`. */
  readonly begun: number = performance.now();
  readonly deadline: number;
  slot = -1;
  /** Where it comes from. */
  readonly origin: CallOrigin;
  /** The W3C trace context of the work on it. */
  traceparent: string | undefined;
  /** Whether it has been answered. */
  isSettled = false;
  /** Its events while they are being stored. */
  sent: { readonly events: readonly NewEvent<Event>[]; readonly expectedVersion: number } | undefined;
  /** Its answer. */
  readonly promise: Promise<unknown>;
  readonly #signal: AbortSignal | undefined;
  #abort: (() => void) | undefined;
  #deadlines: Deadlines | undefined;
  #resolve!: (value: unknown) => void;
  #reject!: (error: unknown) => void;

  /** Waits from now on. */
  constructor(actorId: string, timeout: number, signal: AbortSignal | undefined, origin: CallOrigin) {
    this.actorId = actorId;
    this.origin = origin;
    this.timeout = timeout;
    this.deadline = this.begun + timeout;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#signal = signal;
    if (!signal) return;
    this.#abort = (): void => {
      // It counts until the events are sent.
      if (!this.sent) this.reject(signal.reason);
    };
    signal.addEventListener("abort", this.#abort, { once: true });
  }

  /** Ends at its deadline, unless it is answered before. */
  timedBy(deadlines: Deadlines): void {
    this.#deadlines = deadlines;
    deadlines.add(this);
  }

  /** Answers it. */
  resolve(value: unknown): void {
    if (this.#settle()) this.#resolve(value);
  }

  /** Answers it with an error. */
  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  /** Its deadline has passed. */
  expire(): void {
    if (!this.sent) return this.reject(new ActorUnavailableError(this.actorId, this.timeout));
    const { events, expectedVersion } = this.sent;
    const attempted = events.map((event, index) =>
      asStored(event, { actorId: this.actorId, version: expectedVersion + 1 + index })
    );
    this.reject(new OutcomeUnknownError(attempted, expectedVersion, { repeatWith: "call" }));
  }

  #settle(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    this.#deadlines?.delete(this);
    if (this.#abort) this.#signal?.removeEventListener("abort", this.#abort);
    return true;
  }
}

/** A command. */
export class CommandCall extends Call {
  /** The command, checked and copied. */
  readonly command: unknown;
  /** Its name, by which a repetition is found. */
  readonly id: string | undefined;
  /** Whether its events are stored. */
  isStored = false;
  /** Whether an earlier try of it may still be stored by another process. */
  mayBeStored = false;
  /** Whether its caller has named it: then another client may have called it before. */
  isNamed = false;

  constructor(
    actorId: string,
    command: unknown,
    id: string | undefined,
    timeout: number,
    signal: AbortSignal | undefined,
    origin: CallOrigin,
  ) {
    super(actorId, timeout, signal, origin);
    this.command = command;
    this.id = id;
  }
}

/** A query. */
export class QueryCall extends Call {
  /** Answers it from a state. */
  readonly answer: (state: unknown) => unknown;

  constructor(
    actorId: string,
    answer: (state: unknown) => unknown,
    timeout: number,
    signal: AbortSignal | undefined,
    origin: CallOrigin,
  ) {
    super(actorId, timeout, signal, origin);
    this.answer = answer;
  }
}

/** Whether a call is a command that can be found again. */
export function hasId(call: CommandCall | QueryCall): boolean {
  return call instanceof CommandCall && call.id !== undefined;
}

/** Whether a call has not been answered. */
export function isWaiting(call: CommandCall | QueryCall): boolean {
  return !call.isSettled;
}

/** Whether a call waits of which an earlier try may still be stored by another process. */
export function mayBeStored(call: CommandCall | QueryCall): boolean {
  return call instanceof CommandCall && call.mayBeStored && !call.isSettled;
}

/** What the store refuses to store, whenever it is sent. */
const REFUSALS = [InvalidEventError, EventTooLargeError, CommitTooLargeError, InvalidArgumentError];

/** A timer that is due. Its command is the one that the actor's state names when it comes to the call. */
export class TimerCall extends CommandCall {
  /** The timer. */
  readonly timer: TimerReference;
  /** What becomes of it, once it is decided. */
  outcome: TimerOutcome = "fired";

  /** @param id The id of the command, by which a repetition is found. */
  constructor(
    actorId: string,
    timer: TimerReference,
    id: string,
    timeout: number,
    signal: AbortSignal | undefined,
    origin: CallOrigin,
  ) {
    super(actorId, undefined, id, timeout, signal, origin);
    this.timer = timer;
  }

  /** Answers with what became of the timer. */
  override resolve(): void {
    super.resolve(this.outcome);
  }

  /** A command that can never be executed is an answer; the rest may pass. */
  override reject(error: unknown): void {
    if (error instanceof ActorFailedError && error.isStored) return super.resolve("fired");
    if (typeof this.outcome === "object") return super.resolve(this.outcome);
    if (REFUSALS.some((type) => error instanceof type)) {
      return super.resolve({ refused: (error as Error).message });
    }
    super.reject(error);
  }
}
