/**
 * The terms of a lease, its record in the bucket, and the writes of it whose outcome is not known yet.
 *
 * @module
 */
import type { Entry } from "./bucket.ts";
import { CLOCK_RATE_ALLOWANCE, type Instant } from "./clock.ts";
import { decodeRecord, encodeRecord, isRevisionBefore } from "./record.ts";

const KIND = "lease";

/** The terms of a lease, which never change. */
export interface LeaseTerms {
  /** The key in the bucket. */
  readonly key: string;
  /** The key as the caller wrote it. */
  readonly name: string;
  /** The identity of this lease, which no other lease has. */
  readonly id: string;
  /** The name of the holder, for people. */
  readonly holder: string;
  /** In milliseconds. */
  readonly ttl: number;
  /** In milliseconds. */
  readonly maxClockSkew: number;
  /** In milliseconds. */
  readonly renewEvery: number;
  /**
   * Whether a bucket that was made lately must be a whole time to live old before it grants the lease: an earlier bucket
   * of the same name may have granted it to a holder that does not know yet that this bucket is lost. @default {true}
   */
  readonly outlivesBucket?: boolean;
}

/** The record under the key of a lease. */
export interface LeaseRecord {
  /** See {@linkcode LeaseTerms.id}. */
  readonly id: string;
  /** The number of the write, by which a write whose answer was lost is recognised. */
  readonly attempt: number;
  /** The name of the holder, for people. */
  readonly holder: string;
  /** The fencing token. Absent in the write that acquires the lease: there the token is the revision of that write. */
  readonly token?: number;
}

/** Writes a lease's record as text. */
export function encodeLease(record: LeaseRecord): string {
  return encodeRecord(KIND, record);
}

/** Reads a lease's record; `undefined` for a tombstone and for a record that cannot be read. */
export function readLease(entry: Entry | undefined): LeaseRecord & { readonly token: number } | undefined {
  const fields = decodeRecord(KIND, entry?.value);
  if (entry === undefined || fields === undefined) return undefined;
  const { id, attempt, holder, token = entry.revision } = fields;
  const isSound = typeof id === "string" && id !== "" && typeof holder === "string" &&
    Number.isSafeInteger(attempt) && isRevisionBefore(token, entry.revision + 1);
  return isSound ? { id, attempt: attempt as number, holder, token } : undefined;
}

/** Whether an entry has a record of a lease that cannot be read. */
export function isUnreadableLease(entry: Entry | undefined): entry is Entry {
  return entry?.value !== undefined && readLease(entry) === undefined;
}

/**
 * Since when unreadable records have been in place of leases. Such a record replaced that of a holder, which cannot renew
 * its lease any more: a whole time to live later that holder has stopped.
 */
export class UnreadableLeases {
  readonly #seen = new Map<string, { readonly revision: number; readonly since: number }>();

  /** Whether an unreadable record has stayed unchanged for a whole time to live. */
  isOver(entry: Entry, time: number, ttl: number): boolean {
    if (!isUnreadableLease(entry)) return false;
    const seen = this.#seen.get(entry.key);
    if (seen?.revision !== entry.revision) {
      this.#seen.set(entry.key, { revision: entry.revision, since: time });
      return false;
    }
    return time - seen.since >= ttl * (1 + CLOCK_RATE_ALLOWANCE);
  }
}

/** The writes of one lease whose outcome may still be learned, with the moment each was sent. */
export class Attempts {
  readonly #sent = new Map<number, Instant>();
  #last = 0;

  start(sent: Instant): number {
    this.#sent.set(++this.#last, sent);
    return this.#last;
  }

  sentAt(attempt: number): Instant | undefined {
    return this.#sent.get(attempt);
  }

  /** Whether the outcome of every write is known. */
  get isSettled(): boolean {
    return this.#sent.size === 0;
  }

  /** An attempt was stored: earlier ones can no longer be. */
  settle(attempt: number): void {
    for (const earlier of this.#sent.keys()) if (earlier <= attempt) this.#sent.delete(earlier);
  }
}

/** One write of a lease that was stored. */
export interface StoredAttempt {
  /** The bucket that stored it. */
  readonly origin: string | undefined;
  readonly revision: number;
  readonly attempt: number;
  readonly sent: Instant;
}
