/**
 * The one primitive of coordination: a key that at most one holder has at any moment, for a limited time.
 *
 * **The argument.** A record with a time to live is taken by compare-and-set over nothing, or over the tombstone of the
 * record before it; nobody ever writes over another holder's living record. The server counts the time to live from when it
 * stores a record, which is after the holder sent it. The holder counts from when it **sent** it, takes off what clocks may
 * differ, and believes in its lease until then at most. So its belief ends before the server lets the record go, whatever
 * was lost, delayed, repeated or reordered on the way, and whatever a stale read said: a read never prolongs a lease
 * beyond the sending time of a write of the holder's own that the read shows to have been stored.
 *
 * @module
 */
import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, checkSignal, type OptionNames, readOptions } from "../options.ts";
import type { Bucket } from "./bucket.ts";
import { type Clock, systemClock } from "./clock.ts";
import { CoordinationClosedError } from "./errors.ts";
import { Claim, waitForLease } from "./claim.ts";
import type { HeldLease } from "./held_lease.ts";
import type { LeaseTerms } from "./lease_record.ts";
import { checkName, escapeName } from "./names.ts";

/** The shortest time to live, in ms: JetStream expires in whole seconds, and clocks may differ by a good part of one. */
export const MIN_LEASE_TTL = 2000;
/** The longest time to live, in ms: one day. */
export const MAX_LEASE_TTL = 86_400_000;
const DEFAULT_TTL = 15_000;
const DEFAULT_SKEW = 1000;
const RENEWALS_PER_TTL = 5;

/**
 * Whether a lease is held: `held`; `unreachable` (still held, but the last renewal got no answer); `expired`,
 * `taken` and `released` are final.
 */
export type LeaseStatus = "held" | "unreachable" | "expired" | "taken" | "released";

/** A lease that was acquired. It renews itself until it is released or lost; disposal releases it. */
export interface Lease extends AsyncDisposable {
  /** The key. */
  readonly key: string;
  /**
   * Rises with every acquisition of any lease of the same store, also after the store was deleted and made again. Hand it
   * to whatever the lease guards, and have that refuse lower ones.
   */
  readonly fencingToken: number;
  /**
   * Whether the lease is held at this very instant: the clocks are asked, so that it is false right after a suspension
   * even before any timer has run. Ask immediately before each action. Once false it stays false.
   */
  readonly isHeld: boolean;
  /** Tells "the store cannot be reached", while the lease is still held, from "the lease is lost". */
  readonly status: LeaseStatus;
  /** Aborts, with a `LeaseLostError`, when the lease is lost or released. */
  readonly signal: AbortSignal;
  /** Gives the lease back, so that another can have it at once. Never rejects: what cannot be told expires. */
  release(): Promise<void>;
}

/** How a lease is acquired. */
export interface LeaseOptions {
  /**
   * How long the lease outlives its holder's last sign of life, in ms: 2,000 to 86,400,000. On NATS, below 15,000 the
   * election of a new JetStream leader (up to 9 s) may cost the lease.
   *
   * @default {15000}
   */
  readonly ttl?: number;
  /**
   * By how much the clocks of the servers may differ, in ms; at most half of `ttl`. The holder gives up this much
   * earlier.
   *
   * @default {1000}
   */
  readonly maxClockSkew?: number;
  /** How often the lease is renewed, in ms; at most a third of `ttl`. @default {a fifth of `ttl`} */
  readonly renewEvery?: number;
  /** Who wants the lease: kept in its record, for people who look at it. @default {""} */
  readonly holder?: string;
  /** Ends the waiting with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Where leases are kept. */
export interface LeaseStore extends AsyncDisposable {
  /**
   * Waits until the lease can be had; while the store cannot be reached it goes on trying.
   *
   * @throws {InvalidArgumentError} If the key or an option is out of range.
   *
   * @example Work while the lease is held
   * ```ts
   * import { InMemoryLeases } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using leases = new InMemoryLeases();
   * await using lease = await leases.acquire("nightly-report", { ttl: 15_000, holder: "node-1" });
   * lease.signal.addEventListener("abort", () => console.warn("another node has it now"));
   * assert(lease.isHeld); // asked right before each action
   * console.log(lease.fencingToken); // for `append(..., { fencingToken })`
   * ```
   */
  acquire(key: string, options?: LeaseOptions): Promise<Lease>;
  /**
   * Takes the lease if it is free at this moment, and answers `undefined` if another has it.
   *
   * @throws {InvalidArgumentError} If the key or an option is out of range.
   * @throws {BucketUnreachableError} If the store gave no answer.
   *
   * @example Leave it to whoever has it
   * ```ts
   * import { InMemoryLeases } from "@flowmade-one/aether";
   * import assert from "node:assert/strict";
   *
   * await using leases = new InMemoryLeases();
   * await using first = await leases.tryAcquire("nightly-report");
   * await using second = await leases.tryAcquire("nightly-report");
   * assert.deepEqual([first?.isHeld, second], [true, undefined]);
   * ```
   */
  tryAcquire(key: string, options?: LeaseOptions): Promise<Lease | undefined>;
  /** Releases all leases that were acquired here. Closing twice is allowed. */
  close(): Promise<void>;
}

/** What the store needs from outside besides its bucket. */
export interface LeaseEnvironment {
  /** Time. @default {the process's clocks} */
  readonly clock?: Clock;
  /** Makes ids that are never repeated. @default {crypto.randomUUID} */
  readonly newId?: () => string;
}

/**
 * Leases in any {@linkcode Bucket}.
 *
 * @example Leases beside a cluster, in its bucket
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

  /**
   * Keeps leases in a bucket, which others may use too.
   *
   * @param settings `outlivesBucket: false` grants leases in a bucket that was just made at once. Only where something
   * else decides between two holders, as the compare-and-set of a checkpoint does. By default the bucket must be a whole
   * time to live old: it may have replaced a lost one.
   */
  constructor(bucket: Bucket, environment: LeaseEnvironment = {}, { outlivesBucket = true } = {}) {
    this.#outlivesBucket = outlivesBucket;
    this.#bucket = bucket;
    this.#clock = environment.clock ?? systemClock;
    this.#newId = environment.newId ?? (() => crypto.randomUUID());
  }

