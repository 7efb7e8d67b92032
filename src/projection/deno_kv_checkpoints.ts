/**
 * Checkpoints in Deno KV.
 *
 * ```text
 * [prefix, namespace, "projection", name, version]          the revision, and the record's text as far as one value takes it
 * [prefix, namespace, "projection piece", name, version, n]  the rest of it
 * ```
 *
 * @module
 */

import { DenoKvBucket } from "../cluster/deno_kv_bucket.ts";
import type { LeaseStore } from "../cluster/lease.ts";
import { BucketLeaseStore } from "../cluster/lease_store.ts";
import { validateUserNamespace } from "../event/namespace.ts";
import { nameFault, utf8 } from "../text.ts";
import { openKv } from "../deno_kv.ts";
import { InvalidArgumentError } from "../errors.ts";
import { checkKnown, type OptionNames, readOptions } from "../options.ts";
import { backoff, sleep } from "../sleep.ts";
import {
  backendError,
  commitFailure,
  FIRST_BUSY_WAIT,
  LONGEST_BUSY_WAIT,
  whileBusy,
} from "../deno_kv_failures.ts";
import {
  type CheckpointStore,
  type HandlerScope,
  type StoredCheckpoint,
  type UnitOfWork,
  unreadable,
} from "./checkpoints.ts";
import {
  CheckpointConflictError,
  DamagedCheckpointError,
  type HandlerError,
  type ProjectionId,
  transactionRefused,
} from "./errors.ts";
import { KvScope, type KvTransaction, KvWrites } from "./kv_transaction.ts";

/**
 * Where in the database the checkpoints are stored.
 *
 * @category Projections
 */
export interface DenoKvCheckpointsOptions {
  /** The first part of every key. @default {"aether"} */
  readonly prefix?: string;
  /** The namespace, as that of the store. @default {"default"} */
  readonly namespace?: string;
}

const OPTIONS: OptionNames<DenoKvCheckpointsOptions> = { prefix: true, namespace: true };

/** The head of a checkpoint. */
interface Head {
  /** How many pieces follow. */
  readonly pieces: number;
  /** The beginning of the record, or all of it. */
  readonly text: Uint8Array;
}

const DEFAULT_PREFIX = "aether";
const PIECE_BYTES = 60_000;
/** All pieces are in one atomic operation with the writes of a read model. */
const MOST_PIECES = 5;
const BUSY_TRIES = 1000;
const MAX_PREFIX_BYTES = 256;

/**
 * Checkpoints in Deno KV. What a handler writes with `context.transaction` is committed together with the checkpoint:
 * exactly once. A handler that does not use it is called at least once. With `lanes`, a handler is called again if another one has
 * changed what it has read.
 *
 * @example A read model in the same database, exactly once
 * ```ts
 * import { DenoKvCheckpoints, DenoKvEventStore, type Event, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * type OrderEvent = Event<"OrderPlaced", null>;
 *
 * using kv = await Deno.openKv(":memory:");
 * await using store = await DenoKvEventStore.open<OrderEvent>(kv);
 * await using checkpoints = await DenoKvCheckpoints.open(kv);
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * await projectOnce(store, {
 *   name: "placed-orders",
 *   checkpoints,
 *   handle: { OrderPlaced: ({ actorId }, { transaction }) => void transaction.set(["placed", actorId], true) },
 * });
 * assert.equal((await kv.get(["placed", "order-1"])).value, true);
 * ```
 *
 * @category Projections
 */
export class DenoKvCheckpoints implements CheckpointStore<KvTransaction> {
  /** A record and a read model's writes share one atomic operation. */
  readonly maxBytes = PIECE_BYTES * (MOST_PIECES + 1);
  readonly #kv: Deno.Kv;
  readonly #owned: boolean;
  readonly #base: readonly [string, string];
  readonly #leases: BucketLeaseStore;
  #isClosed = false;

