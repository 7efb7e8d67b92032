/**
 * The conditions of cluster coordination that a caller would handle.
 *
 * @module
 */
import { registerClass } from "../copies.ts";
import { AetherError, BackendError } from "../errors.ts";

/**
 * The bucket (the NATS server, the database) gave no answer in time. Nothing is known to be lost: a lease that was held is
 * held until its deadline. Whether a write was stored is not known.
 */
export function unanswered(operation: string, options?: ErrorOptions): BackendError {
  const { cause } = options ?? {};
  const isRefused = cause instanceof BackendError && cause.reason === "denied";
  const why = isRefused ? cause.message : "Check that the server is up and reachable.";
  return new BackendError(operation, `The bucket did not answer. ${why}`, {
    ...options,
    reason: "unreachable",
  });
}

/**
 * The bucket was deleted, or it was kept in memory and its server was restarted. Leases and clusters make it again by
 * themselves, which takes a moment; checkpoints that were in it are gone.
 */
export function bucketLost(operation: string, options?: ErrorOptions): BackendError {
  const message =
    "The bucket does not exist any more. Restore it from a backup, or open what uses it again to make a new one.";
  return new BackendError(operation, message, { ...options, reason: "unreachable" });
}

/** Whether a call of a bucket got no answer: trying again may help. */
export function isUnanswered(error: unknown): error is BackendError {
  return error instanceof BackendError && error.reason === "unreachable";
}

/** The server's `max_payload` is smaller than the shard map, so that no node can be given a shard. */
export function shardMapTooLarge(shardCount: number, options?: ErrorOptions): BackendError {
  const message =
    `options.shardCount: the map of ${shardCount} shards is larger than the server's max_payload. ` +
    "Raise max_payload on every server of the cluster, or use fewer shards.";
  return new BackendError("join", message, { ...options, reason: "too-large" });
}

/** A write was refused because the key had changed since it was read. Nothing was stored by this write. */
export class RevisionConflictError extends AetherError {
  static {
    registerClass(this, "RevisionConflictError");
  }

  /** The key that was to be written. */
  readonly key: string;
  /** The revision that the writer expected; 0 means that it expected the key to be absent. */
  readonly expected: number;

  /** Names the key and the revision that was expected there. */
  constructor(key: string, expected: number, options?: ErrorOptions) {
    super(`The key "${key}" is no longer at revision ${expected}: read it again before writing`, options);
    this.key = key;
    this.expected = expected;
  }
}

/**
 * Why a lease is over: its deadline passed without a renewal, another process has it or deleted it, its holder released
 * it, or its connection or database was closed.
 *
 * @category Cluster
 */
export type LeaseEnd = "expired" | "taken" | "released" | "closed";

const LEASE_END: Record<LeaseEnd, string> = {
  expired: "its deadline passed without a renewal. Stop the work that it guarded and acquire it again",
  taken: "its record was taken over or deleted. Stop the work that it guarded and acquire it again",
  released: "its holder released it",
  closed:
    "its connection or database was closed, so that it cannot be renewed. Stop the work that it guarded, " +
    "open what it was acquired with again, and acquire it again",
};

/**
 * A lease is over. This is the reason of the lease's abort signal.
 *
 * @example Stop when the lease is lost
 * ```ts
 * import { InMemoryLeases, LeaseLostError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using leases = new InMemoryLeases();
 * const lease = await leases.acquire("nightly-report");
 * await lease.release();
 * try {
 *   lease.signal.throwIfAborted();
 * } catch (error) {
 *   if (!(error instanceof LeaseLostError)) throw error;
 *   assert.equal(error.reason, "released");
 * }
 * ```
 *
 * @category Cluster
 */
export class LeaseLostError extends AetherError {
  static {
    registerClass(this, "LeaseLostError");
  }

  /** The key of the lease. */
  readonly key: string;
  /** The fencing token that the holder had. */
  readonly fencingToken: number;
  /** How the lease ended. With `expired` and `closed`, `cause` holds the last failure of a renewal, if one failed. */
  readonly reason: LeaseEnd;

  /** Names the lease and how it ended. */
  constructor(key: string, fencingToken: number, reason: LeaseEnd, options?: ErrorOptions) {
    super(`The lease "${key}" (token ${fencingToken}) is over: ${LEASE_END[reason]}`, options);
    this.key = key;
    this.fencingToken = fencingToken;
    this.reason = reason;
  }
}

/**
 * A live process already uses the node name. The live one is not disturbed.
 *
 * @example Take another name
 * ```ts
 * import { Coordinator, InMemoryBucket, NodeNameTakenError } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * const cluster = new InMemoryBucket();
 * await using _other = await Coordinator.join(cluster, { name: "a" });
 * const name = await Coordinator.join(cluster, { name: "a" }).then(() => "a", (error) => {
 *   if (!(error instanceof NodeNameTakenError)) throw error;
 *   return `${error.node}-2`;
 * });
 * assert.equal(name, "a-2");
 * ```
 *
 * @category Cluster
 */
export class NodeNameTakenError extends AetherError {
  static {
    registerClass(this, "NodeNameTakenError");
  }

  /** The name that two processes want. */
  readonly node: string;

  /** Names the node. */
  constructor(node: string, options?: ErrorOptions) {
    super(
      `options.name: the node "${node}" is alive in another process: give each process a name of its own`,
      options,
    );
    this.node = node;
  }
}
