/**
 * The index of timers in a bucket: `head.<kind>`, and `actor.<id>` for each actor with timers. Leases are in the same bucket.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import type { Bucket, Entry } from "../cluster/bucket.ts";
import { RevisionConflictError, unanswered } from "../cluster/errors.ts";
import { JetStreamBucket } from "../cluster/jetstream/bucket.ts";
import type { LeaseStore } from "../cluster/lease.ts";
import { BucketLeaseStore } from "../cluster/lease_store.ts";
import { ClosedError } from "../errors.ts";
import type { NatsConnection } from "../nats/connection.ts";
import type { JetStreamAddress } from "../nats/jetstream/address.ts";
import { bucketStream } from "../nats/jetstream/kv_bucket.ts";
import type { SideStorage } from "../side_storage.ts";
import { settledWithin } from "../sleep.ts";
import { escapeLevel } from "../text.ts";
import type { Warn, Warning } from "../warning.ts";
import {
  CLOSE_TIMEOUT,
  decodeActor,
  decodeHead,
  encodeActor,
  encodeHead,
  IndexConflict,
  type IndexedActor,
  type IndexHead,
  isHeld,
  pendingOf,
  type PendingRange,
  type PendingTimer,
  type StoredActor,
  type TimerIndex,
} from "./timer_index.ts";

const HEADS = "head.";
const ACTORS = "actor.";
/** How long all actors may take to arrive, in milliseconds. */
const LIST_TIMEOUT = 60_000;

/** An index in a bucket. */
export class BucketTimerIndex implements TimerIndex {
  readonly hasOwnOrder = false;
  readonly leases: LeaseStore;
  readonly #bucket: Bucket;
  readonly #closeBucket: () => void;
  readonly #closing = new AbortController();

  /** @param closeBucket Ends the use of the bucket. */
  constructor(bucket: Bucket, closeBucket: () => void) {
    this.#bucket = bucket;
    this.#closeBucket = closeBucket;
    // The index is written by compare-and-set, which decides between two workers in any case.
    this.leases = new BucketLeaseStore(bucket, {}, { outlivesBucket: false });
  }

  async head(kind: string): ReturnType<TimerIndex["head"]> {
    const entry = await this.#bucket.get(HEADS + kind);
    return { head: decodeHead(entry?.value), revision: entry && String(entry.revision) };
  }

  async heads(): Promise<ReadonlyMap<string, IndexHead>> {
    const heads = new Map<string, IndexHead>();
    for (const { key, value } of await this.#entries(`${HEADS}>`)) {
      const head = decodeHead(value);
      if (head) heads.set(key.slice(HEADS.length), head);
    }
    return heads;
  }

  async saveHead(kind: string, head: IndexHead, revision: string | undefined): Promise<string> {
    return await this.#put(HEADS + kind, encodeHead(head), revision);
  }

  async get(actorId: string): Promise<StoredActor | undefined> {
    const entry = await this.#bucket.get(keyOf(actorId));
    return entry?.value === undefined ? undefined : storedOf(actorId, entry);
  }

  async put(actor: IndexedActor, replaced: StoredActor | undefined): Promise<string | undefined> {
    const key = keyOf(actor.actorId);
    if (isHeld(actor)) return await this.#put(key, encodeActor(actor), replaced?.revision);
    try {
      await this.#bucket.remove(key, Number(replaced?.revision ?? 0));
    } catch (error) {
      throw error instanceof RevisionConflictError ? new IndexConflict() : error;
    }
    return undefined;
  }

  async #put(key: string, value: string, replaced: string | undefined): Promise<string> {
    for (let expected = Number(replaced ?? 0);;) {
      try {
        return String(await this.#bucket.put(key, value, { expected }));
      } catch (error) {
        if (!(error instanceof RevisionConflictError)) throw error;
        // What was removed leaves a tombstone for a while, which is replaced as nothing would be.
        const entry = replaced === undefined ? await this.#bucket.get(key) : undefined;
        if (!entry || entry.value !== undefined || entry.revision === expected) throw new IndexConflict();
        expected = entry.revision;
      }
    }
  }

  async *all(): AsyncIterable<StoredActor> {
    for (const entry of await this.#entries(`${ACTORS}>`)) {
      const actorId = actorOf(entry.key);
      if (actorId !== undefined && entry.value !== undefined) yield storedOf(actorId, entry);
    }
  }

  async #entries(pattern: string): Promise<readonly Entry[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Entry[]>();
    const watch = this.#bucket.watch([pattern], (update) => {
      if (update.type === "snapshot") resolve(update.entries);
    });
    const timer = setTimeout(() => reject(unanswered("list timers")), LIST_TIMEOUT);
    // A watch waits until the server can be reached; a read fails with the reason if it cannot.
    this.#bucket.get(`${HEADS}none`).catch(reject);
    try {
      return await abortable(promise, this.#closing.signal);
    } finally {
      clearTimeout(timer);
      watch.close();
    }
  }

  async pending(range: PendingRange): Promise<readonly PendingTimer[]> {
    return pendingOf(await Array.fromAsync(this.all()), range);
  }

  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("leases"));
    await settledWithin(this.leases.close(), CLOSE_TIMEOUT);
    this.#closeBucket();
  }
}

type JetStreamStorage = Extract<SideStorage, { readonly type: "jetstream" }>;

/** The bucket of the index of a store on JetStream. */
export function timersBucket({ bucket }: JetStreamStorage): string {
  return `timers_${bucket}`;
}

/** Opens the index of a store on JetStream, in a bucket of its own: of as many replicas as the stream has when it is made. */
export async function openJetStreamTimerIndex(
  storage: JetStreamStorage,
  warn: Warn | undefined,
): Promise<TimerIndex> {
  const { replicas } = storage;
  const config = { bucket: timersBucket(storage), replicas, storage: "file" } as const;
  const bucket = await JetStreamBucket.open(storage.connection as NatsConnection, config, {
    address: storage.address as JetStreamAddress,
  });
  const kept = Number(bucket.origin.config.num_replicas ?? 1);
  if (kept < replicas) warn?.(fewerReplicas(bucketStream(config.bucket), kept, replicas));
  return new BucketTimerIndex(bucket, () => bucket.close());
}

/** No refusal: an operator may have changed the event stream only, and timers are late only if servers are lost. */
function fewerReplicas(stream: string, kept: number, replicas: number): Warning {
  return {
    code: "bucket-replicas",
    message:
      `the index of timers, stream "${stream}", has ${kept} replica(s), and the event stream has ${replicas}: while ` +
      `its servers are down, timers are late. Change it: nats stream edit ${stream} --replicas ${replicas}`,
  };
}

function keyOf(actorId: string): string {
  return ACTORS + escapeLevel(actorId);
}

/** `undefined` for a key that another program has written. */
function actorOf(key: string): string | undefined {
  try {
    return decodeURIComponent(key.slice(ACTORS.length).replaceAll("=", "%"));
  } catch {
    return undefined;
  }
}

function storedOf(actorId: string, { value, revision }: Entry): StoredActor {
  return decodeActor(actorId, value, String(revision));
}
