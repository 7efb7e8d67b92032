/**
 * Acquiring a lease; `lease.ts` explains why it is safe.
 *
 * @module
 */
import type { BackendError } from "../errors.ts";
import { type Bucket, BucketView, type Entry } from "./bucket.ts";
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
   * Takes the lease if it is free and the bucket is old enough. `known` is the entry of its key, if the caller has it: it saves the read.
   *
   * @throws {BackendError} If it could not be settled; trying again may settle it, and what was stored without
   * our knowledge expires by itself.
   */
  async try(known?: Entry): Promise<HeldLease | undefined> {
    const { key, id, holder, ttl } = this.#terms;
    let entry = known ?? await this.#bucket.get(key);
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

/** Waits until a lease is free and takes it, or the signal aborts. */
export async function waitForLease(
  bucket: Bucket,
  clock: Clock,
  terms: LeaseTerms,
  signal: AbortSignal,
): Promise<HeldLease> {
  const claim = new Claim(bucket, clock, terms);
  const view = new BucketView();
  const wakeup = new Wakeup(clock);
  const retry = new RetryDelay();
  const wake = (): void => wakeup.notify();
  signal.addEventListener("abort", wake);
  const watch = bucket.watch([terms.key], (update) => {
    view.apply(update);
    if (view.get(terms.key)?.value === undefined) wakeup.notify();
  });
  try {
    for (;;) {
      signal.throwIfAborted();
      const free = view.get(terms.key);
      const lease = await claim.try(free?.value === undefined ? free : undefined)
        .catch(onlyUnreachable);
      if (lease instanceof HeldLease) {
        if (!signal.aborted) return lease;
        await lease.release();
        continue;
      }
      if (lease === undefined) retry.reset();
      await wakeup.sleep(lease === undefined ? claim.untilOldEnough || terms.ttl / 2 : retry.next());
    }
  } finally {
    watch.close();
    signal.removeEventListener("abort", wake);
  }
}

function onlyUnreachable(error: unknown): BackendError {
  if (isUnanswered(error)) return error;
  throw error;
}
