/**
 * One call of the studio's API.
 *
 * @module
 */

import type { ActorLists } from "./actor_list.ts";
import type { DamageRow } from "./api/mod.ts";
import { eventStream, type StreamCount, type StreamOutput } from "./event_stream.ts";
import { ApiFailure } from "./failure.ts";
import type { StudioParts } from "./parts.ts";
import type { Pulse } from "./pulse.ts";
import type { Query } from "./query.ts";

/** What all calls of a studio share. */
export interface StudioState {
  /** Lists of actors between two pages. */
  readonly actorLists: ActorLists;
  /** Whether the store answers. */
  readonly pulse: Pulse;
  /** Streams that are open. */
  readonly streams: StreamCount;
  /** What is remembered for a moment, so that several pages do not ask for the same at once. */
  readonly recent: Map<string, { readonly at: number; readonly value: Promise<unknown> }>;
  /** Whether a verification runs. */
  isVerifying: boolean;
  /** What the last verification has found. */
  faults: readonly DamageRow[];
}

/** A call: what was asked, and by whom it can be ended. */
export interface Call {
  /** What the studio looks into. */
  readonly parts: StudioParts;
  /** What all calls share. */
  readonly state: StudioState;
  /** The query. */
  readonly query: Query;
  /** The request. */
  readonly request: Request;
  /** Aborts when the time is over, or the studio ends. */
  readonly signal: AbortSignal;
}

/** What a route answers. */
export type Route = (call: Call) => Response | Promise<Response>;

/** The most streams at the same time. */
const MAX_STREAMS = 64;
/** How many outcomes are remembered. */
const MAX_RECENT = 16;

/** Answers with a stream, which also sends whether the store answers. */
export function streamOf(
  { parts, state }: Call,
  work: (output: StreamOutput) => Promise<void>,
): Response {
  const { streams: count, pulse } = state;
  const isTooMany = count.open >= MAX_STREAMS;
  return eventStream({ count, signal: parts.signal }, async (output) => {
    if (isTooMany) {
      throw new ApiFailure("too-many-streams", "Too many pages are open. Close one, and try again.");
    }
    const ending = new AbortController();
    const watching = pulse.watch(output, AbortSignal.any([output.signal, ending.signal]));
    try {
      await work(output);
    } finally {
      ending.abort();
      await watching;
    }
  });
}

/** The outcome of some work, or that of the same work a moment ago. */
export function recently<T>(
  { recent }: StudioState,
  name: string,
  maxAge: number,
  work: () => Promise<T>,
): Promise<T> {
  const known = recent.get(name);
  const now = performance.now();
  if (known && now - known.at <= maxAge) return known.value as Promise<T>;
  const value = work();
  const [oldest = ""] = recent.keys();
  if (recent.size >= MAX_RECENT) recent.delete(oldest);
  recent.set(name, { at: now, value });
  value.catch(() => recent.get(name)?.value === value && recent.delete(name));
  return value;
}
