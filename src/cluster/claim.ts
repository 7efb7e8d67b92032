/**
 * Acquiring a lease; `lease.ts` explains why it is safe.
 *
 * @module
 */
import { abortable } from "../abortable.ts";
import type { BackendError } from "../errors.ts";
import { type Bucket, BucketView, type Entry } from "./bucket.ts";
import type { Cleanups } from "./cleanups.ts";
import { type Clock, CLOCK_RATE_ALLOWANCE, now, RetryDelay, Wakeup } from "./clock.ts";
import { isUnanswered, RevisionConflictError } from "./errors.ts";
import { HeldLease } from "./held_lease.ts";
import {
  Attempts,
  encodeLease,
  type LeaseTerms,
  readLease,
  type StoredAttempt,
  UnreadableLeases,
} from "./lease_record.ts";

/** Tries to acquire one lease. It remembers its writes that got no answer, and recognises them when it reads them. */
export class Claim {
  readonly #bucket: Bucket;
  readonly #clock: Clock;
  readonly #terms: LeaseTerms;
  readonly #attempts = new Attempts();
  readonly #unreadable = new UnreadableLeases();
  /** The latest try: it may go on after its caller has stopped waiting. */
  #latest: Promise<HeldLease | undefined> = Promise.resolve(undefined);
  /** Whether a record may have been stored. */
  #hasWritten = false;

  constructor(bucket: Bucket, clock: Clock, terms: LeaseTerms) {
    this.#bucket = bucket;
    this.#clock = clock;
    this.#terms = terms;
  }

