/**
 * Work on one segment, from taking its lease to losing it or giving it back.
 *
 * @module
 */

import { LeaseLostError } from "../cluster/errors.ts";
import type { Lease } from "../cluster/lease.ts";
import { EventSchemaError } from "../event/errors.ts";
import type { StoredEvent } from "../event/types.ts";
import { partOf } from "../event/upcast.ts";
import { sleep } from "../sleep.ts";
import type { EventStore } from "../store/types.ts";
import type { Warn } from "../warning.ts";
import type { Guard } from "./attempt.ts";
import type { CompiledProjection } from "./compile.ts";
import type { Fed, Feed } from "./feed.ts";
import type { Ahead, Segment } from "./layout.ts";
import { handleAll } from "./log.ts";
import { keyIn } from "./progress.ts";
import { isAhead } from "./segment.ts";
import { Worker } from "./worker.ts";

/** What the work on all segments of a process shares. */
export interface SegmentHost<Tx> {
  /** Names the process. */
  readonly id: string;
  readonly store: EventStore;
  readonly feed: Feed<Tx>;
  readonly warn: Warn;
  /** Ends everything with its reason, at once. */
  readonly aborted: AbortSignal | undefined;
  /** Called whenever a commit has moved a checkpoint. */
  onCommit(): void;
}

/** Work on one segment. */
export class SegmentWork<Tx> implements Fed {
  readonly segment: Segment;
  isBehind = false;
  isJoined = false;
  readonly #host: SegmentHost<Tx>;
  readonly #projection: CompiledProjection<Tx>;
  readonly #lease: Lease;
  readonly #stopping = new AbortController();
  readonly #queue: (StoredEvent | EventSchemaError)[] = [];
  #place: string | undefined;
  #ahead: readonly Ahead[] | undefined;
  #isClosing = false;
  #wake = Promise.withResolvers<void>();

  /** Has the lease. */
  constructor(host: SegmentHost<Tx>, projection: CompiledProjection<Tx>, lease: Lease) {
    this.#host = host;
    this.#projection = projection;
    this.segment = projection.segment!;
    this.#lease = lease;
  }

  get index(): number {
    return this.segment.index;
  }

  get count(): number {
    return this.segment.count;
  }

