/**
 * Which timers wait.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { InvalidArgumentError } from "../errors.ts";
import type { Event } from "../event/types.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import { describe } from "../text.ts";
import { definitionOf } from "./definition.ts";
import { withTimerIndex } from "./open_timer_index.ts";
import { checkStore, type TimerStore } from "./run_timers.ts";
import { type PendingRange, type PendingTimer, pendingWhere, type TimerIndex } from "./timer_index.ts";
import { isOfThisLog } from "./timer_log.ts";

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
  /** Ends the wait for a storage that does not answer. */
  readonly signal?: AbortSignal;
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

const OPTIONS: OptionNames<ListTimersOptions> = { limit: true, after: true, until: true, signal: true };
const MAX_LIMIT = 10_000;

/**
 * Lists the timers that wait, by page, in the order of their times. They come from the index, which follows the log while a
 * host or {@linkcode runTimers} runs: the timers of the latest events may be missing. Timers of a log that another one has
 * replaced are left out.
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
 * @throws {LogReplacedError} If the log was deleted, or another one has replaced it, since the store was opened.
 *
 * @category Actors
 */
export async function listTimers<E extends Event>(
  store: TimerStore<E>,
  options?: ListTimersOptions,
): Promise<TimerPage> {
  const { limit, signal, ...range } = readOptions(options, checkList);
  const found = await withTimerIndex(checkStore(store), signal, async (index) => {
    const isOld = await oldTimers(store, index, signal);
    return await pendingWhere(index, { ...range, limit: limit + 1 }, ({ actorId }) => !isOld(actorId));
  });
  const page = found.slice(0, limit);
  return {
    timers: page.map(({ actorId, name, at }) => ({ actorId, name, at: new Date(at) })),
    next: found.length > limit ? encodeCursor(page.at(-1)!) : undefined,
  };
}

/** Finds out which actors the index has from a log that another one has replaced: no process has worked on them since. */
async function oldTimers<E extends Event>(
  store: TimerStore<E>,
  index: TimerIndex,
  signal: AbortSignal | undefined,
): Promise<(actorId: string) => boolean> {
  await abortable(store.getLastPosition(), signal); // throws if the log was replaced after the store was opened
  const heads = await index.heads();
  const kinds = [...heads.keys()].map((name) => ({ name }));
  const old = new Set<string>();
  for (const [kind, { position }] of heads) {
    if (position !== undefined && !await isOfThisLog(store, position, signal)) old.add(kind);
  }
  return (actorId) => old.size > 0 && old.has(definitionOf(actorId, kinds)?.name ?? "");
}

interface CheckedList extends PendingRange {
  readonly signal: AbortSignal | undefined;
}

function checkList(options: ListTimersOptions): CheckedList {
  checkKnown<ListTimersOptions>(options, OPTIONS);
  const { limit = 100, after, until, signal } = options;
  checkSignal(signal);
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new InvalidArgumentError("options.limit", `must be 1 to ${MAX_LIMIT}, and is ${describe(limit)}`);
  }
  if (until !== undefined && !(until instanceof Date && !Number.isNaN(until.getTime()))) {
    throw new InvalidArgumentError("options.until", `must be a valid Date, and is ${describe(until)}`);
  }
  return {
    limit,
    signal,
    ...(after !== undefined && { after: decodeCursor(after) }),
    ...(until !== undefined && { until: until.getTime() }),
  };
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
