/**
 * The log as it grows, for a page that may be slower than the log.
 *
 * @module
 */

import { readLog } from "../store/actor_log.ts";
import { EventSchemaError, SchemaVersionError } from "../event/errors.ts";
import type { EventFilter, StoredEvent } from "../event/types.ts";
import { BackendError } from "../errors.ts";
import { DamagedHistoryError, HistoryTruncatedError } from "../store/errors.ts";
import type { EventStore, LogSubscription } from "../store/types.ts";
import type { LogGap } from "./api/mod.ts";
import { type Call, streamOf } from "./call.ts";
import { pause, type StreamOutput } from "./event_stream.ts";
import { ApiFailure } from "./failure.ts";
import { damageRow, eventRow, jsonOf } from "./json.ts";
import { TypeCounts } from "./log_routes.ts";
import { answerWithin } from "./pulse.ts";
import { placeOf } from "./query.ts";

/** How often what has come is sent, and how often the rate, in milliseconds. */
const FLUSH_INTERVAL = 50;
const RATE_INTERVAL = 1_000;
/** How many events, and characters of them, wait to be sent; what comes then is left out. */
const MAX_WAITING = 1_000;
const MAX_CHARACTERS = 1024 * 1024;
/** How many events a page that comes back still gets, and how long they may be looked for, in milliseconds. */
const MAX_MISSED = 1_000;
const MISSED_TIME = 2_000;
/** How often a page is sent the place that was reached, also if no event is for it, in milliseconds. */
const PLACE_INTERVAL = 5_000;
/** Between two tries to reach the store, in milliseconds. */
const RETRY_INTERVAL = 500;
const MAX_TYPES = 20;

/** Stream `api/log/live`. */
export function followLog(call: Call): Response {
  const { request, query } = call;
  const { filter } = query;
  const lastId = request.headers.get("last-event-id");
  // A wrong place is refused by the stream: a browser does not read the answer if a stream is refused.
  return streamOf(call, (output) => {
    const from = lastId ? placeOf("last-event-id", lastId) : query.place("after");
    return new LiveLog(call, output, filter, from).run();
  });
}

/** Sends the log to one page. */
class LiveLog {
  readonly #store: EventStore;
  readonly #call: Call;
  readonly #output: StreamOutput;
  readonly #filter: EventFilter;
  readonly #counts = new TypeCounts();
  readonly #waiting: string[] = [];
  #characters = 0;
  #gap: LogGap | undefined;
  /** The position of the last event that was taken. */
  #place: string | undefined;
  #subscription: LogSubscription<StoredEvent> | undefined;

  constructor(call: Call, output: StreamOutput, filter: EventFilter, from: string | undefined) {
    this.#call = call;
    this.#store = call.parts.store;
    this.#output = output;
    this.#filter = filter;
    this.#place = from;
  }

