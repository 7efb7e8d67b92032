/** The bucket of checkpoints, unless another one is named. */
export const DEFAULT_BUCKET = "aether_projections";

/**
 * Checkpoints in a JetStream key-value bucket. Nothing of NATS is loaded before one is opened.
 *
 * @module
 */

import { abortable } from "../abortable.ts";
import { RevisionConflictError, unanswered } from "../cluster/errors.ts";
import type { LeaseStore } from "../cluster/lease.ts";
import { BucketLeaseStore } from "../cluster/lease_store.ts";
import { escapeLevel } from "../text.ts";
import { ClosedError } from "../errors.ts";
import type { NatsConnection } from "../nats/connection.ts";
import type { NamedBucketOptions, OpenBucket } from "../cluster/jetstream/open.ts";
import type { CheckpointStore, StoredCheckpoint } from "./checkpoints.ts";
import { CheckpointConflictError, type ProjectionId } from "./errors.ts";

/**
 * Which bucket the checkpoints are kept in, `aether_projections` unless it is named, and how it is reached.
 *
 * @category Projections
 */
export type JetStreamCheckpointsOptions = NamedBucketOptions;

/**
 * Checkpoints in a JetStream key-value bucket, by compare-and-set on the leader of its stream. Handlers are called at least once:
 * NATS has no transaction over a checkpoint and a read model elsewhere.
 *
 * @example Several processes, of which one works
 * ```ts
 * import { type Event, JetStreamCheckpoints, JetStreamEventStore, runProjection } from "@flowmade-one/aether";
 *
 * type OrderEvent = Event<"OrderShipped", { carrier: string }>;
 *
 * // With the URL of a NATS server, such as nats://127.0.0.1:4222.
 * async function notify(url: string, signal: AbortSignal) {
 *   await using store = await JetStreamEventStore.open<OrderEvent>(url);
 *   await using checkpoints = await JetStreamCheckpoints.open(url);
 *   await using run = runProjection(store, {
 *     name: "notifications",
 *     checkpoints,
 *     handle: { OrderShipped: ({ actorId, data }) => console.log(`${actorId} is on its way with ${data.carrier}`) },
 *   }, { signal });
 *   await run.finished;
 * }
 * ```
 *
 * @category Projections
 */
export class JetStreamCheckpoints implements CheckpointStore {
  /** Handlers write with nothing: a read model is kept elsewhere. */
  declare readonly transactionType?: () => undefined;
  /** The leader's answer to a read holds the record as base64, with its headers, and is itself a message. */
  readonly maxBytes: number;
  readonly #open: OpenBucket;
  readonly #leases: BucketLeaseStore;
  readonly #closing = new AbortController();

  private constructor(open: OpenBucket) {
    this.#open = open;
    this.maxBytes = Math.floor(open.maxPayload * PAYLOAD_SHARE);
    // A checkpoint is written by compare-and-set, which decides between two workers in any case.
    this.#leases = new BucketLeaseStore(open.bucket, {}, { outlivesBucket: false });
  }

  /**
   * Opens the bucket, or makes it.
   *
   * @param urlOrConnection A server's URL, several of them, or a connection, which stays the caller's to close.
   * @param options Which bucket, and how it is reached.
   * @throws {BackendError} If the connection cannot be made.
   * @throws {ConfigurationMismatchError} If it exists with settings that cannot work.
   * @throws {BackendError} If there is no answer.
   * @throws {BackendError} If the server has no JetStream or is too old, or if the NATS user may not use the bucket.
   */
  static async open(
    urlOrConnection: string | readonly string[] | NatsConnection,
    options?: JetStreamCheckpointsOptions,
  ): Promise<JetStreamCheckpoints> {
    const { openNamedBucket } = await import("../cluster/jetstream/open.ts");
    return new JetStreamCheckpoints(
      await openNamedBucket(urlOrConnection, options, DEFAULT_BUCKET, false),
    );
  }

  /** Reads a checkpoint, from the leader. */
  async load(id: ProjectionId): Promise<StoredCheckpoint | undefined> {
    const entry = await this.#open.bucket.get(keyOf(id));
    if (entry?.value === undefined) return undefined;
    return { value: entry.value, revision: String(entry.revision) };
  }

  /** Replaces a checkpoint. */
  async save(id: ProjectionId, value: string, expected: string | undefined): Promise<string> {
    const { bucket } = this.#open;
    const key = keyOf(id);
    for (let revision = Number(expected ?? 0);;) {
      try {
        return String(await bucket.put(key, value, { expected: revision }));
      } catch (cause) {
        if (!(cause instanceof RevisionConflictError)) throw cause;
        // A checkpoint that was deleted leaves a tombstone, which the first save of a new one replaces.
        const entry = expected === undefined ? await bucket.get(key) : undefined;
        const tombstone = entry?.value === undefined ? entry?.revision ?? 0 : undefined;
        const isOther = tombstone === undefined || tombstone === revision;
        if (expected !== undefined || isOther) throw new CheckpointConflictError(id, { cause });
        revision = tombstone;
      }
    }
  }

  /** Deletes a checkpoint. */
  async delete(id: ProjectionId): Promise<boolean> {
    const { bucket } = this.#open;
    const key = keyOf(id);
    for (;;) {
      const entry = await bucket.get(key);
      if (entry?.value === undefined) return false;
      try {
        await bucket.remove(key, entry.revision);
        return true;
      } catch (error) {
        if (!(error instanceof RevisionConflictError)) throw error;
      }
    }
  }

  /**
   * All checkpoints, also those that cannot be read.
   *
   * @throws {BackendError} If there is no answer.
   */
  async list(): Promise<readonly StoredCheckpoint[]> {
    const { bucket } = this.#open;
    const { promise, resolve, reject } = Promise.withResolvers<readonly StoredCheckpoint[]>();
    const watch = bucket.watch([PREFIX + ">"], (update) => {
      if (update.type !== "snapshot") return;
      resolve(
        update.entries.flatMap(({ key, value, revision }) =>
          value === undefined ? [] : [{ value, revision: String(revision), id: idOf(key) }]
        ),
      );
    });
    const timer = setTimeout(() => reject(unanswered("list checkpoints")), LIST_TIMEOUT);
    // A watch waits until the server can be reached; a read fails with the reason if it cannot.
    const reading = new AbortController();
    bucket.get(PREFIX + "none", reading.signal).catch(reject);
    try {
      return await abortable(promise, this.#closing.signal);
    } finally {
      clearTimeout(timer);
      reading.abort();
      watch.close();
    }
  }

  /** Leases in the same bucket. */
  leases(): Promise<LeaseStore> {
    return Promise.resolve(this.#leases);
  }

  /** Releases its leases, and closes the connection if it was opened here. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("connection"));
    await this.#leases.close();
    await this.#open.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const PREFIX = "checkpoint.";
/** How long all checkpoints may take to arrive, in milliseconds. */
const LIST_TIMEOUT = 15_000;
/** A little less than three quarters. */
const PAYLOAD_SHARE = 0.7;

function keyOf({ name, version }: ProjectionId): string {
  return `${PREFIX}${escapeLevel(name)}.${version}`;
}

/** Reads a key back; one that is no key of a checkpoint names itself. */
function idOf(key: string): ProjectionId {
  const end = key.lastIndexOf(".");
  const escaped = key.slice(PREFIX.length, end);
  const version = Number(key.slice(end + 1));
  try {
    if (Number.isSafeInteger(version)) {
      return { name: decodeURIComponent(escaped.replaceAll("=", "%")), version };
    }
  } catch {
    // its name is none
  }
  return { name: key, version: 0 };
}