  /** Waits until the lease can be had. */
  async acquire(key: string, options?: LeaseOptions): Promise<Lease> {
    const { signal, ...asked } = readOptions(options, checkLease);
    const terms = this.#terms(key, asked);
    const signals = [this.#closed.signal, ...(signal ? [signal] : [])];
    return this.#keep(await waitForLease(this.#bucket, this.#clock, terms, AbortSignal.any(signals)));
  }

  /** Takes the lease if it is free at this moment. */
  async tryAcquire(key: string, options?: LeaseOptions): Promise<Lease | undefined> {
    const { signal, ...terms } = readOptions(options, checkLease);
    signal?.throwIfAborted();
    const lease = await new Claim(this.#bucket, this.#clock, this.#terms(key, terms)).try();
    return lease === undefined ? undefined : this.#keep(lease);
  }

  async #keep(lease: HeldLease): Promise<Lease> {
    if (this.#closed.signal.aborted) {
      await lease.release();
      throw this.#closed.signal.reason;
    }
    this.#leases.add(lease);
    lease.signal.addEventListener("abort", () => this.#leases.delete(lease), { once: true });
    return lease;
  }

  #terms(key: string, options: LeaseOptions): LeaseTerms {
    this.#closed.signal.throwIfAborted();
    checkName("key", key);
    return {
      ...checkTerms(options),
      key: `lease.${escapeName(key)}`,
      name: key,
      id: this.#newId(),
      holder: options.holder ?? "",
      outlivesBucket: this.#outlivesBucket,
    };
  }

  /** Releases all leases that were acquired here. */
  async close(): Promise<void> {
    if (!this.#closed.signal.aborted) this.#closed.abort(new CoordinationClosedError("The lease store"));
    await Promise.all([...this.#leases].map((lease) => lease.release()));
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
  if (holder !== undefined && typeof holder !== "string") {
    throw new InvalidArgumentError("options.holder", "must be a string");
  }
  checkSignal(signal);
  return options;
}

/** Checks the times of a lease and fills in the defaults. */
export function checkTerms(
  options: Pick<LeaseOptions, "ttl" | "maxClockSkew" | "renewEvery">,
): Pick<LeaseTerms, "ttl" | "maxClockSkew" | "renewEvery"> {
  const { ttl = DEFAULT_TTL, maxClockSkew = DEFAULT_SKEW } = options;
  checkRange("options.ttl", ttl, MIN_LEASE_TTL, MAX_LEASE_TTL);
  const { renewEvery = ttl / RENEWALS_PER_TTL } = options;
  checkRange("options.maxClockSkew", maxClockSkew, 0, ttl / 2);
  checkRange("options.renewEvery", renewEvery, 10, ttl / 3);
  return { ttl, maxClockSkew, renewEvery };
}

function checkRange(argument: string, value: unknown, min: number, max: number): void {
  if (typeof value === "number" && value >= min && value <= max) return;
  throw new InvalidArgumentError(argument, `must be a number of milliseconds from ${min} to ${max}`);
}
