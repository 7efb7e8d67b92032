/**
 * Checks on the arguments of a store's methods.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { actorIdFault, isVersion } from "../event/draft.ts";
import { describe } from "../event/text.ts";
import type { HistoryRead } from "./backend.ts";
import type { AppendOptions, ReadEventsOptions } from "./types.ts";

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

/** Refuses what cannot be a version to read from, or to. */
export function checkVersion(argument: string, version: unknown): void {
  if (isVersion(version)) return;
  throw new InvalidArgumentError(argument, `must be a positive integer, and is ${describe(version)}`);
}

/** Returns a limit, infinity where there is none. */
export function checkLimit(limit: number | undefined): number {
  if (limit === undefined) return Infinity;
  if (Number.isSafeInteger(limit) && limit >= 0) return limit;
  throw new InvalidArgumentError(
    "options.limit",
    `must be a non-negative integer, and is ${describe(limit)}`,
  );
}

/** Returns the version that an append expects. */
export function checkExpectedVersion(options: AppendOptions | undefined): number | "any" {
  const expected: unknown = options?.expectedVersion;
  if (expected === "any" || expected === 0 || isVersion(expected)) return expected;
  throw new InvalidArgumentError(
    "options.expectedVersion",
    `must be the version that the actor is at, 0 for a new one, or "any", and is ${describe(expected)}`,
  );
}

/** Returns the options of a read of a history, every default filled in. */
export function checkHistoryRead(options: ReadEventsOptions): HistoryRead {
  const { fromVersion = 1, toVersion = Number.MAX_SAFE_INTEGER, direction = "forward", onDamage } = options;
  checkVersion("options.fromVersion", fromVersion);
  checkVersion("options.toVersion", toVersion);
  if (direction !== "forward" && direction !== "backward") {
    throw new InvalidArgumentError("options.direction", 'must be "forward" or "backward"');
  }
  return { fromVersion, toVersion, direction, limit: checkLimit(options.limit), onDamage };
}

/** Refuses what cannot be folded with. */
export function checkView(argument: string, view: unknown): void {
  const { initialState, evolve } = (view ?? {}) as { initialState?: unknown; evolve?: unknown };
  if (typeof initialState === "function" && typeof evolve === "function") return;
  throw new InvalidArgumentError(
    argument,
    "must be an object with the functions initialState() and evolve(state, event)",
  );
}

/** Refuses what a decider cannot have decided. */
export function checkDecision(decided: unknown): void {
  if (Array.isArray(decided)) return;
  const returned = decided instanceof Promise
    ? "a promise: load what it needs before, and pass it in with the command"
    : describe(decided);
  throw new InvalidArgumentError(
    "decider.decide",
    `must return an array of events, and returned ${returned}`,
  );
}
