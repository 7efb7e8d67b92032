/**
 * Checks on the arguments of a store's methods and of deciders.
 *
 * @module
 */

import { isPromise } from "node:util/types";
import { InvalidArgumentError } from "../errors.ts";
import { actorIdFault, isVersion, MAX_NAME_BYTES } from "../event/draft.ts";
import { readOptions } from "../options.ts";
import { describe, nameFault } from "../text.ts";

/** Refuses what cannot be a kind of snapshots. */
export function checkKind(kind: unknown): void {
  const fault = nameFault(kind, MAX_NAME_BYTES);
  if (fault) throw new InvalidArgumentError("kind", fault);
}

/** Refuses what cannot be an actor id. */
export function checkActorId(actorId: unknown): void {
  const fault = actorIdFault(actorId);
  if (fault) throw new InvalidArgumentError("actorId", fault);
}

/** Refuses what cannot be a fencing token. */
export function checkToken(argument: string, token: unknown): void {
  if (isVersion(token)) return;
  throw new InvalidArgumentError(
    argument,
    `must be an integer from 1 to 2^53 - 1, and is ${describe(token)}`,
  );
}

/** Refuses what cannot be a version to read from: 0 means all, as 1 does. */
export function checkFromVersion(argument: string, version: unknown): void {
  if (version === 0 || isVersion(version)) return;
  throw new InvalidArgumentError(
    argument,
    `must be a version, or 0 to read all, and is ${describe(version)}`,
  );
}

/** Refuses what cannot be folded with. */
export function checkView(argument: string, view: unknown): void {
  const sound = readOptions(
    (view ?? {}) as { initialState?: unknown; evolve?: unknown },
    ({ initialState, evolve }) => typeof initialState === "function" && typeof evolve === "function",
    argument,
  );
  if (sound) return;
  throw new InvalidArgumentError(
    argument,
    `must be an object with the functions initialState() and evolve(state, event), and is ${describe(view)}`,
  );
}

/** Refuses what a decider cannot have decided, and returns how many events it has. */
export function checkDecision(decided: unknown): number {
  if (isArray(decided)) return readOptions(decided, ({ length }) => length, "decider.decide");
  if (isPromise(decided)) decided.then(undefined, () => {}); // its rejection would end the process
  const returned = isPromise(decided)
    ? "a promise: load what it needs before, and pass it in with the command"
    : describe(decided);
  throw new InvalidArgumentError(
    "decider.decide",
    `must return an array of events, and returned ${returned}`,
  );
}

/** Whether a value is an array; a proxy that was revoked throws when it is asked. */
export function isArray(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value);
  } catch {
    return false;
  }
}
