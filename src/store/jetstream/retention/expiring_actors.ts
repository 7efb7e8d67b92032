/**
 * Remembering actors before their last events expire. Every open store does it from time to time, in the background.
 *
 * @module
 */

import { StoreClosedError } from "../../../errors.ts";
import { DamagedHistoryError } from "../../errors.ts";
import type { JetStreamContext } from "../context.ts";
import type { EventLog } from "../read/event_log.ts";
import { fetchSkipped } from "../read/missing.ts";
import type { MessageBytes } from "../../../nats/jetstream/stored_message.ts";
import { NO_ACTOR } from "../format/layout.ts";
import type { ExpiredActor, ExpiredActors } from "./expired_actors.ts";
import { versionAfter } from "../format/commit_header.ts";
import { retentionOf } from "./retention.ts";

/**
 * How many actors were preserved.
 *
 * @category Stores
 */
export interface PreservationReport {
  /** Commits that were read. */
  readonly commits: number;
  /** Actors whose last events expire soon, and that are remembered now. */
  readonly remembered: number;
}

/** Commits older than this part of the retention are read: the oldest tenth of it. */
const OLDEST_PART = 0.9;
/** A commit of this age should have been read long before. */
const LATE_PART = 0.95;
/** How often to run: many times while a commit passes through the oldest tenth. */
const RUNS_IN_RETENTION = 50;
/** The shortest and the longest time between runs, in milliseconds; the first run of an open store comes after the shortest. */
const SHORTEST_INTERVAL = 200;
const LONGEST_INTERVAL = 60 * 60 * 1_000;
/** The shortest and the longest time between two reports of a server that has nothing to deliver, in milliseconds. */
const SHORTEST_HEARTBEAT = 100;
const LONGEST_HEARTBEAT = 1_000;
const FIRST_RUN = 10_000;
/** How many actors are remembered at once. */
const ACTORS_AT_ONCE = 64;
/** How many commits are collected before their actors are remembered. */
const COMMITS_AT_ONCE = 10_000;

/** Remembers the actors of the oldest tenth of the retention. */
export class ExpiringActors {
  readonly #context: JetStreamContext;
  readonly #expired: ExpiredActors;
  readonly #ending = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<PreservationReport> | undefined;

  /** @param expired Where actors are remembered. */
  constructor(context: JetStreamContext, expired: ExpiredActors) {
    this.#context = context;
    this.#expired = expired;
    context.log.config.onRetentionChange = () => this.#scheduleFirst();
    this.#scheduleFirst();
  }

  /** Runs now, or waits for the run in progress. */
  preserve(): Promise<PreservationReport> {
    return this.#running ??= this.#preserve().finally(() => this.#running = undefined);
  }

  /** Whether a commit expires soon that no run has read. */
  async isLate(signal?: AbortSignal): Promise<boolean> {
    const log = this.#context.log.until(signal);
    const { ts, config } = await log.info();
    if (!log.config.expires) return false;
    const first = await log.first();
    if (!first || ts === undefined) return false;
    const age = Date.parse(ts) - Date.parse(first.time);
    if (age <= retentionOf(config) * LATE_PART) return false;
    return await this.#expired.preservedTo(await log.lastSequence(), signal) < first.sequence;
  }

  /** Ends it; a run in progress stops soon. */
  async close(): Promise<void> {
    this.#ending.abort(new StoreClosedError());
    clearTimeout(this.#timer);
    await this.#running?.catch(() => {});
  }

  get #interval(): number {
    const interval = this.#context.log.config.retention / RUNS_IN_RETENTION;
    return Math.min(LONGEST_INTERVAL, Math.max(SHORTEST_INTERVAL, interval));
  }

