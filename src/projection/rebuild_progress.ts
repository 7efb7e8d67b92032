/**
 * How far a version is that is being built to replace another one.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { EventSchemaError } from "../event/errors.ts";
import type { EventStore } from "../store/types.ts";
import { problemOf } from "./lag.ts";
import type { ProjectionRecord } from "./record.ts";

/**
 * How far a version is that is being built to replace another one: an estimate by its place in the log.
 *
 * @category Projections
 */
export interface RebuildProgress {
  /** The version that serves until then. */
  readonly replaces: number;
  /** Which part of the log it has handled, from 0 to 1. */
  readonly share: number;
  /** Events a second, since the process began that builds it. */
  readonly rate: number;
  /** How many events are left, about. */
  readonly left: number;
  /** How long it still takes, about, in ms; `undefined` if it has not begun. */
  readonly timeLeft: number | undefined;
}

/** How far a version is that has not taken over yet; `undefined` also if the log cannot be read. */
export async function progressOf(
  store: EventStore,
  { name, version, position, handled, savedAt, rebuild }: ProjectionRecord,
  records: readonly ProjectionRecord[],
  signal: AbortSignal | undefined,
): Promise<RebuildProgress | undefined> {
  if (!rebuild) return undefined;
  const { replaces, since } = rebuild;
  const isOver = records.some((other) => other.name === name && other.replacedBy?.version === version);
  if (isOver) return undefined;
  const seconds = (Date.parse(savedAt) - Date.parse(since)) / 1_000;
  const rate = seconds > 0 ? (handled - rebuild.handled) / seconds : 0;
  const share = await abortable(shareOf(store, position, signal), signal);
  if (share === undefined) return undefined;
  const left = share === 0 ? 0 : Math.round(handled * (1 - share) / share);
  return { replaces, share, rate, left, timeLeft: rate > 0 && share > 0 ? left / rate * 1_000 : undefined };
}

/** Which part of a log is before a position, by the numbers in positions: they grow as the log does. */
async function shareOf(
  store: EventStore,
  position: string | undefined,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  const last = await store.getLastPosition();
  if (position === undefined || last === undefined) return last === undefined ? 1 : 0;
  try {
    const first = await firstKept(store, signal);
    if (first === undefined) return 1;
    const [begin, here, end] = [first, position, last].map(numberOf);
    if (end! <= begin!) return position >= last ? 1 : 0;
    return Math.min(1, Math.max(0, (here! - begin! + 1) / (end! - begin! + 1)));
  } catch (error) {
    problemOf(error); // throws what is wrong with more than this log
    return undefined;
  }
}

/** The position of the first event that is kept, also if its schema refuses it. */
async function firstKept(store: EventStore, signal: AbortSignal | undefined): Promise<string | undefined> {
  try {
    const options = { after: "first-kept", limit: 1, ...(signal && { signal }) } as const;
    for await (const { position } of store.readAll(options)) return position;
    return undefined;
  } catch (error) {
    if (error instanceof EventSchemaError) return error.position;
    throw error;
  }
}

/** The number of a position behind the name of its log, as far as a number holds it. */
function numberOf(position: string): number {
  return Number(`0x${position.slice(position.indexOf("-") + 1)}`);
}