  /**
   * How long until the bucket is old enough to grant the lease, in ms; 0 if it is. What an earlier bucket of the same
   * name granted is over once this one is a whole time to live old: its last renewal was stored before this one was made.
   * The first bucket of a name waits as long as a renewal takes: should even the record of an earlier one be lost, then
   * each holder that can reach the servers has noticed by then that its bucket is gone.
   */
  get untilOldEnough(): number {
    const { origin } = this.#bucket;
    if (origin === undefined || this.#terms.outlivesBucket === false) return 0;
    const { ttl, renewEvery } = this.#terms;
    // A bucket that is not known yet is as if it were made now.
    const age = Math.max(0, this.#clock.monotonic() - origin.madeBefore);
    return Math.max(0, (origin.isFirst ? renewEvery : ttl) * (1 + CLOCK_RATE_ALLOWANCE) - age);
  }

  /**
   * Takes the lease if it is free and the bucket is old enough. `known` is the entry of its key, if the caller has it: it saves
   * the read before a write. What writes nothing always reads: so it learns which bucket there is, and that there is none.
   *
   * @param signal Ends the waiting: it rejects with the signal's reason, and {@linkcode withdraw} undoes what goes on.
   * @throws {BackendError} If it could not be settled; trying again may settle it, and what was stored without
   * our knowledge expires by itself.
   */
  try(known?: Entry, signal?: AbortSignal): Promise<HeldLease | undefined> {
    this.#latest = this.#try(known, signal);
    return abortable(this.#latest, signal);
  }

  async #try(known: Entry | undefined, signal: AbortSignal | undefined): Promise<HeldLease | undefined> {
    const { key, id, holder, ttl } = this.#terms;
    let entry = known && this.untilOldEnough === 0 ? known : await this.#bucket.get(key);
    for (;;) {
      const origin = this.#bucket.origin?.id;
      if (entry?.value !== undefined) {
        const record = readLease(entry);
        if (record === undefined) {
          if (!this.#unreadable.isOver(entry, this.#clock.monotonic(), ttl)) return undefined;
        } else {
          if (record.id !== id) return undefined;
          const sent = this.#attempts.sentAt(record.attempt);
          const lease = sent &&
            this.#hold({ origin, revision: entry.revision, attempt: record.attempt, sent });
          if (lease?.isHeld) return lease;
        }
        // A record of this claim that is too old to be used and that was returned to no caller, or one that cannot be read.
        await this.#withoutConflict(this.#bucket.remove(key, entry.revision));
      } else {
        // Checked and sent without an await in between, so that both are about the same bucket.
        if (this.untilOldEnough > 0) return undefined;
        signal?.throwIfAborted();
        this.#hasWritten = true;
        const sent = now(this.#clock);
        const attempt = this.#attempts.start(sent);
        const expected = entry?.revision ?? 0;
        const revision = await this.#withoutConflict(
          this.#bucket.put(key, encodeLease({ id, attempt, holder }), { expected, ttl }),
        );
        const lease = revision === undefined ? undefined : this.#hold({ origin, revision, attempt, sent });
        if (lease?.isHeld) return lease;
      }
      entry = await this.#bucket.get(key);
    }
  }

  /**
   * Gives the claim up: releases what the latest try still acquires, and removes what was stored although no answer came.
   * Never rejects: what cannot be removed expires.
   */
  async withdraw(): Promise<void> {
    if (!this.#hasWritten) return;
    const { key, id } = this.#terms;
    try {
      const lease = await this.#latest.catch(() => {});
      if (lease) return await lease.release();
      if (this.#attempts.isSettled) return;
      const entry = await this.#bucket.get(key);
      if (entry && readLease(entry)?.id === id) await this.#bucket.remove(key, entry.revision);
    } catch {
      // The bucket does not answer, or another process has replaced the record.
    }
  }

  #hold(stored: StoredAttempt): HeldLease {
    return new HeldLease(this.#bucket, this.#clock, this.#terms, this.#attempts, stored);
  }

  async #withoutConflict(write: Promise<number>): Promise<number | undefined> {
    try {
      return await write;
    } catch (error) {
      if (error instanceof RevisionConflictError) return undefined;
      throw error;
    }
  }
}

/**
 * Takes a lease if it is free.
 *
 * @param cleanups Gets what goes on after an abort or a failure.
 */
export async function tryForLease(
  bucket: Bucket,
  clock: Clock,
  terms: LeaseTerms,
  signal: AbortSignal,
  cleanups: Cleanups,
): Promise<HeldLease | undefined> {
  const claim = new Claim(bucket, clock, terms);
  try {
    return await claim.try(undefined, signal);
  } catch (error) {
    cleanups.add(claim.withdraw());
    throw error;
  }
}

/**
 * Waits until a lease is free and takes it, or the signal aborts.
 *
 * @param cleanups Gets what goes on after an abort.
 */
export async function waitForLease(
  bucket: Bucket,
  clock: Clock,
  terms: LeaseTerms,
  signal: AbortSignal,
  cleanups: Cleanups,
): Promise<HeldLease> {
  const claim = new Claim(bucket, clock, terms);
  const view = new BucketView();
  const wakeup = new Wakeup(clock);
  const retry = new RetryDelay();
  const wake = (): void => wakeup.notify();
  signal.addEventListener("abort", wake);
  const watch = bucket.watch([terms.key], (update) => {
    view.apply(update);
    const isEnded = update.type === "unavailable" && !isUnanswered(update.error);
    if (isEnded || view.get(terms.key)?.value === undefined) wakeup.notify();
  });
  try {
    for (;;) {
      signal.throwIfAborted();
      const free = view.get(terms.key);
      const lease = await claim.try(free?.value === undefined ? free : undefined, signal)
        .catch(onlyUnreachable);
      signal.throwIfAborted();
      if (lease instanceof HeldLease) return lease;
      if (lease === undefined) retry.reset();
      await wakeup.sleep(lease === undefined ? claim.untilOldEnough || terms.ttl / 2 : retry.next());
    }
  } catch (error) {
    cleanups.add(claim.withdraw());
    throw error;
  } finally {
    watch.close();
    signal.removeEventListener("abort", wake);
  }
}

function onlyUnreachable(error: unknown): BackendError {
  if (isUnanswered(error)) return error;
  throw error;
}
