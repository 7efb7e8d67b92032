/**
 * Checkpoints in memory.
 *
 * @module
 */

import { InMemoryLeases } from "../cluster/in_memory_leases.ts";
import type { LeaseStore } from "../cluster/lease.ts";
import type { CheckpointStore, StoredCheckpoint } from "./checkpoints.ts";
import { CheckpointConflictError, type ProjectionId } from "./errors.ts";

/**
 * Checkpoints in memory, for read models in memory: they are gone together.
 *
 * @example
 * ```ts
 * import { InMemoryEventStore } from "@flowmade-one/aether/memory";
 * import { InMemoryCheckpoints, runProjection } from "@flowmade-one/aether/projection";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await using checkpoints = new InMemoryCheckpoints();
 * const totals = new Map<string, number>();
 * await using run = runProjection(store, {
 *   name: "totals",
 *   checkpoints,
 *   handle: ({ actorId }) => void totals.set(actorId, (totals.get(actorId) ?? 0) + 1),
 * });
 * const [placed] = await store.append("order-1", [{ eventType: "OrderPlaced", data: {} }], { expectedVersion: 0 });
 * await run.waitFor(placed!.position);
 * assert.equal(totals.get("order-1"), 1);
 * ```
 *
 * @category Projections
 */
export class InMemoryCheckpoints implements CheckpointStore {
  /** Handlers write with nothing: a read model is kept elsewhere. */
  declare readonly transactionType?: () => undefined;
  /** They end with the process. */
  readonly isVolatile = true;
  readonly #checkpoints = new Map<string, StoredCheckpoint>();
  readonly #leases = new InMemoryLeases();
  #writes = 0;

  /** Reads a checkpoint. */
  load(id: ProjectionId): Promise<StoredCheckpoint | undefined> {
    return Promise.resolve(this.#checkpoints.get(keyOf(id)));
  }

  /** Replaces a checkpoint. */
  save(id: ProjectionId, value: string, expected: string | undefined): Promise<string> {
    const key = keyOf(id);
    if (this.#checkpoints.get(key)?.revision !== expected) {
      return Promise.reject(new CheckpointConflictError(id));
    }
    const revision = String(++this.#writes);
    this.#checkpoints.set(key, { value, revision });
    return Promise.resolve(revision);
  }

  /** Deletes a checkpoint. */
  delete(id: ProjectionId): Promise<boolean> {
    return Promise.resolve(this.#checkpoints.delete(keyOf(id)));
  }

  /** All checkpoints. */
  list(): Promise<readonly StoredCheckpoint[]> {
    return Promise.resolve(Array.from(this.#checkpoints, ([key, stored]) => ({ ...stored, id: idOf(key) })));
  }

  /** Leases of its own. */
  leases(): Promise<LeaseStore> {
    return Promise.resolve(this.#leases);
  }

  /** Releases its leases. */
  async close(): Promise<void> {
    await this.#leases.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function keyOf({ name, version }: ProjectionId): string {
  return `${version} ${name}`;
}

function idOf(key: string): ProjectionId {
  const end = key.indexOf(" ");
  return { name: key.slice(end + 1), version: Number(key.slice(0, end)) };
}
