/**
 * Routes about the log: its pages, one event and its links, and what the latest events are like.
 *
 * @module
 */

import { readLog } from "../store/actor_log.ts";
import type { StoredEvent } from "../event/types.ts";
import type { EventStore, LogStart, ReadAllOptions } from "../store/types.ts";
import type { Activity, EventLinks, TypeCount } from "./api/mod.ts";
import type { Call } from "./call.ts";
import { ApiFailure } from "./failure.ts";
import { eventRow, jsonOf, jsonResponse, jsonTextResponse } from "./json.ts";
import { readLogPage } from "./page.ts";

/** GET `api/log`. */
export async function showLog({ parts: { store }, query, signal }: Call): Promise<Response> {
  const after = query.place("after");
  const before = query.place("before");
  if (after !== undefined && before !== undefined) {
    throw new ApiFailure("invalid", 'Only one of "after" and "before" can be given.');
  }
  const last = await store.getLastPosition();
  const { rows, reached = null } = await readLogPage(
    store,
    query.filter,
    { after, before },
    query.limit,
    signal,
  );
  const ends = after !== undefined
    ? { earlier: rows.first?.position ?? (isBeginning(after) ? null : after), later: reached }
    : { earlier: reached, later: before === undefined ? null : rows.first?.position ?? null };
  return jsonTextResponse(
    `{${rows.json(after === undefined)},${jsonOf({ ...ends, last: last ?? null }).slice(1)}`,
  );
}

function isBeginning(place: LogStart): boolean {
  return place === "start" || place === "first-kept";
}

/** The event at a position. */
async function eventAt(store: EventStore, position: string, signal: AbortSignal): Promise<StoredEvent> {
  const end = { until: position, after: "first-kept", direction: "backward", limit: 1 } as const;
  for await (const event of store.readAll({ ...end, signal })) if (event.position === position) return event;
  throw new ApiFailure("not-found", `There is no event at ${position}.`);
}

/** GET `api/event`. */
export async function showEvent({ parts: { store }, query, signal }: Call): Promise<Response> {
  return jsonResponse(eventRow(await eventAt(store, query.required("position"), signal)));
}

/** How many events are looked at for links, in each direction, and for how long, in milliseconds. */
const MAX_SEARCHED = 2_000;
const SEARCH_TIME = 2_000;
/** The most links of a kind. */
const MAX_LINKS = 100;

/** GET `api/event/links`. */
export async function showLinks({ parts: { store }, query, signal }: Call): Promise<Response> {
  const event = await eventAt(store, query.required("position"), signal);
  const { causationId, correlationId } = event.metadata ?? {};
  const effects: StoredEvent[] = [];
  const related: StoredEvent[] = [];
  let cause: StoredEvent | undefined;
  const isRelated = (other: StoredEvent): boolean =>
    correlationId !== undefined && other.metadata?.correlationId === correlationId &&
    other.position !== event.position;
  const back = async (): Promise<string | null> => {
    if (causationId === undefined && correlationId === undefined) return null;
    const until = query.place("before") ?? event.position;
    const read = { after: "first-kept", until, direction: "backward" } as const;
    return await search(store, read, signal, (other) => {
      if (other.id === causationId && other.position !== event.position) cause = other;
      else if (isRelated(other)) related.unshift(other);
      return related.length < MAX_LINKS && (cause === undefined || correlationId !== undefined);
    });
  };
  const on = async (): Promise<string | null> =>
    await search(store, { after: query.place("after") ?? event.position }, signal, (other) => {
      if (other.metadata?.causationId === event.id) effects.push(other);
      else if (isRelated(other)) related.push(other);
      return effects.length < MAX_LINKS && related.length < 2 * MAX_LINKS;
    });
  const before = await back();
  const after = await on();
  return jsonResponse(
    {
      ...{
        cause: cause ? eventRow(cause) : null,
        effects: effects.map(eventRow),
        related: related.map(eventRow),
      },
      ...{ before: cause ? null : before, after },
    } satisfies EventLinks,
  );
}

