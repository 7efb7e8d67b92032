/**
 * Which timers wait.
 *
 * @module
 */

import { InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { describe } from "../text.ts";
import { openTimerIndex } from "./open_timer_index.ts";
import { checkStore, type TimerStore } from "./run_timers.ts";
import type { PendingTimer } from "./timer_index.ts";

/**
 * Which timers are listed.
 *
 * @category Actors
 */
export interface ListTimersOptions {
  /** How many, 1 to 10,000. @default {100} */
  readonly limit?: number;
  /** The `next` of the page before. @default {the first page} */
  readonly after?: string;
  /** Only those that are due at this time at the latest. @default {all} */
  readonly until?: Date;
}

/**
 * A timer that waits.
 *
 * @category Actors
 */
export interface ListedTimer {
  /** The actor. */
  readonly actorId: string;
  /** The timer's name. */
  readonly name: string;
  /** When it is due. */
  readonly at: Date;
}

/**
 * A page of timers.
 *
 * @category Actors
 */
export interface TimerPage {
  /** The timers, in the order of their times. */
  readonly timers: readonly ListedTimer[];
  /** For the `after` of the next page; `undefined` if this is the last one. */
  readonly next: string | undefined;
}

const OPTIONS: OptionNames<ListTimersOptions> = { limit: true, after: true, until: true };
const MAX_LIMIT = 10_000;

/**
 * Lists the timers that wait, by page, in the order of their times. They come from the index, which follows the log while a
 * host or {@linkcode runTimers} runs: the timers of the latest events may be missing.
 *
 * @example What is due next
 * ```ts
 * import { type EventStore, listTimers } from "@flowmade-one/aether/actor";
 *
 * async function show(store: EventStore): Promise<void> {
 *   let after: string | undefined;
 *   for (;;) {
 *     const { timers, next } = await listTimers(store, { limit: 100, ...(after && { after }) });
 *     for (const { at, actorId, name } of timers) console.log(at, actorId, name);
 *     if (!next) return;
 *     after = next;
 *   }
 * }
 * ```
 *
 * @throws {InvalidArgumentError} If an option is out of range.
 * @throws {BackendError} If the index cannot be reached.
 *
 * @category Actors
 */
export async function listTimers<E extends Event>(
  store: TimerStore<E>,
  options?: ListTimersOptions,
): Promise<TimerPage> {
  const { limit, after, until } = readOptions(options, checkList);
  const index = await openTimerIndex(checkStore(store));
  try {
    const range = { limit: limit + 1, ...(after && { after }), ...(until !== undefined && { until }) };
    const found = await index.pending(range);
    const page = found.slice(0, limit);
    return {
      timers: page.map(({ actorId, name, at }) => ({ actorId, name, at: new Date(at) })),
      next: found.length > limit ? encodeCursor(page.at(-1)!) : undefined,
    };
  } finally {
    await index.close();
  }
}

interface CheckedList {
  readonly limit: number;
  readonly after: PendingTimer | undefined;
  readonly until: number | undefined;
}

function checkList(options: ListTimersOptions): CheckedList {
  checkKnown<ListTimersOptions>(options, OPTIONS);
  const { limit = 100, after, until } = options;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new InvalidArgumentError("options.limit", `must be 1 to ${MAX_LIMIT}, and is ${describe(limit)}`);
  }
  if (until !== undefined && !(until instanceof Date && !Number.isNaN(until.getTime()))) {
    throw new InvalidArgumentError("options.until", `must be a valid Date, and is ${describe(until)}`);
  }
  return { limit, after: after === undefined ? undefined : decodeCursor(after), until: until?.getTime() };
}

function encodeCursor({ at, actorId, name }: PendingTimer): string {
  return JSON.stringify([at, actorId, name]);
}

function decodeCursor(text: unknown): PendingTimer {
  try {
    const [at, actorId, name] = JSON.parse(String(text));
    if (Number.isSafeInteger(at) && typeof actorId === "string" && typeof name === "string") {
      return { at, actorId, name };
    }
  } catch {
    // refused below
  }
  throw new InvalidArgumentError("options.after", `must be the next of a page, and is ${describe(text)}`);
}
