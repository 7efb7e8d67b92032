/**
 * Leases in any bucket.
 *
 * @module
 */
import { ClosedError, InvalidArgumentError } from "../errors.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import type { Bucket } from "./bucket.ts";
import { tryForLease, waitForLease } from "./claim.ts";
import { Cleanups } from "./cleanups.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { HeldLease } from "./held_lease.ts";
import {
  checkTerms,
  type Lease,
  type LeaseEnvironment,
  type LeaseOptions,
  type LeaseStore,
} from "./lease.ts";
import type { LeaseTerms } from "./lease_record.ts";
import { checkName } from "./names.ts";
import { describe, escapeLevel, utf8Length } from "../text.ts";

/** The longest name of a holder, in bytes of UTF-8. */
const MAX_HOLDER_BYTES = 1024;

/**
 * A store of leases in a {@linkcode Bucket}.
 *
 * @example Leases in the bucket of a cluster
 * ```ts
 * import { BucketLeaseStore, InMemoryBucket } from "@flowmade-one/aether/cluster";
 * import assert from "node:assert/strict";
 *
 * await using leases = new BucketLeaseStore(new InMemoryBucket());
 * await using lease = await leases.acquire("nightly-report");
 * assert(lease.isHeld);
 * ```
 */
export class BucketLeaseStore implements LeaseStore {
  readonly #bucket: Bucket;
  readonly #clock: Clock;
  readonly #newId: () => string;
  readonly #outlivesBucket: boolean;
  readonly #leases = new Set<HeldLease>();
  readonly #closed = new AbortController();
  readonly #cleanups = new Cleanups();

  /**
   * Keeps leases in a bucket. Others may use the same bucket.
   *
   * @param settings `outlivesBucket: false` grants leases at once in a bucket that was just made. Only for leases where
   * two holders do no harm, because something else decides between them: a checkpoint is written by compare-and-set. By
   * default the bucket must be a whole time to live old: it may have replaced a lost one.
   */
  constructor(bucket: Bucket, environment: LeaseEnvironment = {}, { outlivesBucket = true } = {}) {
    this.#outlivesBucket = outlivesBucket;
    this.#bucket = bucket;
    this.#clock = environment.clock ?? systemClock;
    this.#newId = environment.newId ?? (() => crypto.randomUUID());
  }

  /** Waits until the lease is free, and takes it. */
  async acquire(key: string, options?: LeaseOptions): Promise<Lease> {
    const { signal, ...asked } = readOptions(options, checkLease);
    const terms = this.#terms(key, asked);
    const ending = this.#ending(signal);
    return await this.#keep(waitForLease(this.#bucket, this.#clock, terms, ending, this.#cleanups));
  }

  /** Takes the lease if it is free at this moment. */
  async tryAcquire(key: string, options?: LeaseOptions): Promise<Lease | undefined> {
    const { signal, ...asked } = readOptions(options, checkLease);
    signal?.throwIfAborted();
    const terms = this.#terms(key, asked);
    const ending = this.#ending(signal);
    return await this.#keep(tryForLease(this.#bucket, this.#clock, terms, ending, this.#cleanups));
  }

  /** Aborts with the caller's signal, and when the leases are closed. */
  #ending(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([this.#closed.signal, signal]) : this.#closed.signal;
  }

  /** Remembers the lease that is being taken, or releases it if the store is closed in the meantime. */
  #keep<L extends HeldLease | undefined>(taking: Promise<L>): Promise<L> {
    const keeping = taking.then(async (lease) => {
      if (lease === undefined) return lease;
      if (this.#closed.signal.aborted) {
        await lease.release();
        throw this.#closed.signal.reason;
      }
      this.#leases.add(lease);
      lease.signal.addEventListener("abort", () => this.#leases.delete(lease), { once: true });
      return lease;
    });
    this.#cleanups.add(keeping);
    return keeping;
  }

  #terms(key: string, options: LeaseOptions): LeaseTerms {
    this.#closed.signal.throwIfAborted();
    checkName("key", key);
    return {
      ...checkTerms(options),
      key: `lease.${escapeLevel(key)}`,
      name: key,
      id: this.#newId(),
      holder: options.holder ?? "",
      outlivesBucket: this.#outlivesBucket,
    };
  }

  /** Releases all leases that were acquired here. */
  async close(): Promise<void> {
    if (!this.#closed.signal.aborted) this.#closed.abort(new ClosedError("leases"));
    await Promise.all([...this.#leases].map((lease) => lease.release()));
    await this.#cleanups.settled();
  }

  /** The same as {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const LEASE_OPTIONS: OptionNames<LeaseOptions> = {
  ttl: true,
  maxClockSkew: true,
  renewEvery: true,
  holder: true,
  signal: true,
};

/** Returns the options of a lease as they were read. */
function checkLease({ ...options }: LeaseOptions): LeaseOptions {
  checkKnown<LeaseOptions>(options, LEASE_OPTIONS);
  const { holder, signal } = options;
  if (holder !== undefined && (typeof holder !== "string" || utf8Length(holder) > MAX_HOLDER_BYTES)) {
    const is = typeof holder === "string" ? `has ${utf8Length(holder)}` : `is ${describe(holder)}`;
    const fault = `must be a string of at most ${MAX_HOLDER_BYTES} bytes, and ${is}`;
    throw new InvalidArgumentError("options.holder", fault);
  }
  checkSignal(signal);
  return options;
}
