/**
 * Deleting a checkpoint, so that its projection begins again.
 *
 * @module
 */

import type { LeaseStore } from "../cluster/lease.ts";
import { InvalidArgumentError } from "../errors.ts";
import { readOptions } from "../options.ts";
import { abortable } from "../abortable.ts";
import {
  type CheckpointStore,
  checkUnderLease,
  leaseKeyOf,
  type ProjectionReference,
} from "./checkpoints.ts";
import { outcomeOf } from "./ends.ts";
import { DamagedCheckpointError, type ProjectionId, ProjectionInUseError } from "./errors.ts";
import { loadHead } from "./head.ts";
import { segmentId, segmentOf } from "./layout.ts";
import type { ProjectionRecord } from "./record.ts";
import { readNamed } from "./reference.ts";
import { generationsOf } from "./segment.ts";
import { describe } from "../text.ts";

/**
 * How a checkpoint is deleted.
 *
 * @category Projections
 */
export interface DeleteCheckpointOptions {
  /** Where the lease of the projection's worker is kept, as in `runProjection`. @default {next to the checkpoints} */
  readonly leases?: LeaseStore;
  /** Ends the call with the signal's reason, before the checkpoint is deleted. */
  readonly signal?: AbortSignal;
}

/**
 * Deletes the checkpoint of one version of a projection: its position, its parked events, and the reactions that it was about to
 * append. The projection then begins as a new one. The read model is not deleted, and reactions are not repeated: their ids are
 * in the histories of their actors.
 *
 * A checkpoint that cannot be read can be deleted too. `projectOnce` and SQLite checkpoints have no lease: a `projectOnce` that
 * works meanwhile begins again, and a run on SQLite checkpoints ends with a {@linkcode ProjectionInUseError}.
 *
 * @param projection Its name, version and checkpoints; the projection itself can be given.
 * @param options Where its lease is kept.
 * @returns Whether there was a checkpoint.
 * @throws {ProjectionInUseError} If a worker runs the projection. Nothing was deleted.
 *
 * @example Build a read model again from the start
 * ```ts
 * import { deleteCheckpoint, InMemoryCheckpoints, InMemoryEventStore, type Projection, projectOnce } from "@flowmade-one/aether";
 * import assert from "node:assert/strict";
 *
 * await using store = new InMemoryEventStore();
 * await store.append("order-1", [{ eventType: "OrderPlaced", data: null }], { expectedVersion: 0 });
 *
 * const placed = new Set<string>();
 * const placedOrders: Projection = {
 *   name: "placed-orders",
 *   checkpoints: new InMemoryCheckpoints(),
 *   handle: { OrderPlaced: ({ actorId }) => void placed.add(actorId) },
 * };
 * await projectOnce(store, placedOrders);
 *
 * placed.clear();
 * await deleteCheckpoint(placedOrders);
 * await projectOnce(store, placedOrders);
 * assert.deepEqual([...placed], ["order-1"]);
 * ```
 *
 * @category Projections
 */
export async function deleteCheckpoint(
  projection: ProjectionReference & {
    readonly checkpoints:
      & Pick<CheckpointStore<unknown>, "delete" | "leases">
      & Partial<Pick<CheckpointStore<unknown>, "list">>;
  },
  options?: DeleteCheckpointOptions,
): Promise<boolean> {
  const { id, checkpoints } = readNamed(projection);
  const { signal, leases: given } = readOptions(options, checkUnderLease);
  if (typeof checkpoints?.delete !== "function") {
    throw new InvalidArgumentError(
      "projection.checkpoints",
      `must be a place for checkpoints that has delete(), and is ${describe(checkpoints)}`,
    );
  }
  signal?.throwIfAborted();
  try {
    const leases = given ?? await abortable(Promise.resolve(checkpoints.leases?.()), signal);
    await using held = new AsyncDisposableStack();
    const segments = await abortable(segmentIdsOf(id, checkpoints), signal);
    for (const each of [id, ...segments]) {
      const lease = await leases?.tryAcquire(leaseKeyOf(each), { ...(signal && { signal }) });
      if (leases && !lease) throw new ProjectionInUseError(id, "running", "close every run of it first");
      if (lease) held.use(lease);
    }
    signal?.throwIfAborted();
    for (const segment of segments) await checkpoints.delete(segment);
    return await checkpoints.delete(id);
  } catch (error) {
    throw outcomeOf(id, error);
  }
}

/**
 * The records of its segments: those that its own record names, and others that are stored. Its own may be damaged, or a process may have
 * been killed before it deleted those of the segments before a change. A run that begins again must not take them for its own.
 */
async function segmentIdsOf(
  id: ProjectionId,
  checkpoints: Pick<CheckpointStore<unknown>, "load"> & Partial<Pick<CheckpointStore<unknown>, "list">>,
): Promise<readonly ProjectionId[]> {
  const record = await recordOf(id, checkpoints);
  if (record && !record.layout) return [];
  const segments = new Map<string, ProjectionId>();
  for (const { generation, count } of record?.layout ? generationsOf(record.layout) : []) {
    for (let index = 0; index < count; index++) {
      const segment = segmentId(id, { generation, count, index });
      segments.set(segment.name, segment);
    }
  }
  for (const { id: other } of await checkpoints.list?.() ?? []) {
    const { id: projection, segment } = other ? segmentOf(other) : { id };
    const isItsOwn = segment !== undefined && projection.name === id.name &&
      projection.version === id.version;
    if (isItsOwn) segments.set(other!.name, other!);
  }
  return [...segments.values()];
}

/** Its record; `undefined` if there is none, or it cannot be read. */
async function recordOf(
  id: ProjectionId,
  checkpoints: Pick<CheckpointStore<unknown>, "load">,
): Promise<ProjectionRecord | undefined> {
  try {
    return (await loadHead({ id, checkpoints }))?.record;
  } catch (error) {
    if (error instanceof DamagedCheckpointError) return undefined;
    throw error;
  }
}
