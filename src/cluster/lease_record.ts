/**
 * What is fixed about a lease, what is stored of it, and which writes of it may still turn up.
 *
 * @module
 */
import type { Entry } from "./bucket.ts";
import type { Instant } from "./clock.ts";

/** All that is fixed about a lease before it is acquired. */
export interface LeaseTerms {
  /** The key in the bucket. */
  readonly key: string;
  /** The key as its user says it. */
  readonly name: string;
  /** The identity of this one lease; never used again for another. */
  readonly id: string;
  /** Who holds it, for people. */
  readonly holder: string;
  /** In ms. */
  readonly ttl: number;
  /** In ms. */
  readonly maxClockSkew: number;
  /** In ms. */
  readonly renewEvery: number;
  /**
   * Whether a bucket that was made lately must be a whole time to live old before it grants the lease: an earlier bucket
   * of the same name may have granted it to a holder that knows nothing of its loss. @default {true}
   */
  readonly outlivesBucket?: boolean;
}

/** What the bucket holds under the key of a lease. */
export interface LeaseRecord {
  /** See {@linkcode LeaseTerms.id}. */
  readonly id: string;
  /** Numbers the writes of one lease, so that a write which was thought lost is recognised. */
  readonly attempt: number;
  /** Who holds it, for people. */
  readonly holder: string;
  /** The fencing token; the write that acquires the lease has none: there it is the revision of that write. */
  readonly token?: number;
}

/** Reads a lease's record; `undefined` for a tombstone and for what is none. */
export function readLease(entry: Entry | undefined): LeaseRecord & { readonly token: number } | undefined {
  if (entry?.value === undefined) return undefined;
  try {
    const record = JSON.parse(entry.value) as LeaseRecord;
    return { ...record, token: record.token ?? entry.revision };
  } catch {
    return { id: "", attempt: 0, holder: "(unreadable)", token: entry.revision };
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
