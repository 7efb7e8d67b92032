/**
 * Checks on the arguments of a store's methods.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { actorIdFault, isVersion } from "../event/draft.ts";
import type { HistoryRead } from "./backend.ts";
import type { AppendOptions, ReadEventsOptions } from "./types.ts";

/** Refuses what cannot be an actor id. */
export function checkActorId(actorId: unknown): void {
  const fault = actorIdFault(actorId);
  if (fault) throw new InvalidArgumentError("actorId", fault);
}

/** Refuses what cannot be a fencing token. */
export function checkToken(argument: string, token: unknown): void {
  if (!isVersion(token)) throw new InvalidArgumentError(argument, "must be an integer from 1 to 2^53 - 1");
}

/** Returns a limit, infinity where there is none. */
export function checkLimit(limit: number | undefined): number {
  if (limit === undefined) return Infinity;
  if (Number.isSafeInteger(limit) && limit >= 0) return limit;
  throw new InvalidArgumentError("options.limit", "must be a non-negative integer");
}

/** Returns the version that an append expects. */
export function checkExpectedVersion(options: AppendOptions | undefined): number | "any" {
  const expected: unknown = options?.expectedVersion;
  if (expected === "any" || expected === 0 || isVersion(expected)) return expected;
  throw new InvalidArgumentError(
    "options.expectedVersion",
    'is required: a version, 0 for a new actor, or "any"',
  );
}

/** Returns the options of a read of a history, every default filled in. */
export function checkHistoryRead(options: ReadEventsOptions): HistoryRead {
  const { fromVersion = 1, toVersion = Number.MAX_SAFE_INTEGER, direction = "forward", onDamage } = options;
  if (!isVersion(fromVersion)) {
    throw new InvalidArgumentError("options.fromVersion", "must be a positive integer");
  }
  if (!isVersion(toVersion)) {
    throw new InvalidArgumentError("options.toVersion", "must be a positive integer");
  }
  if (direction !== "forward" && direction !== "backward") {
    throw new InvalidArgumentError("options.direction", 'must be "forward" or "backward"');
  }
  return { fromVersion, toVersion, direction, limit: checkLimit(options.limit), onDamage };
}