  private constructor(kv: Deno.Kv, owned: boolean, base: readonly [string, string]) {
    this.#kv = kv;
    this.#owned = owned;
    this.#base = base;
    // A checkpoint is written by compare-and-set, which decides between two workers in any case.
    this.#leases = new BucketLeaseStore(new DenoKvBucket(kv, [...base, "lease"]), {}, {
      outlivesBucket: false,
    });
  }

  /**
   * Keeps checkpoints in an open database, which stays the caller's to close, or in the one at a path or URL. It need not be
   * the one that the events are in.
   *
   * @throws {StoreOpenError} If Deno KV is not enabled, or the database cannot be opened.
   */
  static async open(
    pathOrKv?: string | Deno.Kv,
    options?: DenoKvCheckpointsOptions,
  ): Promise<DenoKvCheckpoints> {
    const { prefix = DEFAULT_PREFIX, namespace = "default" } = readOptions(options, ({ ...fields }) => {
      checkKnown<DenoKvCheckpointsOptions>(fields, OPTIONS);
      return fields;
    });
    const fault = nameFault(prefix, MAX_PREFIX_BYTES);
    if (fault) throw new InvalidArgumentError("options.prefix", fault);
    const base = [prefix, validateUserNamespace(namespace)] as const;
    const { kv, opened } = await openKv(pathOrKv);
    return new DenoKvCheckpoints(kv, opened, base);
  }

  /** Reads a checkpoint. */
  async load(id: ProjectionId): Promise<StoredCheckpoint | undefined> {
    const key = this.#key(id);
    for (;;) {
      const entry = await this.#reading(() => this.#kv.get<Head>(key));
      if (entry.versionstamp === null) return undefined;
      if (!isHead(entry.value)) throw new DamagedCheckpointError(id, "it is not what a projection writes");
      const value = await this.#join(id, entry.value);
      // Pieces of another write than the head's are noticed by the head that has changed since.
      if (entry.value.pieces > 0) {
        const again = await this.#reading(() => this.#kv.get<Head>(key));
        if (again.versionstamp !== entry.versionstamp) continue;
      }
      if (value === undefined) throw new DamagedCheckpointError(id, "a part of it is missing");
      return { value, revision: entry.versionstamp };
    }
  }

  /** Replaces a checkpoint. */
  async save(id: ProjectionId, value: string, expected: string | undefined): Promise<string> {
    return await this.#commit(id, value, expected, new KvWrites());
  }

  /** Replaces a checkpoint together with the writes of handlers. */
  async #commit(
    id: ProjectionId,
    value: string,
    expected: string | undefined,
    writes: KvWrites,
  ): Promise<string> {
    const text = utf8(value);
    const pieces = Math.ceil(text.length / PIECE_BYTES) - 1;
    if (pieces > MOST_PIECES) throw new DamagedCheckpointError(id, `it has grown to ${text.length} bytes`);
    let operation = this.#kv.atomic().check({ key: this.#key(id), versionstamp: expected ?? null });
    for (const { key, value } of writes.values()) {
      operation = value ? operation.set(key, value.of) : operation.delete(key);
    }
    operation = operation.set(this.#key(id), { pieces, text: text.slice(0, PIECE_BYTES) } satisfies Head);
    for (let piece = 1; piece <= pieces; piece++) {
      operation = operation.set(
        this.#piece(id, piece),
        text.slice(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES),
      );
    }
    const result = await whileFree(operation, writes.isEmpty);
    if (!result.ok) throw new CheckpointConflictError(id);
    return result.versionstamp;
  }

  /** Deletes a checkpoint. */
  async delete(id: ProjectionId): Promise<boolean> {
    const key = this.#key(id);
    const pieces = Array.from({ length: MOST_PIECES }, (_, index) => this.#piece(id, index + 1));
    for (;;) {
      const { versionstamp } = await this.#reading(() => this.#kv.get(key));
      if (versionstamp === null) return false;
      let operation = this.#kv.atomic().check({ key, versionstamp });
      for (const of of [key, ...pieces]) operation = operation.delete(of);
      if ((await whileFree(operation, true)).ok) return true;
    }
  }

  /** All checkpoints, also those that cannot be read. */
  async list(): Promise<readonly StoredCheckpoint[]> {
    const found: StoredCheckpoint[] = [];
    const entries = await this.#reading(() =>
      Array.fromAsync(this.#kv.list({ prefix: [...this.#base, "projection"] }))
    );
    for (const { key } of entries) {
      const [name, version, ...more] = key.slice(this.#base.length + 1);
      if (typeof name !== "string" || typeof version !== "number" || more.length > 0) continue; // no checkpoint's key
      const id = { name, version };
      const stored = await this.load(id).catch((error) => unreadable(id, error));
      if (stored) found.push({ ...stored, id });
    }
    return found;
  }

  /** Begins a unit of work. */
  begin(id: ProjectionId): UnitOfWork<KvTransaction> {
    const writes = new KvWrites();
    const open = new Set<KvScope>();
    const enter = (others?: Set<KvScope>): HandlerScope<KvTransaction> =>
      new KvScope(this.#kv, writes, [this.#base[0], DEFAULT_PREFIX], others);
    return {
      enter: () => enter(),
      enterShared: () => enter(open),
      commit: async (value, expected) => {
        try {
          return await this.#commit(id, value, expected, writes);
        } finally {
          writes.clear();
        }
      },
      discard: () => writes.clear(),
    };
  }

  /** Leases in the same database. */
  leases(): Promise<LeaseStore> {
    return Promise.resolve(this.#leases);
  }

  /** Releases its leases, and closes the database if it was opened here. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#leases.close();
    if (this.#owned) this.#kv.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #join(id: ProjectionId, head: Head): Promise<string | undefined> {
    const parts = [head.text];
    for (let piece = 1; piece <= head.pieces; piece++) {
      const { value } = await this.#reading(() => this.#kv.get<Uint8Array>(this.#piece(id, piece)));
      if (!(value instanceof Uint8Array)) return undefined;
      parts.push(value);
    }
    try {
      return decodeUtf8(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
    } catch (cause) {
      throw new DamagedCheckpointError(id, "it is not text in UTF-8", { cause });
    }
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await whileBusy(read);
    } catch (error) {
      throw backendError("checkpoint", error);
    }
  }

  #key({ name, version }: ProjectionId): Deno.KvKey {
    return [...this.#base, "projection", name, version];
  }

  #piece({ name, version }: ProjectionId, piece: number): Deno.KvKey {
    return [...this.#base, "projection piece", name, version, piece];
  }
}

/** Whether a value is the head of a checkpoint: another program can write anything there. */
function isHead(value: unknown): value is Head {
  const { pieces, text } = (value ?? {}) as Partial<Head>;
  return text instanceof Uint8Array && Number.isSafeInteger(pieces) && pieces! >= 0 && pieces! <= MOST_PIECES;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: ArrayBuffer): string {
  return decoder.decode(bytes);
}

/** Commits an operation, again while the database is busy. */
async function whileFree(
  operation: Deno.AtomicOperation,
  isCheckpointAlone: boolean,
): Promise<Deno.KvCommitResult | Deno.KvCommitError> {
  for (let attempt = 1;; attempt++) {
    try {
      return await operation.commit();
    } catch (error) {
      if (!isCheckpointAlone && isOfWrites(error)) throw refusal(error);
      if (commitFailure(error) !== "busy" || attempt === BUSY_TRIES) throw backendError("checkpoint", error);
    }
    await sleep(backoff(attempt, FIRST_BUSY_WAIT, LONGEST_BUSY_WAIT));
  }
}

/** The texts of Deno KV, and of KV Connect, for keys and values that they do not take. */
const WRITES_REFUSED =
  /too (large|many mutations)|cannot be empty|could not be cloned|invalid key|expected string, number|TooLarge|TooMany(Mutations|Writes)|status=400/i;

function isOfWrites(error: unknown): boolean {
  return commitFailure(error) === "refused" && error instanceof Error && WRITES_REFUSED.test(error.message);
}

function refusal(cause: unknown): HandlerError {
  return transactionRefused((cause as Error).message, { cause });
}
