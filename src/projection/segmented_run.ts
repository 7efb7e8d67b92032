/**
 * Running the segments of a projection in this process: as many as are its share of all that run it.
 *
 * Who runs it is in the record of the projection. Each process changes its entry there as long as it lives, and has as many segments as
 * any other, give or take one. It gives back what it has too many of, and takes free ones when it has too few; that a segment has one
 * worker is due to its lease, and that an older one writes nothing to the compare-and-set of its record.
 *
 * @module
 */

import type { LeaseStore } from "../cluster/lease.ts";
import { InvalidArgumentError } from "../errors.ts";
import { sleep } from "../sleep.ts";
import type { EventStore } from "../store/types.ts";
import { type Warn, warner } from "../warning.ts";
import { otherSegments } from "./checkpointer.ts";
import { leaseKeyOf } from "./checkpoints.ts";
import type { CompiledProjection } from "./compile.ts";
import { endOf, outcomeOf, Patience } from "./ends.ts";
import { ProjectionInUseError, STOP_THIS } from "./errors.ts";
import { Feed } from "./feed.ts";
import { changeHead, loadHead, openHead } from "./head.ts";
import { type Layout, segmentId } from "./layout.ts";
import type { ProjectionRecord } from "./record.ts";
import type { ProjectionRun, RunOptions, RunState } from "./projection_run.ts";
import { generationsOf, segmentRecord } from "./segment.ts";
import { type SegmentHost, SegmentWork } from "./segment_work.ts";
import { readWaitFor, type WaitForOptions, waitForPosition } from "./wait_for.ts";

/** How often the layout and the other processes are looked at, in milliseconds. */
const LOOK_INTERVAL = 50;
/** The same for a while after its share has changed: the process that has a segment gives it back in this time. */
const HURRIED_INTERVAL = 10;
const HURRY = 1_000;
/** How often it is looked whether the records before a change are needed no more, in milliseconds. */
const PRUNE_INTERVAL = 1_000;
/** How often a process shows that it lives, within the time to live of a lease. */
const BEATS_PER_TTL = 5;
const DEFAULT_TTL = 15_000;
/** How long the worker of a segment has to close it after a change, in milliseconds. */
const CLOSING_TIME = 5_000;

/** The run of a projection with segments. */
export class SegmentedRun<Tx> implements ProjectionRun, SegmentHost<Tx> {
  readonly finished: Promise<void>;
  readonly id = crypto.randomUUID();
  readonly store: EventStore;
  readonly feed: Feed<Tx>;
  readonly warn: Warn;
  readonly aborted: AbortSignal | undefined;
  readonly #projection: CompiledProjection<Tx>;
  readonly #options: RunOptions;
  readonly #ttl: number;
  readonly #patience: Patience;
  readonly #closing = new AbortController();
  readonly #works = new Map<number, SegmentWork<Tx>>();
  readonly #ended = new Set<Promise<void>>();
  /** When the other processes were last seen to live. */
  readonly #others = new Map<string, { readonly beat: number; readonly seenAt: number }>();
  #generation = 0;
  #beatAt = -Infinity;
  #prunedAt = -Infinity;
  #watchedAt = -Infinity;
  #waitUntil = 0;
  /** How many segments it is to have. */
  #share = 0;
  #hurriedUntil = 0;
  #failure: { readonly error: unknown } | undefined;
  #state: RunState | undefined;

  /** Begins. */
  constructor(store: EventStore, projection: CompiledProjection<Tx>, options: RunOptions) {
    this.store = store;
    this.#projection = projection;
    this.#options = options;
    this.#ttl = options.leaseTtl ?? DEFAULT_TTL;
    this.aborted = options.signal;
    this.warn = warner(options.onWarning);
    this.#patience = new Patience(projection.id);
    this.feed = new Feed(store, projection);
    this.finished = this.#work();
    this.finished.catch(() => {}); // the warning and the state report it too
  }