  /** Sends until the page has gone. */
  async run(): Promise<void> {
    const isComingBack = this.#place !== undefined;
    const end = await this.#atLast(() => this.#store.getLastPosition());
    this.#place ??= end ?? "start";
    if (isComingBack && end !== undefined) await this.#atLast(() => this.#skipTooMany(end));
    this.#output.send("events", [], this.#place);
    const sending = this.#send();
    try {
      while (!this.#output.signal.aborted) await this.#follow();
    } finally {
      await this.#subscription?.close();
      this.#subscription = undefined;
      if (!this.#output.signal.aborted) this.#flush();
    }
    await sending;
  }

  /** Does something as soon as the store can be reached. */
  async #atLast<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof BackendError) || this.#output.signal.aborted) throw error;
        await this.#reconnected();
      }
    }
  }

  async #reconnected(): Promise<void> {
    const { signal } = this.#output;
    do await pause(RETRY_INTERVAL, signal); while (
      !signal.aborted && !(await this.#call.state.pulse.check()).connected
    );
  }

  /** Leaves out what has come meanwhile, if that is too much for a page. */
  async #skipTooMany(end: string): Promise<void> {
    const after = this.#place!;
    let events = 0;
    let isMore = false;
    try {
      await answerWithin(MISSED_TIME, async (signal) => {
        const read = { ...this.#filter, after, limit: MAX_MISSED + 1, signal, onDamage: () => {} };
        for await (const _ of readLog(this.#store, read)) events++;
      }, this.#output.signal);
      isMore = events > MAX_MISSED;
      if (!isMore) return;
    } catch (error) {
      if (error instanceof EventSchemaError || error instanceof SchemaVersionError) return;
      const isLate = error instanceof DOMException && error.name === "TimeoutError";
      if (!isLate) throw error;
    }
    this.#output.send("gap", { events: Math.min(events, MAX_MISSED), isMore: true, after, until: end }, end);
    this.#place = end;
  }

  /** Takes what comes, until the store cannot be reached. */
  async #follow(): Promise<void> {
    const { signal } = this.#output;
    try {
      const subscription = this.#store.subscribe({ ...this.#filter, after: this.#place!, signal });
      this.#subscription = subscription;
      for await (const event of subscription) this.#take(event);
    } catch (error) {
      if (signal.aborted) return;
      if (await this.#goesOnBehind(error)) return;
      throw error;
    }
    if (!signal.aborted) throw new ApiFailure("unavailable", "The store was closed by its owner.");
  }

  /** Whether the log can be read on all the same. */
  async #goesOnBehind(error: unknown): Promise<boolean> {
    if (error instanceof BackendError) {
      await this.#reconnected();
      return true;
    }
    if (error instanceof HistoryTruncatedError) {
      this.#output.send("damage", damageRow(error));
      this.#place = await this.#atLast(() => this.#store.getLastPosition()) ?? "start";
      return true;
    }
    const isPlace = error instanceof EventSchemaError || error instanceof SchemaVersionError ||
      error instanceof DamagedHistoryError;
    if (!isPlace || error.position === undefined || error.position === this.#place) return false;
    this.#output.send("damage", damageRow(error));
    this.#place = error.position;
    return true;
  }

  #take(event: StoredEvent): void {
    const { position } = event;
    this.#counts.add(event.eventType);
    const isFull = this.#waiting.length >= MAX_WAITING || this.#characters >= MAX_CHARACTERS;
    if (this.#gap || isFull) {
      const { events, after } = this.#gap ?? { events: 0, after: this.#place! };
      this.#gap = { events: events + 1, isMore: false, after, until: position };
    } else {
      const json = jsonOf(eventRow(event));
      this.#characters += json.length;
      this.#waiting.push(json);
    }
    this.#place = position;
  }

  /** Sends what has come now and then. */
  async #send(): Promise<void> {
    const { signal } = this.#output;
    let rated = performance.now();
    let placed = rated;
    let wasQuiet = true;
    while (!signal.aborted) {
      await pause(FLUSH_INTERVAL, signal);
      if (signal.aborted || this.#output.isFull) continue;
      const now = performance.now();
      if (this.#flush()) placed = now;
      if (now - placed >= PLACE_INTERVAL) {
        placed = now;
        this.#sendPlace();
      }
      if (now - rated < RATE_INTERVAL) continue;
      rated = now;
      const { total: events } = this.#counts;
      if (events > 0 || !wasQuiet) this.#sendRate();
      wasQuiet = events === 0;
    }
  }

  /** Sends what waits; returns whether there was anything. */
  #flush(): boolean {
    const gap = this.#gap;
    if (this.#waiting.length === 0 && !gap) return false;
    if (this.#waiting.length > 0) {
      this.#output.sendJson("events", `[${this.#waiting.join(",")}]`, gap ? gap.after : this.#place);
    }
    if (gap) this.#output.send("gap", gap, gap.until);
    this.#waiting.length = 0;
    this.#characters = 0;
    this.#gap = undefined;
    return true;
  }

  /** Sends how far the log was read, so that a page that comes back does not go through it again. */
  #sendPlace(): void {
    const position = this.#subscription?.position;
    if (position === undefined || position === this.#place) return;
    this.#place = position;
    this.#output.send("events", [], position);
  }

  #sendRate(): void {
    const { total: events } = this.#counts;
    const { types } = this.#counts.most(MAX_TYPES);
    this.#counts.clear();
    this.#output.send("rate", { at: new Date().toISOString(), events, types });
  }
}
