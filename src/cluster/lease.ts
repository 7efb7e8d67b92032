/**
 * The one primitive of coordination: a key that at most one holder has at any moment, for a limited time.
 *
 * **The argument.** A record with a time to live is taken by compare-and-set over nothing, or over the tombstone of the
 * record before it; no process writes over another holder's living record. The server counts the time to live from when it stores a
 * record, which is after the holder sent it. The holder counts from when it **sent** it, subtracts what the clocks may
 * differ, and stops then at the latest. So the holder stops before the server removes the record, no matter which messages
 * were lost, delayed, repeated or reordered, and no matter what a stale read returned: a read extends a lease only as
 * far as a write of the holder's own does, if the read shows that this write was stored.
 *
 * A record that cannot be read, because it is damaged or was written by another program, counts as that of another
 * holder until it has stayed unchanged for the claimant's whole time to live.
 *
 * @module
 */
import { InvalidArgumentError } from "../errors.ts";
import type { Clock } from "./clock.ts";
import type { LeaseTerms } from "./lease_record.ts";
import { describe } from "../text.ts";

/** The shortest time to live, in milliseconds: JetStream expires in whole seconds, and clocks may differ by up to one. */
export const MIN_LEASE_TTL = 2_000;
/** The longest time to live, in milliseconds: one day. */
export const MAX_LEASE_TTL = 86_400_000;
const DEFAULT_TTL = 15_000;
const DEFAULT_SKEW = 1_000;
const RENEWALS_PER_TTL = 5;

/**
 * Whether a lease is held: `held`; `unreachable` (still held, but the last renewal got no answer); `expired`,
 * `taken`, `released` and `closed` are final.
 *
 * @category Cluster
 */
export type LeaseStatus = "held" | "unreachable" | "expired" | "taken" | "released" | "closed";

/**
 * A lease that was acquired. It renews itself until it is released or lost; disposal releases it.
 *
 * @category Cluster
 */
export interface Lease extends AsyncDisposable {
  /** The key. */
  readonly key: string;
  /**
   * Increases with every acquisition of any lease of the same store, also after the store was deleted and made again.
   * Pass it to what the lease protects, which has to refuse lower ones.
   */
  readonly fencingToken: number;
  /**
   * Whether the lease is held at this moment. The clocks are read, so that it is false right after the process was
   * suspended, even before a timer has run. Check it immediately before each action. Once false it stays false.
   */
  readonly isHeld: boolean;
  /** Whether the lease is held, and if not, why; `unreachable` while the store does not answer and the lease is still held. */
  readonly status: LeaseStatus;
  /** Aborts, with a `LeaseLostError`, when the lease is lost or released. */
  readonly signal: AbortSignal;
  /** Releases the lease, so that another process can take it at once. Never rejects: a record that cannot be removed expires. */
  release(): Promise<void>;
}

/**
 * How a lease is acquired.
 *
 * @category Cluster
 */
export interface LeaseOptions {
  /**
   * How long the lease lasts after its holder's last renewal, in milliseconds: 2,000 to 86,400,000. On NATS with less
   * than 15,000, the lease may be lost while JetStream elects a leader (up to 9 s).
   *
   * @default {15000}
   */
  readonly ttl?: number;
  /**
   * By how much the clocks of the servers may differ, in milliseconds; at most half of `ttl`. The holder stops this much
   * earlier.
   *
   * @default {1000}
   */
  readonly maxClockSkew?: number;
  /** How often the lease is renewed, in milliseconds; at most a third of `ttl`. @default {a fifth of `ttl`} */
  readonly renewEvery?: number;
  /** The name of the holder, up to 1,024 bytes: stored in the record, for people who read it. @default {""} */
  readonly holder?: string;
  /** Stops waiting, and rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * A store of leases.
 *
 * @category Cluster
 */
export interface LeaseStore extends AsyncDisposable {
  /**
   * Waits until the lease is free, and takes it. While the store cannot be reached, it keeps trying.
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
   * assert(lease.isHeld); // checked right before each action
   * console.log(lease.fencingToken); // for `append(..., { fencingToken })`
   * ```
   */
  acquire(key: string, options?: LeaseOptions): Promise<Lease>;
  /**
   * Takes the lease if it is free at this moment. Returns `undefined` if another process has it.
   *
   * @throws {InvalidArgumentError} If the key or an option is out of range.
   * @throws {BackendError} If the store gave no answer.
   *
   * @example Only one process gets it
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

/** The clock and the source of ids of a store of leases. */
export interface LeaseEnvironment {
  /** The clock. @default {the process's clocks} */
  readonly clock?: Clock;
  /** Makes unique ids. @default {crypto.randomUUID} */
  readonly newId?: () => string;
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
  throw new InvalidArgumentError(
    argument,
    `must be a number of milliseconds from ${min} to ${max}, and is ${describe(value)}`,
  );
}