  get state(): RunState {
    if (this.#state) return this.#state;
    if (this.#works.size === 0) return "waiting";
    return this.feed.isLive ? "live" : "catching-up";
  }

  async waitFor(position: string, options?: WaitForOptions): Promise<void> {
    const { checkpoints, id, keyOf } = this.#projection;
    const ended = this.finished;
    await waitForPosition(this.store, checkpoints, id, position, { ...readWaitFor(options), keyOf, ended });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.finished.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  onCommit(): void {
    this.#patience.reset();
    if (this.#state === "unreachable") this.#state = undefined;
  }

  async #work(): Promise<void> {
    const { aborted } = this;
    const ending = AbortSignal.any([this.#closing.signal, ...(aborted ? [aborted] : [])]);
    try {
      await Promise.resolve(); // `finished` must exist before anything can happen
      const leases = this.#options.leases ?? await this.#projection.checkpoints.leases?.();
      if (!leases) {
        throw new InvalidArgumentError(
          "options.leases",
          "are missing: the checkpoints have none, and each segment needs one. Pass leases, such as those of the event store",
        );
      }
      const feeding = this.#feeds(ending);
      await this.#tend(leases, ending);
      await feeding;
    } catch (error) {
      this.#failure ??= { error };
    }
    this.#closing.abort();
    for (const work of this.#works.values()) work.stop();
    // The others know of it before its segments are free.
    await Promise.all([this.#leave(), ...this.#ended]);
    this.#end();
  }

  #end(): void {
    this.#state = "closed";
    if (!this.#failure && !this.aborted?.aborted) return;
    this.#state = "stopped";
    if (this.aborted?.aborted) throw this.aborted.reason;
    const outcome = outcomeOf(this.#projection.id, this.#failure!.error);
    this.#report("projection-stopped", "has stopped", outcome);
    throw outcome;
  }

  /** Looks after the segments until the end. */
  async #tend(leases: LeaseStore, ending: AbortSignal): Promise<void> {
    let isOpen = false;
    while (!ending.aborted) {
      try {
        if (!isOpen) await this.#open();
        isOpen = true;
        await this.#look(leases, ending);
      } catch (error) {
        if (ending.aborted) return;
        await sleep(this.#interrupted(error), ending).catch(() => {});
      }
      const isHurried = this.#works.size < this.#share && performance.now() < this.#hurriedUntil;
      await sleep(isHurried ? HURRIED_INTERVAL : LOOK_INTERVAL, ending).catch(() => {});
    }
  }

  async #open(): Promise<void> {
    const { layout } = await openHead(this.#projection, this.store);
    const { segments } = this.#projection;
    if (layout?.count !== segments) throw otherSegments(segments, layout?.count ?? 1);
  }

  async #feeds(ending: AbortSignal): Promise<void> {
    while (!ending.aborted) {
      try {
        await this.feed.run(ending);
      } catch (error) {
        if (ending.aborted) return;
        if (endOf(error) === "closed") {
          this.#report("projection-ended", "has ended, because its store was closed", undefined);
          return this.#closing.abort();
        }
        try {
          await sleep(this.#interrupted(error), ending).catch(() => {});
        } catch (outcome) {
          this.#fail(outcome);
        }
      }
    }
  }

  /**
   * Notes a failure that may pass; returns how long to wait.
   *
   * @throws What the run ends with, if waiting does not help.
   */
  #interrupted(error: unknown): number {
    const wait = this.#patience.waitAfter(error);
    if (endOf(error) === "superseded") return wait;
    this.#state = "unreachable";
    this.#report("projection-interrupted", "was interrupted and tries again", error);
    return wait;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#closing.abort();
  }

  #report(code: string, what: string, cause: unknown): void {
    const { name, version } = this.#projection.id;
    const message = `projection "${name}" version ${version} ${what}`;
    this.warn(cause === undefined ? { code, message } : { code, message, cause });
  }

  async #look(leases: LeaseStore, ending: AbortSignal): Promise<void> {
    const head = (await loadHead(this.#projection))?.record;
    const layout = head?.layout;
    if (!layout) throw new ProjectionInUseError(this.#projection.id, "taken-over", STOP_THIS);
    if (layout.generation !== this.#generation) {
      for (const work of this.#works.values()) work.close();
      if (this.#works.size > 0) return; // they are given back first
      this.#generation = layout.generation;
    }
    const workers = this.#living(head);
    if (performance.now() - this.#beatAt > this.#ttl / BEATS_PER_TTL) await this.#beat();
    await this.#prune(layout);
    const share = shareOf(this.id, workers, layout.count);
    if (share !== this.#share) this.#hurriedUntil = performance.now() + HURRY;
    this.#share = share;
    const extra = [...this.#works.values()].slice(share);
    for (const work of extra) work.stop();
    if (this.#works.size < share && performance.now() >= this.#waitUntil) {
      await this.#takeMore(leases, head, layout, share, ending);
    } else await this.#watch(leases, layout);
    if (this.#state === "unreachable" && this.#works.size === 0 && share === 0) this.#state = undefined;
  }

  /**
   * Looks at the leases of others: on Deno KV one is over once this process has seen it unchanged for its time to live, so that a
   * process that was killed is replaced in time.
   */
  async #watch(leases: LeaseStore, layout: Layout): Promise<void> {
    if (performance.now() - this.#watchedAt < this.#ttl / BEATS_PER_TTL) return;
    this.#watchedAt = performance.now();
    await Promise.all(
      Array.from({ length: layout.count }, async (_, index) => {
        if (this.#works.has(index)) return;
        const key = leaseKeyOf(segmentId(this.#projection.id, { ...layout, index }));
        await (await leases.tryAcquire(key, { ttl: this.#ttl }))?.release(); // free: another process takes it
      }),
    );
  }

  /** The processes that live, this one among them. */
  #living({ workers = [] }: ProjectionRecord): readonly string[] {
    const now = performance.now();
    const living = workers.filter(({ id, beat }) => {
      const known = this.#others.get(id);
      if (known?.beat !== beat) this.#others.set(id, { beat, seenAt: now });
      return id !== this.id && now - this.#others.get(id)!.seenAt <= this.#ttl;
    });
    return [this.id, ...living.map(({ id }) => id)];
  }

  /** Shows that this process lives, and forgets those that do not. */
  async #beat(): Promise<void> {
    const at = performance.now();
    await changeHead(this.#projection, (record) => {
      const living = new Set(this.#living(record));
      const beat = (record.workers?.find(({ id }) => id === this.id)?.beat ?? 0) + 1;
      const others = record.workers?.filter(({ id }) => id !== this.id && living.has(id)) ?? [];
      return { ...record, workers: [...others, { id: this.id, beat }] };
    });
    this.#beatAt = at;
  }

  async #leave(): Promise<void> {
    if (this.#generation === 0) return;
    try {
      await changeHead(this.#projection, (record) => ({
        ...record,
        workers: record.workers?.filter(({ id }) => id !== this.id),
      }));
    } catch {
      // The others notice it when its entry does not change.
    }
  }

  async #takeMore(
    leases: LeaseStore,
    head: ProjectionRecord,
    layout: Layout,
    share: number,
    ending: AbortSignal,
  ): Promise<void> {
    const { leaseTtl: ttl, holder } = this.#options;
    const free = Array.from({ length: layout.count }, (_, index) => index).filter((index) =>
      !this.#works.has(index)
    );
    const start = Math.floor(Math.random() * free.length);
    const order = [...free.slice(start), ...free.slice(0, start)];
    while (order.length > 0 && this.#works.size < share && !ending.aborted) {
      const some = order.splice(0, share - this.#works.size);
      await Promise.all(some.map(async (index) => {
        const segment = { ...layout, index };
        const key = leaseKeyOf(segmentId(this.#projection.id, segment));
        const lease = await leases.tryAcquire(key, { ...(ttl && { ttl }), ...(holder && { holder }) });
        if (!lease) return;
        if (ending.aborted) return await lease.release();
        const { generation, count } = layout;
        const projection = { ...this.#projection, segment: { generation, count, index } };
        const work = new SegmentWork(this, projection, lease);
        this.#works.set(index, work);
        this.#follow(index, work, head, layout);
      }));
    }
  }

  #follow(index: number, work: SegmentWork<Tx>, head: ProjectionRecord, layout: Layout): void {
    const { id, checkpoints } = this.#projection;
    const generations = generationsOf(layout);
    const ended = work
      .run(async (signal) => {
        await segmentRecord({ id, checkpoints, generations, patience: CLOSING_TIME, signal }, head, index);
      })
      .catch((error) => this.#workFailed(error))
      .finally(() => {
        if (this.#works.get(index) === work) this.#works.delete(index);
        this.#ended.delete(ended);
      });
    this.#ended.add(ended);
  }

  #workFailed(error: unknown): void {
    if (this.#closing.signal.aborted && endOf(error) === "superseded" || this.aborted?.aborted) return;
    if (endOf(error) === "closed") return this.#closing.abort();
    try {
      this.#waitUntil = performance.now() + this.#interrupted(error);
    } catch (outcome) {
      this.#fail(outcome);
    }
  }

  /** Deletes the records before a change, once all that are made of them exist. */
  async #prune({ before, ...now }: Layout): Promise<void> {
    if (before.length === 0 || performance.now() - this.#prunedAt < PRUNE_INTERVAL) return;
    this.#prunedAt = performance.now();
    const { id, checkpoints } = this.#projection;
    const load = (index: number): Promise<unknown> => checkpoints.load(segmentId(id, { ...now, index }));
    for (let index = 0; index < now.count; index++) if (!await load(index)) return;
    let isOurs = false;
    await changeHead(this.#projection, (record) => {
      isOurs = record.layout?.generation === now.generation;
      return isOurs ? { ...record, layout: { ...now, before: [] } } : record;
    });
    if (!isOurs) return;
    for (const { generation, count } of before) {
      for (let index = 0; index < count; index++) {
        await checkpoints.delete?.(segmentId(id, { generation, count, index }));
      }
    }
  }
}

/** How many segments a process has of all. */
function shareOf(id: string, workers: readonly string[], count: number): number {
  const rank = [...workers].sort().indexOf(id);
  return Math.floor(count / workers.length) + (rank < count % workers.length ? 1 : 0);
}
