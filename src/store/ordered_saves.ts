/**
 * Saving the events of another store in order, several commits at once.
 *
 * @module
 */

import type { StoredEvent } from "../event/types.ts";
import { CommitTooLargeError } from "./errors.ts";
import type { RawLog } from "./raw_log.ts";
import type { StoreLimits } from "./types.ts";

/** A save that is under way. */
export interface OrderedSave {
  /** What is saved. */
  readonly events: readonly StoredEvent[];
  /** The newest tokens of its actors, if they are carried over. */
  readonly tokens: ReadonlyMap<string, number> | undefined;
  /** Its outcome. */
  readonly stored: Promise<readonly StoredEvent[]>;
}

/**
 * Saves that are given to the target together, as many as it takes in order. Each depends on the one before: what is stored
 * is always a beginning of what was given.
 */
export class OrderedSaves {
  readonly #log: RawLog;
  readonly #signal: AbortSignal | undefined;
  readonly #settle: (save: OrderedSave) => Promise<void>;
  #waiting: Omit<OrderedSave, "stored">[] = [];
  #underWay: OrderedSave[] = [];

  /**
   * @param settle Takes the outcome of each save, in order, but for one that is too large for the target: its halves are saved.
   * A save that fails lets those behind it fail by their condition.
   */
  constructor(log: RawLog, signal: AbortSignal | undefined, settle: (save: OrderedSave) => Promise<void>) {
    this.#log = log;
    this.#signal = signal;
    this.#settle = settle;
  }

  /** What a batch may hold, with room for the condition on the one before. */
  limits(limits: StoreLimits): StoreLimits {
    if (this.#log.maxSavesInOrder === 1) return limits;
    return { ...limits, actorsPerCommit: Math.max(1, limits.actorsPerCommit - 1) };
  }

  /** Takes the next batch. It is saved once enough batches wait, and what was given before is settled. */
  async add(events: readonly StoredEvent[], tokens?: ReadonlyMap<string, number>): Promise<void> {
    this.#waiting.push({ events, tokens });
    if (this.#waiting.length >= this.#log.maxSavesInOrder) await this.#begin();
  }

  /** Saves what depends on nothing that is under way, and settles it. */
  async save(events: readonly StoredEvent[], tokens?: ReadonlyMap<string, number>): Promise<void> {
    await this.#take({ events, tokens, stored: this.#log.save(events, this.#signal, tokens) });
  }

  /** Saves what waits, and waits until all is settled. */
  async flush(): Promise<void> {
    await this.#begin();
    await this.#settleAll();
  }

  /** Waits for all that is under way after a failure, with any outcome. What was not given to the target is left out. */
  async end(): Promise<void> {
    await Promise.allSettled(this.#underWay.map(({ stored }) => stored));
    this.#underWay = [];
    this.#waiting = [];
  }

  /** Gives all that waits to the target at once, so that it can go together there. */
  async #begin(): Promise<void> {
    await this.#settleAll();
    let behind: StoredEvent | undefined;
    for (const { events, tokens } of this.#waiting) {
      const stored = this.#log.save(events, this.#signal, tokens, behind);
      stored.catch(() => {}); // it is awaited in order
      this.#underWay.push({ events, tokens, stored });
      behind = events.at(-1);
    }
    this.#waiting = [];
  }

  /** After a failure nothing behind it is settled: it stays first. */
  async #settleAll(): Promise<void> {
    for (let save = this.#underWay[0]; save; save = this.#underWay[0]) {
      await this.#take(save);
      this.#underWay.shift();
    }
  }

  async #take(save: OrderedSave): Promise<void> {
    const { events, tokens, stored } = save;
    const error = await stored.then(() => undefined, (error: unknown) => error);
    if (!(error instanceof CommitTooLargeError) || events.length === 1) return await this.#settle(save);
    const half = events.length >> 1;
    await this.save(events.slice(0, half), tokens);
    await this.save(events.slice(half), tokens);
  }
}