  get place(): string | undefined {
    return this.#place;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Finishes what is in hand and gives the segment to another process. */
  stop(): void {
    this.#stopping.abort();
  }

  /** The same, and closes its record: the segments after a change are made of it. */
  close(): void {
    this.#isClosing = true;
    this.stop();
  }

  take(event: StoredEvent | EventSchemaError): void {
    this.#queue.push(event);
    // Of one stored event that is handed out as several the position comes again.
    if (!(event instanceof EventSchemaError) && (partOf(event)?.isLast ?? true)) this.#place = event.position;
    this.#wake.resolve();
  }

  passBy(position: string): void {
    if (position > (this.#place ?? "")) this.#place = position;
  }

  /**
   * Works until it is stopped.
   *
   * @param prepare Makes sure that the record exists.
   * @throws What has ended the work.
   */
  async run(prepare: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { aborted, store } = this.#host;
    const lease = this.#lease;
    const signal = AbortSignal.any([lease.signal, ...(aborted ? [aborted] : [])]);
    const ending = AbortSignal.any([signal, this.#stopping.signal]);
    const guard = this.#guard(signal, ending);
    let worker: Worker<Tx> | undefined;
    try {
      await prepare(ending);
      worker = await Worker.load(store, this.#projection, guard);
      await worker.claim(this.#host.id, lease.fencingToken);
      await worker.finishIntent();
      worker.goLive();
      this.#ahead = worker.record.ahead;
      this.#place = worker.place;
      this.#host.feed.join(this);
      await this.#work(worker, guard, ending);
      guard.check();
      await worker.endLog();
      await worker.rest();
      if (this.#isClosing) {
        worker.amend((draft) => draft.closed = true);
        await worker.flush();
      }
    } catch (error) {
      if (this.#stopping.signal.aborted && error === ending.reason) {
        await worker?.flush();
        await worker?.rest();
        return;
      }
      await worker?.salvage();
      if (!lease.isHeld && !aborted?.aborted) throw lease.signal.reason ?? error;
      throw error;
    } finally {
      this.#host.feed.leave(this);
      worker?.discard();
      await lease.release();
    }
  }

  async #work(worker: Worker<Tx>, guard: Guard, ending: AbortSignal): Promise<void> {
    const { checkpointInterval } = this.#projection;
    while (!ending.aborted) {
      try {
        const next = this.#next(worker);
        if (next instanceof EventSchemaError) {
          await this.#refused(worker, next);
        } else if (next) {
          await handleAll(worker, next, () => this.#buffered(), guard);
        } else {
          if (this.isBehind) this.#host.feed.join(this);
          this.#passOn(worker);
          const halted = worker.halted ? [worker.halted] : [];
          const wait = worker.patience ?? checkpointInterval;
          const isWoken = await this.#waits(wait, AbortSignal.any([ending, ...halted]));
          if (!isWoken) await worker.flush();
        }
      } catch (error) {
        await this.#refused(worker, error);
      }
    }
  }

  /** The next event that neither this segment nor one before has handled. */
  #next({ place = "" }: Worker<Tx>): StoredEvent | EventSchemaError | undefined {
    for (;;) {
      const next = this.#queue.shift();
      if (next === undefined || next instanceof EventSchemaError) return next;
      if (next.position < place || next.position === place && !partOf(next)) continue;
      if (!isAhead(this.#ahead, keyIn(this.#projection, next), next.position)) return next;
    }
  }

  #buffered(): StoredEvent | undefined {
    if (this.#ahead || this.#queue[0] instanceof EventSchemaError) return undefined;
    return this.#queue.shift() as StoredEvent | undefined;
  }

  /** An event was refused: what comes from its place on is read again. */
  async #refused(worker: Worker<Tx>, error: unknown): Promise<void> {
    await worker.refused(error);
    this.#queue.length = 0;
    this.#place = worker.place;
    this.isBehind = true;
  }

  /** Moves the checkpoint past what is not this segment's, or was handled by a segment before. */
  #passOn(worker: Worker<Tx>): void {
    const reached = this.#host.feed.reachedBy(this);
    if (reached === undefined || this.#queue.length > 0) return;
    worker.skipTo(reached);
    const { ahead, position = "" } = worker.record;
    if (
      !ahead ||
      ahead.some(({ position: to = "", done }) => to > position || done?.some((range) => range.to > position))
    ) {
      return;
    }
    worker.amend((draft) => draft.ahead = undefined);
    this.#ahead = undefined;
  }

  /** Waits for an event; returns whether one has come. */
  async #waits(milliseconds: number, signal: AbortSignal): Promise<boolean> {
    if (this.#queue.length > 0) return true;
    this.#wake = Promise.withResolvers();
    const done = new AbortController();
    try {
      return await Promise.race([
        this.#wake.promise.then(() => true),
        sleep(milliseconds, AbortSignal.any([signal, done.signal])).then(() => false, () => false),
      ]);
    } finally {
      done.abort();
    }
  }

  #guard(signal: AbortSignal, ending: AbortSignal): Guard {
    const lease = this.#lease;
    const { aborted } = this.#host;
    return {
      signal,
      isOver: () => ending.aborted,
      check: () => {
        if (!lease.isHeld) {
          throw lease.signal.reason ?? new LeaseLostError(lease.key, lease.fencingToken, "expired");
        }
        aborted?.throwIfAborted();
      },
      sleep: (milliseconds, other) => sleep(milliseconds, other ? AbortSignal.any([ending, other]) : ending),
      onCommit: () => this.#host.onCommit(),
      warn: this.#host.warn,
    };
  }
}
