/**
 * One subscription that feeds all segments that a process works on.
 *
 * @module
 */

import { EventSchemaError } from "../event/errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { partOf } from "../event/upcast.ts";
import { sleep } from "../sleep.ts";
import { takeBuffered } from "../store/buffered_iteration.ts";
import type { EventStore, LogStart } from "../store/types.ts";
import type { CompiledProjection } from "./compile.ts";
import { endingOf, Probe, PROBE_INTERVAL, settles, watch } from "./follow.ts";
import { indexOf } from "./segment.ts";
import { keyIn } from "./progress.ts";

/** A segment that is fed. */
export interface Fed {
  /** Which one it is. */
  readonly index: number;
  /** Of how many. */
  readonly count: number;
  /** The last position that it was given. */
  readonly place: string | undefined;
  /** How many events wait in it. */
  readonly waiting: number;
  /** Gives it an event, or why an event of it cannot be read. */
  take(event: StoredEvent | EventSchemaError): void;
  /** Everything up to a position, that is not its own, was passed by. */
  passBy(position: string): void;
  /** Whether it reads on by itself no more: it had no room for long, and is fed again once nothing waits in it. */
  isBehind: boolean;
  /** Whether the present subscription feeds it. */
  isJoined: boolean;
}

/** Events that wait in a segment before the feed waits for it. */
const MAX_WAITING = 1_000;
/** How long the feed waits for one segment while another one has nothing to do, in milliseconds. */
const MAX_STALL = 1_000;
const STALL_LOOK = 2;
/** Segments that come within this time are fed by one new subscription, in milliseconds. */
const GATHERING = 10;

/** The subscription of a process. */
export class Feed<Tx> {
  readonly #store: EventStore;
  readonly #projection: CompiledProjection<Tx>;
  readonly #fed = new Map<number, Fed>();
  #restarting = new AbortController();
  #reached: string | undefined;
  /** Whether the end of the log was reached since the last segment came. */
  isLive = false;

  /** Feeds nothing yet. */
  constructor(store: EventStore, projection: CompiledProjection<Tx>) {
    this.#store = store;
    this.#projection = projection;
  }

  /** Feeds a segment from its place on. */
  join(segment: Fed): void {
    segment.isBehind = segment.isJoined = this.isLive = false;
    this.#fed.set(segment.index, segment);
    this.#restarting.abort();
  }

  /** Feeds a segment no more. */
  leave(segment: Fed): void {
    if (this.#fed.get(segment.index) === segment) this.#fed.delete(segment.index);
  }

  /** The position up to which a segment was given all that is its own. */
  reachedBy({ isJoined, isBehind }: Fed): string | undefined {
    return isJoined && !isBehind ? this.#reached : undefined;
  }

  /** Feeds until it is to end. */
  async run(ending: AbortSignal): Promise<void> {
    while (!ending.aborted) {
      await sleep(GATHERING, ending);
      const restarting = this.#restarting = new AbortController();
      const signal = AbortSignal.any([ending, restarting.signal]);
      const members = [...this.#fed.values()].filter(({ isBehind }) => !isBehind);
      if (members.length === 0) {
        await sleep(PROBE_INTERVAL, signal).catch(() => {});
        continue;
      }
      for (const member of members) member.isJoined = true;
      try {
        await this.#subscribe(lowest(members, this.#projection.from), signal);
      } catch (error) {
        if (!(error instanceof EventSchemaError)) throw error;
        this.#refuse(error);
      }
    }
  }

  async #subscribe(after: LogStart, signal: AbortSignal): Promise<void> {
    const { filter, checkpointInterval } = this.#projection;
    this.#reached = undefined;
    await using subscription = this.#store.subscribe({ ...filter, after });
    const events = subscription[Symbol.asyncIterator]();
    const take = takeBuffered(events);
    const probe = new Probe(this.#store);
    let leftOut: string | undefined;
    let next = watch(events.next());
    while (!signal.aborted) {
      if (!await settles(next.promise, Math.min(checkpointInterval, PROBE_INTERVAL), signal)) {
        if (signal.aborted) break;
        // What the subscription had left out by the last look, and nothing has come since, can come no more.
        if (!next.isSettled && leftOut !== undefined) this.#reached = leftOut;
        leftOut = subscription.position;
        this.isLive = true;
        probe.look();
        continue;
      }
      leftOut = undefined;
      probe.reset();
      const { done, value } = await next.promise as IteratorResult<StoredEvent, undefined>;
      if (done === true) throw await endingOf(this.#store);
      for (let event: StoredEvent | undefined = value; event && !signal.aborted; event = take()) {
        const full = this.#give(event);
        if (full) await this.#room(full, signal);
      }
      next = watch(events.next());
    }
    next.promise.catch(() => {}); // the subscription is closed
  }

  /** Gives an event to its segment. Returns the segment if it has no more room. */
  #give(event: StoredEvent): Fed | undefined {
    const { position } = event;
    const segment = this.#ownerOf(keyIn(this.#projection, event));
    if (segment?.isJoined && !segment.isBehind && position > (segment.place ?? "")) segment.take(event);
    // One that is handed out as several is passed with the last of them.
    if (partOf(event)?.isLast ?? true) this.#reached = position;
    return segment && segment.waiting >= MAX_WAITING && !segment.isBehind ? segment : undefined;
  }

  #ownerOf(key: string): Fed | undefined {
    const [{ count } = { count: 1 }] = this.#fed.values();
    return this.#fed.get(indexOf(key, count));
  }

  /** Waits until a segment has room; if another one has nothing to do, not for long. */
  async #room(segment: Fed, signal: AbortSignal): Promise<void> {
    const since = performance.now();
    while (segment.waiting >= MAX_WAITING && !signal.aborted && this.#fed.get(segment.index) === segment) {
      const isStalled = performance.now() - since > MAX_STALL;
      if (isStalled && [...this.#fed.values()].some(({ waiting }) => waiting === 0)) {
        segment.isBehind = true;
        return;
      }
      await sleep(STALL_LOOK, signal).catch(() => {});
    }
  }

  /** An event cannot be read: this is its segment's failure, and the others go on behind it. */
  #refuse(error: EventSchemaError): void {
    const owner = this.#ownerOf(error.actorId);
    for (const segment of this.#fed.values()) {
      if (segment === owner || segment.isBehind || !segment.isJoined) continue;
      segment.passBy(error.position);
    }
    if (!owner?.isJoined || owner.isBehind) return;
    owner.isBehind = true;
    owner.take(error);
  }
}

/** The place that a subscription for several segments begins at. */
function lowest(segments: readonly Fed[], from: LogStart): LogStart {
  const places = segments.map(({ place }) => place);
  if (places.some((place) => place === undefined)) return from === "end" ? "start" : from;
  return (places as string[]).reduce((low, place) => place < low ? place : low);
}
