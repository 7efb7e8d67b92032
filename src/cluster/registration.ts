/**
 * One incarnation of a node: the lease that it lives under, and its record, which describes it and lists the
 * shards that it is releasing.
 *
 * @module
 */
import { abortable } from "../abortable.ts";
import type { Bucket, Entry } from "./bucket.ts";
import type { Cleanups } from "./cleanups.ts";
import { type Clock, Wakeup } from "./clock.ts";
import { NodeNameTakenError, RevisionConflictError } from "./errors.ts";
import { Claim } from "./claim.ts";
import type { HeldLease } from "./held_lease.ts";
import { type LeaseTerms, readLease } from "./lease_record.ts";
import { escapeLevel } from "../text.ts";
import { decodeNode, encodeNode, nodeKey, type NodeRecord } from "./node_record.ts";

/** How soon a write that got no answer is tried again, in ms. */
const RETRY_MS = 250;
/** How often, within the time between two renewals, a name that is taken is looked at. */
const LOOKS_PER_RENEWAL = 4;

/** The key of the lease that a node lives under. */
export function aliveKey(name: string): string {
  return `alive.${escapeLevel(name)}`;
}

/**
 * Gets the lease on a node's name. The lease of a crashed predecessor is waited for; a living one shows itself by
 * renewing.
 *
 * @param cleanups Gets what goes on after an abort.
 * @throws {NodeNameTakenError} If another process lives under the name.
 * @throws {BackendError} If the bucket gave no answer.
 */
export async function claimName(
  bucket: Bucket,
  clock: Clock,
  name: string,
  terms: LeaseTerms,
  signal: AbortSignal,
  cleanups: Cleanups,
): Promise<HeldLease> {
  const claim = new Claim(bucket, clock, terms);
  const wakeup = new Wakeup(clock);
  const wake = (): void => wakeup.notify();
  signal.addEventListener("abort", wake);
  try {
    for (let first: Entry | undefined;;) {
      signal.throwIfAborted();
      const lease = await claim.try(undefined, signal);
      signal.throwIfAborted();
      if (lease !== undefined) return lease;
      const entry = await abortable(bucket.get(terms.key), signal);
      if (entry?.value !== undefined) {
        first ??= entry;
        if (entry.revision > first.revision) throw new NodeNameTakenError(name);
      }
      await wakeup.sleep(terms.renewEvery / LOOKS_PER_RENEWAL);
    }
  } catch (error) {
    cleanups.add(claim.withdraw());
    throw error;
  } finally {
    signal.removeEventListener("abort", wake);
  }
}

/** Keeps a node's record in the bucket equal to what `describe` returns, for as long as the lease is held. */
export class Registration {
  readonly #bucket: Bucket;
  readonly #describe: () => NodeRecord;
  readonly #key: string;
  readonly #lease: HeldLease;
  readonly #wakeup: Wakeup;
  #closed = false;
  #writing: Promise<void> = Promise.resolve();
  #revision = 0;

  constructor(bucket: Bucket, clock: Clock, name: string, lease: HeldLease, describe: () => NodeRecord) {
    this.#bucket = bucket;
    this.#describe = describe;
    this.#key = nodeKey(name);
    this.#lease = lease;
    this.#wakeup = new Wakeup(clock);
  }

  /** Writes the record for the first time, then again whenever {@linkcode update} is called. */
  async open(): Promise<void> {
    const first = this.#write();
    this.#writing = first.then(() => this.#loop(), () => {});
    await first;
  }

  /** Writes the record again, because what `describe` returns has changed. */
  update(): void {
    this.#wakeup.notify();
  }

  async #loop(): Promise<void> {
    const stop = (): void => this.#wakeup.notify();
    this.#lease.signal.addEventListener("abort", stop);
    for (let retry = false;;) {
      await this.#wakeup.sleep(retry ? RETRY_MS : undefined);
      if (this.#closed || !this.#lease.isHeld) break;
      retry = await this.#write().then(() => false, () => true);
    }
    this.#lease.signal.removeEventListener("abort", stop);
  }

  async #write(): Promise<void> {
    for (;;) {
      const value = encodeNode(this.#describe());
      try {
        this.#revision = await this.#bucket.put(this.#key, value, { expected: this.#revision });
        return;
      } catch (error) {
        if (!(error instanceof RevisionConflictError)) throw error;
        // The record of an earlier incarnation, our own write whose answer was lost, or a tombstone.
        const entry = await this.#bucket.get(this.#key);
        if (!this.#lease.isHeld || (decodeNode(entry)?.session ?? 0) > this.#lease.fencingToken) {
          return;
        }
        this.#revision = entry?.revision ?? 0;
      }
    }
  }

  /** Stops writing. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wakeup.notify();
    await this.#writing;
  }

  /** Removes the record, if it is still this incarnation's. What cannot be removed is left to the leader. */
  async remove(): Promise<void> {
    try {
      const entry = await this.#bucket.get(this.#key);
      if (entry === undefined || decodeNode(entry)?.session !== this.#lease.fencingToken) return;
      await this.#bucket.remove(this.#key, entry.revision);
    } catch {
      // It was replaced, or the bucket does not answer: leaving must not fail.
    }
  }
}

/**
 * Whether the entry of a name's lease proves that an incarnation is over. Only a later record or a tombstone proves it: the
 * absence of an entry does not, and neither does a record that cannot be read.
 */
export function provesOver(alive: Entry | undefined, session: number): boolean {
  if (alive === undefined || alive.revision <= session) return false;
  const record = readLease(alive);
  return record === undefined ? alive.value === undefined : record.token !== session;
}
