/**
 * Holding a lease; `lease.ts` explains why it is safe.
 *
 * @module
 */
import { ClosedError } from "../errors.ts";
import type { Bucket } from "./bucket.ts";
import { type Clock, CLOCK_RATE_ALLOWANCE, type Instant, now, remaining, Wakeup } from "./clock.ts";
import { isUnanswered, type LeaseEnd, LeaseLostError, RevisionConflictError } from "./errors.ts";
import type { Lease, LeaseStatus } from "./lease.ts";
import {
  type Attempts,
  encodeLease,
  type LeaseTerms,
  readLease,
  type StoredAttempt,
} from "./lease_record.ts";

/** How soon a renewal that got no answer is tried again, in ms. */
const RETRY_MS = 250;
/** A renewal whose answer was lost must leave time for another: its answer is waited for this part of the ttl. */
const ANSWERS_PER_TTL = 5;
/** Longer than this no answer to a renewal is waited for, in ms. */
const MAX_ANSWER_MS = 2000;
/** How often a release is tried before the lease is left to expire. */
const RELEASE_ATTEMPTS = 3;

/** A lease that was acquired. */
export class HeldLease implements Lease {
  readonly #bucket: Bucket;
  readonly #clock: Clock;
  readonly #terms: LeaseTerms;
  readonly #attempts: Attempts;
  readonly #lost = new AbortController();
  readonly #wakeup: Wakeup;
  readonly #origin: string | undefined;
  #revision: number;
  #deadline: Instant;
  #end: LeaseEnd | undefined;
  #failure: unknown;
  #cancelTimer: () => void = () => {};
  #released: Promise<void> | undefined;
  readonly #renewing: Promise<void>;

  /** The fencing token. */
  readonly fencingToken: number;

  /** Starts to renew what was just stored. */
  constructor(bucket: Bucket, clock: Clock, terms: LeaseTerms, attempts: Attempts, stored: StoredAttempt) {
    this.#bucket = bucket;
    this.#clock = clock;
    this.#terms = terms;
    this.#attempts = attempts;
    this.#wakeup = new Wakeup(clock);
    this.fencingToken = stored.revision;
    this.#origin = stored.origin;
    this.#revision = stored.revision;
    this.#deadline = this.#deadlineOf(stored.sent);
    attempts.settle(stored.attempt);
    this.#watchDeadline();
    this.#renewing = this.#renewLoop();
  }

  /** The key. */
  get key(): string {
    return this.#terms.name;
  }

  /** Whether the lease is held at this very instant. */
  get isHeld(): boolean {
    if (this.#end !== undefined) return false;
    // The bucket that granted it is lost: another one may grant it again.
    if (this.#bucket.origin?.id !== this.#origin) this.#finish("taken");
    if (this.#end !== undefined) return false;
    if (remaining(this.#clock, this.#deadline) > 0) return true;
    this.#finish("expired");
    return false;
  }

  /** Whether the lease is held, and if not, why. */
  get status(): LeaseStatus {
    if (this.isHeld) return this.#failure === undefined ? "held" : "unreachable";
    return this.#end ?? "expired";
  }

  /** Aborts when the lease is over. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Until when a record lets its holder act: counted from when it was sent, less all that clocks may differ. */
  #deadlineOf(sent: Instant): Instant {
    const term = this.#terms.ttl * (1 - CLOCK_RATE_ALLOWANCE) - this.#terms.maxClockSkew;
    return { monotonic: sent.monotonic + term, wall: sent.wall + term };
  }

  #finish(end: LeaseEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#cancelTimer();
    this.#wakeup.notify();
    const isFailure = end === "expired" || end === "closed";
    const cause = isFailure && this.#failure !== undefined ? { cause: this.#failure } : {};
    this.#lost.abort(new LeaseLostError(this.key, this.fencingToken, end, cause));
  }

  #watchDeadline(): void {
    this.#cancelTimer();
    if (!this.isHeld) return;
    this.#cancelTimer = this.#clock.setTimer(
      () => this.#watchDeadline(),
      Math.ceil(remaining(this.#clock, this.#deadline)),
    );
  }

  async #renewLoop(): Promise<void> {
    for (;;) {
      await this.#wakeup.sleep(this.#failure === undefined ? this.#terms.renewEvery : RETRY_MS);
      if (!this.isHeld) return;
      await this.#renew();
    }
  }

  async #renew(): Promise<void> {
    const { key, id, holder, ttl } = this.#terms;
    const sent = now(this.#clock);
    const attempt = this.#attempts.start(sent);
    const value = encodeLease({ id, attempt, holder, token: this.fencingToken });
    try {
      const options = {
        expected: this.#revision,
        ttl,
        timeout: Math.min(ttl / ANSWERS_PER_TTL, MAX_ANSWER_MS),
      };
      const revision = await this.#bucket.put(key, value, options);
      this.#confirm({ revision, attempt, sent });
    } catch (error) {
      if (error instanceof RevisionConflictError) await this.#settle(error);
      else this.#failure = error;
      if (error instanceof ClosedError) this.#finish("closed");
    }
  }

  /** Our record was stored: the lease lasts longer, unless it was over before we learned of it. */
  #confirm({ revision, attempt, sent }: Omit<StoredAttempt, "origin">): void {
    if (!this.isHeld) return;
    this.#failure = undefined;
    this.#revision = revision;
    this.#attempts.settle(attempt);
    this.#deadline = this.#deadlineOf(sent);
    this.#watchDeadline();
  }

  /** A renewal was refused: either an earlier one was stored though its answer was lost, or the lease is gone. */
  async #settle(refusal: RevisionConflictError): Promise<void> {
    try {
      const entry = await this.#bucket.get(this.#terms.key);
      this.#failure = refusal;
      if (entry !== undefined && entry.revision < this.#revision) return; // A stale read proves nothing.
      const record = readLease(entry);
      if (entry === undefined || record?.id !== this.#terms.id) return this.#finish("taken");
      const sent = this.#attempts.sentAt(record.attempt);
      if (sent !== undefined) this.#confirm({ revision: entry.revision, attempt: record.attempt, sent });
    } catch (error) {
      this.#failure = error;
    }
  }

  /** Releases the lease. */
  release(): Promise<void> {
    return this.#released ??= this.#release();
  }

  async #release(): Promise<void> {
    this.#finish("released");
    await this.#renewing;
    if (this.#end === "taken") return;
    for (let attempt = 0; attempt < RELEASE_ATTEMPTS; attempt++) {
      try {
        if (attempt > 0) {
          const entry = await this.#bucket.get(this.#terms.key);
          if (entry === undefined || readLease(entry)?.id !== this.#terms.id) return;
          this.#revision = entry.revision;
        }
        await this.#bucket.remove(this.#terms.key, this.#revision);
        return;
      } catch (error) {
        // A record that cannot be removed expires. After an answer that was lost, it is read again.
        if (!(error instanceof RevisionConflictError || isUnanswered(error))) return;
      }
    }
  }

  /** The same as {@linkcode release}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