  /** A log that keeps everything has an interval too: an operator may give it a retention. */
  #scheduleFirst(): void {
    const isForever = this.#context.log.config.retention === Infinity;
    this.#schedule(isForever ? LONGEST_INTERVAL : Math.min(FIRST_RUN, this.#interval));
  }

  #schedule(delay: number): void {
    clearTimeout(this.#timer);
    if (this.#ending.signal.aborted) return;
    this.#timer = setTimeout(async () => {
      try {
        await this.preserve();
      } catch (cause) {
        if (!this.#ending.signal.aborted && this.#context.log.config.retention < Infinity) {
          const message = "Expiring actors could not be preserved. The next run tries it again.";
          this.#context.warn({ code: "preserve-failed", message, cause });
        }
      }
      this.#schedule(this.#interval);
    }, delay);
    Deno.unrefTimer(this.#timer);
  }

  async #preserve(): Promise<PreservationReport> {
    const { signal } = this.#ending;
    const log = this.#context.log.until(signal);
    const report = { commits: 0, remembered: 0 };
    const { ts, config } = await log.info();
    const retention = retentionOf(config);
    if (retention === Infinity) return report;
    const first = await log.first();
    const last = await log.lastSequence(); // also of a message that cannot be read
    if (!first || ts === undefined) return report;
    const horizon = Date.parse(ts) - retention * OLDEST_PART;
    if (Date.parse(first.time) > horizon) return report;
    const start = Math.max(first.sequence, await this.#expired.preservedTo(last, signal) + 1);
    if (start > last) return report;
    const consumer = log.consumer({
      startSequence: start,
      reportProgress: true,
      endSequence: last,
      // At a last commit that cannot be read, the server's report is waited for, while the others expire.
      heartbeat: Math.min(LONGEST_HEARTBEAT, Math.max(SHORTEST_HEARTBEAT, this.#interval / 2)),
    });
    try {
      let actors = new Map<string, ExpiredActor>();
      let sequence = start - 1;
      let done = false;
      const take = (message: MessageBytes, time: number): void => {
        if (time > horizon) {
          done = true;
          return;
        }
        ({ sequence } = message);
        report.commits++;
        const header = this.#context.decoder.header(message);
        if (!(header instanceof DamagedHistoryError) && header.actorId !== NO_ACTOR) {
          actors.set(header.actorId, { version: versionAfter(header), fence: header.fence, sequence });
        }
        if (sequence >= last) done = true;
      };
      /** Takes what other servers have of messages that the consumer skipped. */
      const skipTo = async (end: number): Promise<void> => {
        for await (const found of fetchSkipped(log, sequence + 1, end)) {
          if ("count" in found) continue;
          log.replicas.noteDamaged(consumer.server, found.sequence);
          take(found, Date.parse(found.time));
          if (done) return;
        }
        sequence = end - 1;
      };
      while (!done && !consumer.isClosed) {
        const deliveries = await consumer.read();
        for (const delivery of deliveries) {
          if (delivery.sequence > sequence + 1) await skipTo(Math.min(delivery.sequence, last + 1));
          if (!done && sequence >= last) done = true;
          if (!done) take(delivery, delivery.time);
          if (done) break;
        }
        if (!done && deliveries.length === 0 && consumer.position >= last) {
          await skipTo(last + 1);
          done = true;
        }
        if (done || actors.size >= COMMITS_AT_ONCE) {
          report.remembered += await this.#remember(actors);
          if (sequence >= start) await this.#expired.setPreservedTo(sequence, last, signal);
          actors = new Map();
        }
      }
      return report;
    } finally {
      consumer.close();
    }
  }

  /** Remembers the actors without a later commit. */
  async #remember(actors: ReadonlyMap<string, ExpiredActor>): Promise<number> {
    const { signal } = this.#ending;
    const log = this.#context.log.until(signal);
    let remembered = 0;
    const queue = [...actors];
    const failures: unknown[] = [];
    const work = async (): Promise<void> => {
      for (let next = queue.pop(); next && failures.length === 0; next = queue.pop()) {
        signal.throwIfAborted();
        const [actorId, actor] = next;
        if (await this.#hasLater(log, actorId, actor)) continue;
        await this.#expired.remember(actorId, actor, signal);
        remembered++;
      }
    };
    // The others end before this one fails: nothing of a run continues after it, or after close().
    const workers = Array.from(
      { length: ACTORS_AT_ONCE },
      () => work().catch((error) => failures.push(error)),
    );
    await Promise.all(workers);
    if (failures.length > 0) throw failures[0];
    return remembered;
  }

  /**
   * Whether an actor has a commit after this one. One that cannot be read is damage, and what comes before it is
   * remembered; a message of another program is no commit, and leaves nothing to remember when it expires.
   */
  async #hasLater(log: EventLog, actorId: string, { sequence }: ExpiredActor): Promise<boolean> {
    try {
      const latest = await log.lastOf(log.layout.subject(actorId));
      if (!latest || latest.sequence <= sequence) return false;
      return !(this.#context.decoder.header(latest) instanceof DamagedHistoryError);
    } catch (error) {
      if (error instanceof DamagedHistoryError) return false;
      throw error;
    }
  }
}
