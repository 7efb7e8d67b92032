/**
 * What a handler is given for one attempt at one event.
 *
 * @module
 */

import type { HandlerScope, UnitOfWork } from "./checkpoints.ts";
import { transactionOver } from "./errors.ts";
import type { HandlerContext } from "./projection.ts";

/** What a handler needs of a unit of work. */
export type HandlerUnit<Tx> = Pick<UnitOfWork<Tx>, "enter" | "rest">;

const DONE = { reason: undefined };

/** A handler's turn. What it does not ask for is not made. */
export class HandlerTurn<Tx> implements HandlerContext<Tx> {
  readonly version: number;
  readonly attempt: number;
  /** Whether the handler has ended by itself. */
  hasReturned = false;
  /** Whether it asked for a transaction but there is none. */
  hasAskedInVain = false;
  /** The W3C trace context of the handler's span, if there is one. */
  traceparent: string | undefined;
  readonly #unit: HandlerUnit<Tx> | undefined;
  #scope: HandlerScope<Tx> | undefined;
  #ending: AbortController | undefined;
  #over: { readonly reason: unknown } | undefined;
  #broken: { readonly error: unknown } | undefined;

  /** Begins an attempt. */
  constructor(unit: HandlerUnit<Tx> | undefined, version: number, attempt: number) {
    this.#unit = unit;
    this.version = version;
    this.attempt = attempt;
  }

  get transaction(): Tx {
    if (this.#over) throw transactionOver();
    if (!this.#unit) {
      this.hasAskedInVain = true;
      return undefined as Tx;
    }
    try {
      this.#scope ??= this.#unit.enter();
    } catch (error) {
      this.#broken = { error };
      throw error;
    }
    return this.#scope.transaction;
  }

  get signal(): AbortSignal {
    this.#ending ??= new AbortController();
    if (this.#over) this.#ending.abort(this.#over.reason);
    return this.#ending.signal;
  }

  /** Why the transaction failed, if that is not the handler's fault. */
  get broken(): { readonly error: unknown } | undefined {
    return this.#broken ?? this.#scope?.broken;
  }

  /** What it wrote with, if it did. */
  get scope(): HandlerScope<Tx> | undefined {
    return this.#scope;
  }

  /** Ends the attempt; the writes of one that failed are forgotten. */
  end(outcome: "done" | { readonly reason: unknown }): void {
    if (this.#over) return;
    this.#over = outcome === "done" ? DONE : outcome;
    if (outcome !== "done") this.#scope?.drop();
    this.#unit?.rest?.();
    if (outcome === "done") return;
    this.#ending?.abort(outcome.reason);
  }
}
