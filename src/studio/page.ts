/**
 * Pages of events, bounded by rows, bytes and time.
 *
 * @module
 */

import { readLog } from "../store/actor_log.ts";
import { EventSchemaError, SchemaVersionError } from "../event/errors.ts";
import { compileFilter } from "../event/filter.ts";
import type { EventFilter, StoredEvent } from "../event/types.ts";
import type { HistoryFault } from "../store/errors.ts";
import type { EventStore, LogStart, ReadAllOptions } from "../store/types.ts";
import type { DamageRow } from "./api/mod.ts";
import { damageRow, eventRow, jsonOf } from "./json.ts";

/** A page ends when its events have so many characters of JSON. */
const MAX_CHARACTERS = 2 * 1024 * 1024;
/** How many damaged places a page names. */
const MAX_DAMAGE = 100;
/** How long a read with a filter may take, and then one that looks at the events itself, in milliseconds. */
const FILTER_TIME = 2_000;
const SCAN_TIME = 3_000;
/** How many events such a read looks at before it looks at the clock. */
const SCAN_STEP = 1_000;

/** The rows of a page, as JSON. */
export class Rows {
  readonly #json: string[] = [];
  readonly #damage: DamageRow[] = [];
  readonly #limit: number;
  #characters = 0;
  /** The first event of the page. */
  first: StoredEvent | undefined;
  /** The last event of the page. */
  last: StoredEvent | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether there is no room for another event. */
  get isFull(): boolean {
    return this.#json.length >= this.#limit || this.#characters >= MAX_CHARACTERS ||
      this.#damage.length >= MAX_DAMAGE;
  }

  /** How many rows there are. */
  get size(): number {
    return this.#json.length;
  }

  /** Adds an event. */
  add(event: StoredEvent): void {
    this.first ??= event;
    this.last = event;
    const json = jsonOf(eventRow(event));
    this.#characters += json.length;
    this.#json.push(json);
  }

  /** Notes a place that cannot be read. */
  readonly addDamage = (fault: HistoryFault | EventSchemaError | SchemaVersionError): void => {
    if (this.#damage.length < MAX_DAMAGE) this.#damage.push(damageRow(fault));
  };

  /** The fields `events` and `damage`, without braces; a page that was read backward is turned round. */
  json(reverse: boolean): string {
    const events = reverse ? this.#json.toReversed() : this.#json;
    return `"events":[${events.join(",")}],"damage":${jsonOf(this.#damage)}`;
  }
}

/** Which page of the log is read: what is behind a place, or in front of one. */
export interface LogPlace {
  /** Behind it; in order of the log. */
  readonly after?: LogStart | undefined;
  /** In front of it, the latest first; without both, the latest of all. */
  readonly before?: string | undefined;
}

/** What was read of the log. */
export interface LogRead {
  /** The events. */
  readonly rows: Rows;
  /** How far it was read: the page goes on behind (or in front of) it. `undefined` if the end (or the beginning) was reached. */
  readonly reached: string | undefined;
}

/**
 * Reads a page of the log. If few events are as the filter wants them, the read ends after some seconds, with what it has found.
 */
export async function readLogPage(
  store: EventStore,
  filter: EventFilter,
  place: LogPlace,
  limit: number,
  signal: AbortSignal,
): Promise<LogRead> {
  const rows = new Rows(limit);
  const reader = new PageReader(store, place, rows, limit);
  const isFiltered = Object.keys(filter).length > 0;
  if (!isFiltered) return { rows, reached: await reader.read({}, signal) };
  const late = AbortSignal.timeout(FILTER_TIME);
  try {
    return { rows, reached: await reader.read(filter, AbortSignal.any([signal, late])) };
  } catch (error) {
    if (signal.aborted || !late.aborted) throw error;
  }
  // The store has to look at every event: so that the page has a place to go on from, it is looked at here.
  return { rows, reached: rows.isFull ? reader.place : await reader.scan(filter, signal) };
}

/** Reads on from the last place, over events that cannot be handed out. */
class PageReader {
  readonly #store: EventStore;
  readonly #isBackward: boolean;
  readonly #rows: Rows;
  readonly #limit: number;
  #isCut = false;
  /** The last place that was read. */
  place: LogStart | undefined;

  constructor(store: EventStore, { after, before }: LogPlace, rows: Rows, limit: number) {
    this.#store = store;
    this.#isBackward = after === undefined;
    this.place = after ?? before;
    this.#rows = rows;
    this.#limit = limit;
  }

  /** Reads until the page is full; returns the last place, or `undefined` if there is no more. */
  async read(filter: EventFilter, signal: AbortSignal): Promise<string | undefined> {
    // One more than the page takes shows that there are more; another one may be the place itself.
    for await (const event of this.#events(filter, signal, this.#limit + 2)) {
      if (this.#rows.isFull) return this.place;
      this.place = event.position;
      this.#rows.add(event);
    }
    return this.#isCut ? this.place : undefined;
  }

  /** Reads every event, and adds those that are chosen. */
  async scan(filter: EventFilter, signal: AbortSignal): Promise<string | undefined> {
    const chooses = compileFilter(filter) ?? ((): boolean => true);
    const end = performance.now() + SCAN_TIME;
    let seen = 0;
    const { actorId } = filter;
    const read = actorId === undefined ? {} : { actorId };
    for await (const event of this.#events(read, signal, undefined)) {
      if (this.#rows.isFull) return this.place;
      this.place = event.position;
      if (chooses(event)) this.#rows.add(event);
      if (++seen % SCAN_STEP === 0 && performance.now() > end) return this.place;
    }
    return this.#isCut ? this.place : undefined;
  }

  async *#events(
    filter: EventFilter,
    signal: AbortSignal,
    limit: number | undefined,
  ): AsyncIterable<StoredEvent> {
    for (;;) {
      const { place: from } = this;
      try {
        for await (const event of readLog(this.#store, this.#options(filter, signal, limit))) {
          if (event.position !== from) yield event;
        }
        return;
      } catch (error) {
        if (!(error instanceof EventSchemaError || error instanceof SchemaVersionError)) throw error;
        this.#rows.addDamage(error);
        if (this.#isBackward) return; // what is in front of it cannot be asked for
        this.place = error.position;
        this.#isCut = this.#rows.isFull;
        if (this.#isCut) return;
      }
    }
  }

  #options(filter: EventFilter, signal: AbortSignal, limit: number | undefined): ReadAllOptions {
    const { place } = this;
    const common = {
      ...filter,
      ...{ signal, onDamage: this.#rows.addDamage },
      ...(limit !== undefined && { limit }),
    };
    if (!this.#isBackward) return { ...common, after: place! };
    const end = place === undefined ? {} : { until: place };
    return { ...common, ...end, after: "first-kept", direction: "backward" };
  }
}