/** Looks at some events; returns where to go on, or `null` at the end of the log. */
async function search(
  store: EventStore,
  read: ReadAllOptions,
  signal: AbortSignal,
  take: (event: StoredEvent) => boolean,
): Promise<string | null> {
  const end = performance.now() + SEARCH_TIME;
  let left = MAX_SEARCHED;
  let place: LogStart | null = null;
  for await (const event of store.readAll({ ...read, limit: MAX_SEARCHED, signal, onDamage: () => {} })) {
    place = event.position;
    if (!take(event) || performance.now() > end || --left === 0) return place;
  }
  return null;
}

/** How many events are looked at at most, and by default. */
const MAX_ACTIVITY = 10_000;
const USUAL_ACTIVITY = 1_000;
const ACTIVITY_TIME = 3_000;
const RATE_PARTS = 60;
const MAX_TYPES = 20;

/** GET `api/log/activity`. */
export async function showActivity({ parts: { store }, query, signal }: Call): Promise<Response> {
  const limit = query.limitUpTo(MAX_ACTIVITY, USUAL_ACTIVITY);
  const end = performance.now() + ACTIVITY_TIME;
  const times: number[] = [];
  const counts = new TypeCounts();
  const latest = { after: "first-kept", direction: "backward", limit, signal, onDamage: () => {} } as const;
  const late = AbortSignal.timeout(ACTIVITY_TIME);
  try {
    const read = { ...query.filter, ...latest, signal: AbortSignal.any([signal, late]) };
    for await (const { timestamp, eventType } of readLog(store, read)) {
      times.push(Date.parse(timestamp));
      counts.add(eventType);
      if (performance.now() > end) break;
    }
  } catch (error) {
    if (signal.aborted || !late.aborted) throw error;
  }
  const { types, otherTypes } = counts.most(MAX_TYPES);
  return jsonResponse({ events: times.length, ...rateOf(times), types, otherTypes } satisfies Activity);
}

function rateOf(times: readonly number[]): Pick<Activity, "since" | "until" | "rate"> {
  if (times.length === 0) return { since: null, until: null, rate: [] };
  // Events have the times that their programs gave them, in any order.
  let [since, until] = [Infinity, -Infinity];
  for (const time of times) [since, until] = [Math.min(since, time), Math.max(until, time)];
  const rate = new Array<number>(RATE_PARTS).fill(0);
  const width = Math.max(1, (until - since) / RATE_PARTS);
  for (const time of times) rate[Math.min(RATE_PARTS - 1, Math.floor((time - since) / width))]!++;
  return { since: new Date(since).toISOString(), until: new Date(until).toISOString(), rate };
}

/** Counts events by type, of a bounded number of types. */
export class TypeCounts {
  static readonly #MOST = 1_000;
  readonly #counts = new Map<string, number>();
  #total = 0;

  /** How many events were counted. */
  get total(): number {
    return this.#total;
  }

  /** Counts an event. */
  add(eventType: string): void {
    this.#total++;
    const count = this.#counts.get(eventType);
    if (count !== undefined || this.#counts.size < TypeCounts.#MOST) {
      this.#counts.set(eventType, (count ?? 0) + 1);
    }
  }

  /** The most frequent types, and how many events are of others. */
  most(limit: number): { readonly types: TypeCount[]; readonly otherTypes: number } {
    const types = [...this.#counts].map(([eventType, count]) => ({ eventType, count }))
      .sort((a, b) => b.count - a.count || (a.eventType < b.eventType ? -1 : 1)).slice(0, limit);
    return { types, otherTypes: types.reduce((left, { count }) => left - count, this.#total) };
  }

  /** Begins again. */
  clear(): void {
    this.#counts.clear();
    this.#total = 0;
  }
}
