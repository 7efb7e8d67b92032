/**
 * Which actors wait for each other: a call that is made while an actor decides names that actor, and those that wait for
 * it, so that a call that would wait for itself is refused.
 *
 * @module
 */

import type { Call } from "./call.ts";
import { ActorFailedError } from "./errors.ts";

/** The call that is being decided at this instant: `decide` and queries are synchronous. */
let current: Call | undefined;

/**
 * A call is decided from now on.
 *
 * @returns What to hand to {@linkcode leave} afterwards.
 */
export function enter(call: Call): Call | undefined {
  const before = current;
  current = call;
  return before;
}

/** The call is decided. */
export function leave(before: Call | undefined): void {
  current = before;
}

const NONE: readonly string[] = [];

/**
 * The actors that wait for a call that is made now, the first one first.
 *
 * @throws {ActorFailedError} If the actor that is called is one of them.
 */
export function chainTo(actorId: string): readonly string[] {
  if (!current) return NONE;
  const chain = [...current.origin.chain, current.actorId];
  if (!chain.includes(actorId)) return chain;
  const names = [...chain, actorId].join(" calls ");
  throw new ActorFailedError(actorId, new Error(`the call would wait for itself: ${names}`));
}
