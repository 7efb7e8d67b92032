/**
 * The options of subscriptions to a bus, read once and checked.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import { describe } from "../text.ts";
import { compileFilter } from "../event/filter.ts";
import type { Event } from "../event/types.ts";
import { checkFunction, checkSignal, readOptions } from "../options.ts";
import type { BusSubscribeOptions, OverflowPolicy } from "./types.ts";

/** The most events that a buffer may be asked to hold. */
const MAX_BUFFER = 1_000_000;
const POLICIES: readonly unknown[] = ["drop-oldest", "drop-newest", "error"] satisfies OverflowPolicy[];

/** What was asked for, with the defaults and the filter's predicate. */
export interface CheckedSubscribe extends BusSubscribeOptions {
  /** How many events wait. */
  readonly buffer: number;
  /** What happens when they are more. */
  readonly overflow: OverflowPolicy;
  /** Whether the filter matches an event; `undefined` if it matches every event. */
  readonly chosen: ((event: Event) => boolean) | undefined;
}

/**
 * Reads them.
 *
 * @throws {InvalidArgumentError} If one is out of range.
 */
export function readSubscribe(options: BusSubscribeOptions | undefined): CheckedSubscribe {
  return readOptions(options, (given) => {
    const { buffer = 1_000, overflow = "drop-oldest", signal, onLoss, ...filter } = given;
    if (!Number.isSafeInteger(buffer) || buffer < 1 || buffer > MAX_BUFFER) {
      throw new InvalidArgumentError(
        "options.buffer",
        `must be an integer from 1 to ${MAX_BUFFER}, and is ${describe(buffer)}`,
      );
    }
    if (!POLICIES.includes(overflow)) {
      throw new InvalidArgumentError(
        "options.overflow",
        `must be one of ${POLICIES.join(", ")}, and is ${describe(overflow)}`,
      );
    }
    checkFunction("options.onLoss", onLoss);
    checkSignal(signal);
    const chosen = compileFilter(filter);
    return { ...filter, buffer, overflow, chosen, ...(signal && { signal }), ...(onLoss && { onLoss }) };
  });
}
